"""The chapters as committed, the tool that looks after them, and what README and environment.yml promise."""

import base64
import io
import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import chapters
import fit_meter
import nbformat
import notebook_run
import numpy as np
import pytest
import skimage.data
import torch
import yaml
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_output
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from v101_utils.training import Task, adamw, fit

ROOT = chapters.ROOT
SOURCES = chapters.sources(ROOT / "notebooks")
by_chapter = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
PLACEHOLDER = "git+https://github.com/OWNER/REPO"

LITTLE = '''\
# %% [markdown]
# # 01 A little chapter
#
# You will see two and two.
#
# <!-- Colab badge: stamped once the repository's address is set -->

# %% tags=["setup"]

# %%
print(2 + 2)

# %%
for part in range(3):
    print(f"\\r{part} of 2", end="")
'''


@pytest.fixture(scope="module")
def little_project(tmp_path_factory):
    """A folder like the project's with one chapter of a few cells, stamped, run, and listed in its README."""
    root = tmp_path_factory.mktemp("project")
    (root / "notebooks").mkdir()
    source = root / "notebooks" / "01_little.py"
    source.write_text(LITTLE)
    (root / "pyproject.toml").write_text('[tool.vision101]\nsource = ""\n')
    chapters.stamp(source, "")
    notebook_run.run(source, "laptop")
    table = chapters.table(root / "notebooks", "")
    (root / "README.md").write_text(f"<!-- chapters -->\n{table}<!-- /chapters -->\n")
    return root


@pytest.fixture
def little(little_project, tmp_path):
    """The chapter's .py in a copy of that folder, to spoil."""
    return shutil.copytree(little_project, tmp_path / "project") / "notebooks" / "01_little.py"


# --- what is committed ---


@by_chapter
def test_a_chapter_is_as_the_tool_left_it(path):
    """Both files agree, the outputs are those of one clean run of this source, and they show nothing unwelcome."""
    assert chapters.pair_findings(path, chapters.project_source()) == []


def test_there_is_nothing_to_find():
    assert chapters.findings() == []


def test_readme_has_its_two_commands():
    commands = re.findall(r"```bash\n(.*)\n```", (ROOT / "README.md").read_text())
    assert commands[:2] == ["pip install -e . && jupyter lab notebooks", 'pip install -e ".[test]" && pytest']


def test_environment_asks_for_what_pyproject_asks_for():
    section = (ROOT / "pyproject.toml").read_text().partition("\ndependencies = [\n")[2].partition("\n]")[0]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    wanted = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    assert wanted == [*re.findall(r'^  "([^"]+)"', section, re.M), "-e ."]


# --- the checks can fail ---


def tampered(little, change) -> list[str]:
    path = little.with_suffix(".ipynb")
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    notebook_run.write(notebook, path)
    return chapters.findings(little.parent.parent)


def show(**output):
    return lambda notebook: notebook.cells[2].outputs.append(new_output(**output))


def test_a_clean_run_has_no_findings(little):
    assert chapters.findings(little.parent.parent) == []


@pytest.mark.parametrize(
    "change, finding",
    [
        (lambda n: n.cells[2].update(source="print(5)"), "differs from 01_little.py"),
        (lambda n: n.cells[2].metadata.update(tags=["x"]), "differs from 01_little.py"),
        (lambda n: n.cells.pop(), "differs from 01_little.py"),
        (lambda n: n.metadata.v101.update(source_sha256="0"), "not from this 01_little.py"),
        (lambda n: n.metadata.v101.update(profile="ci"), "of profile ci"),
        (lambda n: n.metadata.v101.update(seconds=6000), "table is out of date"),
        (lambda n: n.cells[2].update(execution_count=7), "one run from top to bottom"),
        (lambda n: n.metadata.update(widgets={}), "metadata.widgets"),
        (lambda n: n.cells[1].update(source="pass"), "set-up cell is not the usual one"),
        (show(output_type="error", ename="ValueError", evalue="", traceback=[]), "code cell 2 shows an error"),
        (show(output_type="stream", text="UserWarning: old"), "code cell 2 shows a warning"),
        (show(output_type="display_data", data={"text/html": "<b>/root/x</b>"}), "code cell 2 shows a path"),
    ],
)
def test_what_is_wrong_is_found(little, change, finding):
    assert finding in "\n".join(tampered(little, change))


def test_an_edit_to_the_source_is_found(little):
    little.write_text(little.read_text().replace("2 + 2", "2 + 3"))
    found = "\n".join(chapters.findings(little.parent.parent))
    assert "differs from 01_little.py" in found and "not from this 01_little.py" in found


def test_a_file_without_its_pair_is_found(little):
    shutil.copy(little.with_suffix(".ipynb"), little.with_name("02_alone.ipynb"))
    shutil.copy(little, little.with_name("03_other.py"))
    found = "\n".join(chapters.findings(little.parent.parent))
    assert "02_alone.ipynb has no 02_alone.py" in found and "03_other.py has no 03_other.ipynb" in found


# --- running ---


def test_a_run_leaves_a_tidy_notebook_and_keeps_cell_ids(little):
    first = nbformat.read(little.with_suffix(".ipynb"), as_version=4)
    assert [cell.outputs[0].text for cell in first.cells[2:]] == ["4\n", "2 of 2"]
    assert not first.cells[1].outputs and "execution" not in first.cells[2].metadata
    notebook_run.run(little, "laptop")
    second = nbformat.read(little.with_suffix(".ipynb"), as_version=4)
    assert [cell.id for cell in second.cells] == [cell.id for cell in first.cells]


def test_an_error_leaves_the_old_notebook(little):
    before = little.with_suffix(".ipynb").read_bytes()
    little.write_text(little.read_text() + "\n# %%\n1 / 0\n")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebook_run.run(little, "ci")
    assert little.with_suffix(".ipynb").read_bytes() == before


def test_carriage_returns_are_followed():
    assert notebook_run.as_on_a_terminal("10%\r 50%\r100%\nab\rc\nplain  ") == "100%\ncb\nplain  "


def encoded(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(("mode", "colours", "lean"), [
    ("RGB", [(7, 7, 7), (90, 90, 90)], "L"), ("RGBA", [(7, 7, 7, 255), (90, 90, 90, 255)], "L"),
    ("RGB", [(7, 7, 8), (90, 90, 90)], "RGB"), ("RGBA", [(7, 7, 7, 0), (90, 90, 90, 255)], "RGBA"),
])  # fmt: skip
def test_pictures_take_fewer_bytes_and_keep_their_pixels(mode, colours, lean):
    picture = Image.new(mode, (40, 40), colours[0])
    picture.paste(colours[1], (3, 5, 20, 30))
    before = encoded(picture)
    after = notebook_run.lean_png(before)
    again = Image.open(io.BytesIO(base64.b64decode(after)))
    assert len(after) < len(before) and again.mode == lean
    assert again.convert("RGBA").tobytes() == picture.convert("RGBA").tobytes()


def test_heavy_photographs_become_jpeg_and_look_the_same():
    picture = Image.fromarray(skimage.data.astronaut()[:400, :400])
    data = notebook_run.clean_outputs([new_output("display_data", data={"image/png": encoded(picture)})])[0].data
    again = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"]))))
    assert list(data) == ["image/jpeg"] and len(data["image/jpeg"]) < len(encoded(picture)) / 2
    assert peak_signal_noise_ratio(np.asarray(picture), again) > 35  # dB


@pytest.mark.parametrize("picture", [Image.fromarray(skimage.data.astronaut()[:40, :40]), Image.new("RGB", (2000, 2000), "red")])
def test_light_and_flat_pictures_stay_png(picture):
    data = notebook_run.clean_outputs([new_output("display_data", data={"image/png": encoded(picture)})])[0].data
    assert list(data) == ["image/png"]


def test_a_picture_is_kept_once():
    picture = Image.new("RGB", (40, 30), "red")
    both = {"image/png": encoded(picture), "image/jpeg": "what Pillow makes beside it"}
    data = notebook_run.clean_outputs([new_output("display_data", data=both)])[0].data
    assert set(data) == {"image/png"}


def test_a_widget_without_a_picture_becomes_words():
    widget = {notebook_run.WIDGET: {}, "text/plain": "HBox()"}
    bare, with_picture = (
        notebook_run.clean_outputs([new_output("display_data", data={**widget, **more})])[0].data
        for more in ({}, {"image/png": encoded(Image.new("RGB", (2, 2)))})
    )
    assert list(bare) == ["text/plain"] and notebook_run.WIDGET in with_picture


class Line(Task):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(8, 8, bias=False)
        self.optimisers = {"line": adamw(self.parameters(), 1e-2)}

    def training_step(self, batch, minimise):
        loss = (self.layer(batch[0]) - torch.randn(16, 8)).square().mean()
        minimise(loss, self.optimisers["line"])
        return {"loss": loss}


def test_metering_counts_a_training_and_leaves_it_as_it_is(monkeypatch):
    monkeypatch.setattr(fit_meter, "FITS", [])
    task, metered = Line(), Line()
    losses = list(fit(task, lambda step: (torch.randn(16, 8),), steps=3, progress=False))
    torch.manual_seed(0), metered.load_state_dict(Line().state_dict())
    assert list(fit_meter.metered(fit)(metered, lambda step: (torch.randn(16, 8),), steps=3, progress=False)) == losses
    [record] = fit_meter.FITS
    assert record["steps"] == 3 and record["seconds"] > 0
    assert record["flops"] == 2 * (2 * 16 * 8 * 8)  # the product forward, and backward for the weights


def test_the_gpu_estimate_is_the_rest_plus_counted_operations_or_launches():
    fits = [{"steps": 10, "flops": 1, "seconds": 20.0}, {"steps": 10, "flops": 8.1e12, "seconds": 50.0}]
    assert notebook_run.gpu_seconds(100.0, fits) == pytest.approx(30 + 10 * 0.008 + 10 * 4)


# --- stamping ---


@pytest.fixture(params=["little", *SOURCES], ids=lambda chosen: getattr(chosen, "stem", chosen))
def stamped_copy(request, tmp_path):
    if request.param == "little":
        return request.getfixturevalue("little")
    for path in (request.param, request.param.with_suffix(".ipynb")):
        shutil.copy(path, tmp_path)
    return tmp_path / request.param.name


def test_stamping_writes_badge_and_source_and_can_be_undone(stamped_copy):
    files = [stamped_copy, stamped_copy.with_suffix(".ipynb")]
    before = [file.read_bytes() for file in files]
    chapters.stamp(stamped_copy, PLACEHOLDER)
    address = f"https://colab.research.google.com/github/OWNER/REPO/blob/main/notebooks/{stamped_copy.stem}.ipynb"
    notebook = nbformat.read(files[1], as_version=4)
    assert address in files[0].read_text() and address in notebook.cells[0].source
    assert f'SOURCE = "{PLACEHOLDER}"' in files[0].read_text()
    assert chapters.pair_findings(stamped_copy, PLACEHOLDER) == []
    chapters.stamp(stamped_copy, "")
    assert [file.read_bytes() for file in files] == before


def test_new_words_are_taken_over_and_the_outputs_stay(little):
    before = nbformat.read(little.with_suffix(".ipynb"), as_version=4)
    little.write_text(little.read_text().replace("You will see", "You shall see"))
    assert "differs from 01_little.py" in "\n".join(chapters.pair_findings(little, ""))
    notebook_run.retell(little)
    after = nbformat.read(little.with_suffix(".ipynb"), as_version=4)
    assert chapters.pair_findings(little, "") == [] and "You shall see" in after.cells[0].source
    assert [c.get("outputs") for c in after.cells] == [c.get("outputs") for c in before.cells]


def test_new_code_is_not_taken_over(little):
    before = little.with_suffix(".ipynb").read_bytes()
    little.write_text(little.read_text().replace("2 + 2", "2 + 3"))
    with pytest.raises(ValueError, match="01_little: its code is not what its outputs are from"):
        notebook_run.retell(little)
    assert little.with_suffix(".ipynb").read_bytes() == before


def test_stamping_does_not_bless_stale_outputs(little):
    tampered(little, lambda notebook: notebook.metadata.v101.update(source_sha256="stale"))
    chapters.stamp(little, PLACEHOLDER)
    assert "its outputs are not from this" in "\n".join(chapters.pair_findings(little, PLACEHOLDER))


def test_a_badge_needs_an_address_at_github():
    assert chapters.badge("git+https://HOST/OWNER/REPO", "01_little") == chapters.NO_BADGE
    assert chapters.colab_address(PLACEHOLDER + ".git@main", "x") == chapters.colab_address(PLACEHOLDER, "x") != ""


def test_the_table_has_badges_once_there_is_an_address(little):
    without, with_badges = (chapters.table(little.parent, source) for source in ("", PLACEHOLDER))
    assert "Colab |" not in without and "01 A little chapter" in without and "You will see two and two." in without
    assert with_badges.count("[![Open in Colab]") == 1


# --- the set-up cell, where nothing is installed ---


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A virtual environment with a stand-in for Colab that sees all that is installed here but Vision-101 itself."""
    folder = tmp_path_factory.mktemp("colab")
    links = folder / "packages"
    (links / "google").mkdir(parents=True)
    (links / "google" / "colab.py").write_text("")
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            ours = "v101" in entry.name or entry.suffix == ".pth" or entry.name in ("google", "pip")
            if not (ours or (links / entry.name).exists()):
                (links / entry.name).symlink_to(entry)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    (Path(site.strip()) / "installed.pth").write_text(f"{links}\n")
    return python


def run_setup_cell(python, folder, then="", **variables):
    """Runs the set-up cell and a line after it in an empty folder."""
    hidden = ("V101_SOURCE", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {key: value for key, value in os.environ.items() if key not in hidden} | variables
    code = f"import google.colab\n{chapters.setup_cell('')}\n{then}"
    return subprocess.run([python, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_setup_cell_says_what_to_set(bare_python, tmp_path):
    ran = run_setup_cell(bare_python, tmp_path)
    assert ran.returncode != 0 and "RuntimeError: Vision-101 is not installed" in ran.stderr
    assert 'os.environ["V101_SOURCE"] = "git+https://HOST/OWNER/REPO"' in ran.stderr


def test_the_setup_cell_installs_the_package(bare_python, tmp_path):
    """As in Colab: all else is there already, the package is not. A copy of the checkout takes the build's litter."""
    look = [bare_python, "-c", "import torch, v101_utils"]
    absent = subprocess.run(look, cwd=tmp_path, capture_output=True, text=True)
    assert "No module named 'v101_utils'" in absent.stderr
    checkout, empty = tmp_path / "checkout", tmp_path / "empty"
    shutil.copytree(ROOT / "v101_utils", checkout / "v101_utils", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    empty.mkdir()
    then = "from v101_utils import data; print(data.__file__); data.fashion_mnist('test', source='shipped')"
    ran = run_setup_cell(bare_python, empty, then, V101_SOURCE=str(checkout))
    if "Could not find a version that satisfies the requirement setuptools" in ran.stderr:
        pytest.skip("needs a package index: pip builds the project with setuptools")
    assert ran.returncode == 0, ran.stderr
    assert str(bare_python.parent.parent / "lib") in ran.stdout


def test_the_setup_cell_does_nothing_where_the_package_is(tmp_path):
    exec(chapters.setup_cell(""), {})


def test_the_setup_cell_is_short():
    assert len(chapters.setup_cell("").splitlines()) < 12


@by_chapter
def test_the_listings_are_the_packages_source_as_it_is(path):
    """`source(thing)` shows what the package held when the chapter was run; it may have changed since."""
    cells = [cell for cell in nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells if cell.cell_type == "code"]
    names = {}
    for statement in re.findall(r"^from v101_utils[\w.]* import (?:\([^)]*\)|[^\n]*)", "\n".join(c.source for c in cells), re.M):
        exec(statement, names)
    listings = [cell for cell in cells if re.fullmatch(r"source\([\w.]+\)", cell.source.split("\n")[-1])]
    assert listings
    for cell in listings:
        assert cell.outputs[-1].data["text/plain"] == eval(cell.source.split("\n")[-1], names).data
