"""Runs a chapter from top to bottom in a fresh kernel and makes its outputs fit to be committed."""

import base64
import hashlib
import io
import json
import os
import re
import time
from pathlib import Path

import jupytext
import nbformat
from jupytext.combine import map_outputs_to_inputs
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image, ImageChops

from v101_utils.files import write_atomically

# The GPU estimate, for a Colab T4: what is not training takes as long as it did here; a training step takes its counted
# operations at a quarter of the card's peak (8.1e12 fp32 operations a second), but never less than the time to launch
# its kernels. It is for the same number of steps as were run here. Nobody has run the chapters on such a card.
T4_PEAK, T4_SHARE, T4_LAUNCH = 8.1e12, 0.25, 0.008

HEAVY = 100_000  # characters of a picture in a notebook; GitHub shows no page that has megabytes of them

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py", "mimetype": "text/x-python",
    "name": "python", "nbconvert_exporter": "python", "pygments_lexer": "ipython3",
}  # fmt: skip
WIDGET = "application/vnd.jupyter.widget-view+json"
INSTALL = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nimport fit_meter\nfit_meter.install()\n"
INSTALL += "sys.path.pop(0)\ndel sys, fit_meter"
REPORT = "__import__('fit_meter').report()"


def paired_metadata(cell) -> dict:
    return {key: cell.metadata[key] for key in ("tags", "jupyter") if key in cell.metadata}


def cells_of(notebook) -> list[dict]:
    """What a chapter's two files must agree on: each cell's type, source, and the metadata that jupytext.toml pairs."""
    return [{"type": c.cell_type, "source": c.source, "metadata": paired_metadata(c)} for c in notebook.cells]


def source_sha256(notebook) -> str:
    """The hash of the code cells' sources, in order: it ties outputs to the code that made them."""
    parts = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def write(notebook, path: Path) -> None:
    """Writes a notebook, always in the same form, so that what did not change does not differ."""
    text = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    with write_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8")


def fresh(source: Path):
    """The .py as a notebook without outputs, its cells with the ids that they have in the .ipynb beside it, if any."""
    cells = jupytext.read(source).cells
    for cell in cells:
        cell.metadata = nbformat.from_dict(paired_metadata(cell))
    committed = source.with_suffix(".ipynb")
    if committed.exists():
        old = nbformat.read(committed, as_version=4).cells
        for cell, match in zip(cells, map_outputs_to_inputs(cells, old), strict=True):
            if match is not None:
                cell["id"] = old[match]["id"]
    return new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": LANGUAGE})


def execute(notebook, folder: Path, profile: str) -> tuple[float, list[dict]]:
    """Runs the cells in a new kernel; returns the seconds and what `fit_meter` saw. Raises CellExecutionError."""
    client = NotebookClient(
        new_notebook(cells=[new_code_cell(INSTALL), *notebook.cells, new_code_cell(REPORT)]),
        timeout=None, kernel_name="python3", resources={"metadata": {"path": str(folder)}},
        store_widget_state=False, record_timing=False, extra_arguments=["--log-level=ERROR"],
    )  # fmt: skip
    hidden, start = (0, len(notebook.cells) + 1), time.monotonic()
    with client.setup_kernel(env={**os.environ, "V101_PROFILE": profile}):
        for number, cell in enumerate(client.nb.cells):
            client.execute_cell(cell, number, store_history=number not in hidden)
    seen = json.loads("".join(output.text for output in client.nb.cells[-1].outputs))
    notebook.cells = client.nb.cells[1:-1]
    return time.monotonic() - start - seen["counting"], seen["fits"]


def gpu_seconds(seconds: float, fits: list[dict]) -> float:
    """The estimate described at the top of this file."""
    elsewhere = max(0.0, seconds - sum(fit["seconds"] for fit in fits))
    return elsewhere + sum(fit["steps"] * max(T4_LAUNCH, fit["flops"] / (T4_SHARE * T4_PEAK)) for fit in fits)


def as_on_a_terminal(text: str) -> str:
    """What is left to see of text whose carriage returns go back to the start of the line, as progress bars do."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip() if "\r" in line else line)
    return "\n".join(lines)


def lean_png(encoded: str) -> str:
    """The same pixels in fewer bytes, base64 in and out: one channel where the picture is grey, no alpha where it is opaque."""
    picture, packed = Image.open(io.BytesIO(base64.b64decode(encoded))), io.BytesIO()
    if picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255):
        picture = picture.convert("RGB")
    if picture.mode == "RGB" and ImageChops.difference(picture, picture.convert("L").convert("RGB")).getbbox() is None:
        picture = picture.convert("L")
    picture.save(packed, "PNG", optimize=True)
    return min(base64.b64encode(packed.getvalue()).decode() + "\n", encoded, key=len)


def as_photograph(encoded: str) -> str | None:
    """A PNG as a JPEG, base64 in and out, where that is a heavy picture's better form; None where it is to stay a PNG.

    That is where it saves half: photographs, and what is made of them. Drawn curves and flat shapes stay as they are.
    """
    picture, packed = Image.open(io.BytesIO(base64.b64decode(encoded))), io.BytesIO()
    if len(encoded) < HEAVY or picture.mode == "RGBA":
        return None
    picture.save(packed, "JPEG", quality=92, subsampling=0)
    found = base64.b64encode(packed.getvalue()).decode() + "\n"
    return found if len(found) < len(encoded) / 2 else None


def clean_outputs(outputs: list) -> list:
    """Outputs for a page: streams joined and as on a terminal, lean pictures, a line of text for each widget without one."""
    cleaned = []
    for output in outputs:
        if output.output_type == "stream" and cleaned and cleaned[-1].get("name") == output.name:
            cleaned[-1].text += output.text
        else:
            cleaned.append(output)
        data = output.get("data", {})
        if "image/png" in data:
            data["image/png"] = lean_png(data["image/png"])
            data.pop("image/jpeg", None)  # Pillow's pictures come as both: one is kept
            if photograph := as_photograph(data["image/png"]):
                data["image/jpeg"] = photograph
                del data["image/png"]
        elif WIDGET in data:
            output.data = {"text/plain": "(something to play with: run this cell to see it)"}
    for output in cleaned:
        if output.output_type == "stream":
            output.text = as_on_a_terminal(output.text)
    return [output for output in cleaned if output.get("text", "-").strip()]


def run(source: Path, profile: str) -> dict:
    """Runs one chapter and writes its .ipynb; returns what it noted there. An error leaves the old .ipynb as it was."""
    notebook = fresh(source)
    seconds, fits = execute(notebook, source.parent, profile)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = clean_outputs(cell.outputs)
            cell.metadata.pop("execution", None)
    noted = {
        "source_sha256": source_sha256(notebook), "seconds": round(seconds), "profile": profile,
        "gpu_seconds_estimate": round(gpu_seconds(seconds, fits)),
    }  # fmt: skip
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE, "v101": noted})
    write(notebook, source.with_suffix(".ipynb"))
    return noted


def retell(source: Path) -> None:
    """Takes the words of a chapter's .py over into its .ipynb; the outputs stay. Raises ValueError where the code differs."""
    notebook, committed = fresh(source), nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    if source_sha256(notebook) != committed.metadata.get("v101", {}).get("source_sha256"):
        raise ValueError(f"{source.stem}: its code is not what its outputs are from; run it")
    new, old = ([c for c in n.cells if c.cell_type == "code"] for n in (notebook, committed))
    for cell, ran in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
    notebook.metadata = committed.metadata
    write(notebook, source.with_suffix(".ipynb"))


def outputs_as_text(cell) -> str:
    """All that a code cell's outputs say in words."""
    found = []
    for output in cell.get("outputs", []):
        found.append(output.get("text", ""))
        found += [str(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
        if output.output_type == "error":
            found.append("Traceback (most recent call last)")
    return "\n".join(found)


# What no page of the collection may show, and what to call it.
UNWELCOME = {
    "an error": re.compile(r"Traceback \(most recent call last\)"),
    "a warning": re.compile(r"Warning:"),
    "a path of the machine": re.compile(r"/(root|home|tmp|work|Users)/"),
}
