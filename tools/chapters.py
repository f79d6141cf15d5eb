"""The maintainers' tool for the chapters.

    python tools/chapters.py run [CHAPTER ...]   run .py files, write the .ipynb files with their outputs
    python tools/chapters.py text [CHAPTER ...]  take new words over into the .ipynb files, where no code has changed
    python tools/chapters.py table               write README's table from the notebooks
    python tools/chapters.py stamp               write the set-up cell and the Colab badge everywhere
    python tools/chapters.py check               say what is wrong with what is committed

After a change to a chapter: run (or text, if it is to words alone), table, check.
"""

import argparse
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient.exceptions import CellExecutionError
from notebook_run import UNWELCOME, cells_of, outputs_as_text, retell, run, source_sha256, write

from v101_utils.files import write_atomically
from v101_utils.runtime import PROFILES

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = "[0-9][0-9]_*"

SETUP_CELL = '''\
# Does nothing where Vision-101 is installed; elsewhere, as in Colab, it installs it.
import importlib.util, os, subprocess, sys
SOURCE = {source}
if importlib.util.find_spec("v101_utils") is None:
    address = os.environ.get("V101_SOURCE") or SOURCE
    if not address:
        raise RuntimeError('Vision-101 is not installed. Say where it comes from, os.environ["V101_SOURCE"] = '
                           '"git+https://HOST/OWNER/REPO" or a folder with a copy of it, and run this cell again.')
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", address], check=True)
    importlib.invalidate_caches()'''
SETUP_IN_PY = re.compile(r'(?<=^# %% tags=\["setup"\]\n)(?:(?!# %%).*\n)*', re.M)

NO_BADGE = "<!-- Colab badge: stamped once the repository's address is set -->"
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})"
BADGE_LINE = re.compile(r"<!-- Colab badge: .* -->|\[!\[Open in Colab\]\(.*\)")
GITHUB = re.compile(r"git\+https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?(?:@[\w./-]+)?$")

TABLE = re.compile(r"(?<=<!-- chapters -->\n).*?(?=<!-- /chapters -->)", re.S)


def sources(folder: Path, names=()) -> list[Path]:
    """The chapters' .py files in order, or those named, by number (`11`), stem (`11_vae`) or file."""
    every = sorted(folder.glob(f"{CHAPTERS}.py"))
    known = {key: path for path in every for key in (path.stem, path.stem[:2])}
    for name in names:
        if Path(name).stem not in known:
            raise ValueError(f"no chapter {name}; there are {', '.join(path.stem for path in every) or 'none yet'}")
    return sorted({known[Path(name).stem] for name in names}) if names else every


# --- where the project comes from: the set-up cell and the badge ---


def project_source(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """`source` of [tool.vision101], by its line: Python 3.10 has no reader of TOML."""
    section = pyproject.read_text(encoding="utf-8").partition("[tool.vision101]\n")[2]
    found = re.search(r'^source = "([^"]*)"', section.partition("\n[")[0], re.M)
    if not found:
        raise ValueError(f'{pyproject} has no line source = "..." under [tool.vision101]')
    return found[1]


def setup_cell(source: str) -> str:
    return SETUP_CELL.format(source=f'"{source}"')


def colab_address(source: str, name: str) -> str:
    """Where Colab opens chapter `name`, or "" if `source` is not an address at GitHub, which Colab needs."""
    if not (found := GITHUB.match(source)):
        return ""
    return f"https://colab.research.google.com/github/{found[1]}/{found[2]}/blob/main/notebooks/{name}.ipynb"


def badge(source: str, name: str) -> str:
    address = colab_address(source, name)
    return BADGE.format(address=address) if address else NO_BADGE


def stamp(path: Path, source: str) -> None:
    """Writes the set-up cell and the badge for `source` into a chapter's .py and .ipynb.

    The hash of the source in the .ipynb follows, but only if it was right: stale outputs stay recognisable.
    """
    text, picture = path.read_text(encoding="utf-8"), badge(source, path.stem)
    if not SETUP_IN_PY.search(text):
        raise ValueError(f'{path} has no cell that starts with the line # %% tags=["setup"]')
    if not BADGE_LINE.search(text):
        raise ValueError(f"{path} has no line for the badge; its first cell should hold {NO_BADGE}")
    text = SETUP_IN_PY.sub(lambda _: setup_cell(source) + "\n\n", text, count=1)
    with write_atomically(path) as partial:
        partial.write_text(BADGE_LINE.sub(lambda _: picture, text, count=1), encoding="utf-8")
    if not (committed := path.with_suffix(".ipynb")).exists():
        return
    notebook = nbformat.read(committed, as_version=4)
    noted = notebook.metadata.get("v101", {})
    was_right = noted.get("source_sha256") == source_sha256(notebook)
    notebook.cells[0].source = BADGE_LINE.sub(lambda _: picture, notebook.cells[0].source, count=1)
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = setup_cell(source)
    if was_right:
        noted["source_sha256"] = source_sha256(notebook)
    write(notebook, committed)


# --- README's table ---


def title_and_promise(notebook) -> tuple[str, str]:
    """A chapter's heading, and the paragraph after it that is not the badge."""
    heading, *paragraphs = [part.strip() for part in re.split(r"\n\s*\n", notebook.cells[0].source) if part.strip()]
    if not heading.startswith("# ") or "\n" in heading:
        raise ValueError(f"the first cell starts with {heading[:60]!r}; it should start with '# NN Title'")
    words = [part for part in paragraphs if not BADGE_LINE.match(part)]
    return heading[2:], " ".join(words[0].split()) if words else ""


def minutes(seconds) -> str:
    return "-" if seconds is None else f"{max(1, round(seconds / 60))} min"


def table(folder: Path, source: str) -> str:
    """The chapters as a Markdown table, with a column of badges if the address is one that Colab can open."""
    head = ["Chapter", "What you will see", "Laptop (measured)", "Colab T4 (estimated)"]
    rows = []
    for path in sorted(folder.glob(f"{CHAPTERS}.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        (title, promise), noted = title_and_promise(notebook), notebook.metadata.get("v101", {})
        title = title if title[:2].isdigit() else f"{path.stem[:2]} {title}"
        times = [minutes(noted.get("seconds")), minutes(noted.get("gpu_seconds_estimate"))]
        row = [f"[{title}](notebooks/{path.name})", promise, *times]
        rows.append(row + ([badge(source, path.stem)] if colab_address(source, path.stem) else []))
    if colab_address(source, ""):
        head.append("Colab")
    lines = [head, ["---"] * len(head), *[[cell.replace("|", r"\|") for cell in row] for row in rows]]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def with_table(readme: str, rows: str) -> str:
    """README's text with the table between its markers replaced."""
    if not TABLE.search(readme):
        raise ValueError("README.md has no place for the table: lines <!-- chapters --> and <!-- /chapters -->")
    return TABLE.sub(lambda _: rows, readme)


# --- what is wrong with what is committed ---


def pair_findings(path: Path, source: str) -> list[str]:
    """What is wrong with one chapter, its .py and its .ipynb, one line each."""
    committed = path.with_suffix(".ipynb")
    if not committed.exists():
        return [f"{path.name} has no {committed.name}: run it"]
    text, notebook = jupytext.read(path), nbformat.read(committed, as_version=4)
    found = [f"differs from {path.name}: run it"] if cells_of(text) != cells_of(notebook) else []
    noted = notebook.metadata.get("v101", {})
    if noted.get("source_sha256") != source_sha256(text):
        found.append(f"its outputs are not from this {path.name}: run it")
    if noted.get("profile") != "laptop":
        found.append(f"its outputs are of profile {noted.get('profile')}; those of laptop are for readers: run it")
    if [c.source for c in notebook.cells if "setup" in c.metadata.get("tags", [])] != [setup_cell(source)]:
        found.append("its set-up cell is not the usual one: stamp it")
    if badge(source, path.stem) not in notebook.cells[0].source:
        found.append("its first cell has not the badge that it should have: stamp it")
    return [f"{committed.name}: {line}" for line in found + output_findings(notebook)]


def output_findings(notebook) -> list[str]:
    """What is wrong with a notebook's outputs, one line each."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    found = ["metadata.widgets is saved, which GitHub does not show"] if "widgets" in notebook.metadata else []
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("its counts are not those of one run from top to bottom")
    for number, cell in enumerate(code, 1):
        said = outputs_as_text(cell)
        found += [f"code cell {number} shows {what}" for what, sign in UNWELCOME.items() if sign.search(said)]
    return found


def findings(root: Path = ROOT) -> list[str]:
    """All that is wrong, one line each; nothing if all is well."""
    source, folder = project_source(root / "pyproject.toml"), root / "notebooks"
    readme = (root / "README.md").read_text(encoding="utf-8")
    found = [line for path in sources(folder) for line in pair_findings(path, source)]
    alone = {p.stem for p in folder.glob("*.ipynb")} - {p.stem for p in folder.glob("*.py")}
    found += [f"{name}.ipynb has no {name}.py" for name in sorted(alone)]
    if with_table(readme, table(folder, source)) != readme:
        found.append("README.md: its table is out of date: run `python tools/chapters.py table`")
    return found


# --- the command line ---


def run_all(names, profile: str) -> None:
    for path in sources(ROOT / "notebooks", names):
        print(f"{path.stem} ...", flush=True)
        noted = run(path, profile)
        print(f"{path.stem}: {noted['seconds']} s here, {noted['gpu_seconds_estimate']} s on a T4 (estimated)")


def write_table() -> None:
    readme = ROOT / "README.md"
    text = with_table(readme.read_text(encoding="utf-8"), table(ROOT / "notebooks", project_source()))
    with write_atomically(readme) as partial:
        partial.write_text(text, encoding="utf-8")


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run chapters and write their .ipynb files")
    running.add_argument("chapter", nargs="*", help="a number or a name (default: all)")
    running.add_argument("--profile", choices=PROFILES, default="laptop")
    telling = commands.add_parser("text", help="take changed words over into .ipynb files; outputs stay")
    telling.add_argument("chapter", nargs="*", help="a number or a name (default: all)")
    commands.add_parser("table", help="write README's table")
    commands.add_parser("stamp", help="write set-up cells and badges")
    commands.add_parser("check", help="look for faults")
    asked = parser.parse_args(argv)
    try:
        if asked.command == "run":
            run_all(asked.chapter, asked.profile)
        elif asked.command == "text":
            for path in sources(ROOT / "notebooks", asked.chapter):
                retell(path)
        elif asked.command == "table":
            write_table()
        elif asked.command == "stamp":
            for path in sources(ROOT / "notebooks"):
                stamp(path, project_source())
        else:
            found = findings()
            print("\n".join(found) or "all is well")
            return int(bool(found))
    except (CellExecutionError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
