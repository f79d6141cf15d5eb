"""Chapters in a real JupyterLab and a real browser."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}: apt-get install chromium")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is on the page, not only those in view
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
ERRORS = """() => jupyterapp.shell.currentWidget.content.model.toJSON().cells
    .flatMap(cell => cell.outputs ?? []).filter(output => output.output_type === 'error')
    .map(error => `${error.ename}: ${error.evalue}`)"""
RUN_OR_BROKEN = f"""() => ({ERRORS})().length ||
    [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].every(p => /\\[\\d+\\]/.test(p.textContent))"""
PIXELS = """image => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL();
}"""


def without_outputs(source: Path, target: Path) -> None:
    """A copy of a notebook that has not been run, so that whatever is on the page later was made there."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, target)


@contextmanager
def jupyter_lab(folder: Path):
    """Serves `folder` with settings of its own; gives the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = folder.parent / "jupyter"
    for name, setting in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(setting))
    own = {f"JUPYTERLAB_{kind}_DIR": str(home / kind.lower()) for kind in ("SETTINGS", "WORKSPACES")}
    own |= {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    own["V101_PROFILE"] = "ci"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--expose-app-in-browser"]  # as `jupyterapp`: on the page alone an error looks like any text to stderr
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0"]
    with open(folder.parent / "jupyterlab.log", "w") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    try:
        wait_for(port, server, seconds=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()  # its kernels end with it
        server.wait(30)


def wait_for(port: int, server: subprocess.Popen, seconds: float) -> None:
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not answer at port {port}; see jupyterlab.log in the test's folder")


@contextmanager
def browser_page(pictures: Path):
    """A page of a headless browser. If what is done on it fails, the folder `pictures` gets a picture of it."""
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        try:
            yield page
        except BaseException:
            page.screenshot(path=pictures / "page.png")
            print(f"the page as it was: {pictures / 'page.png'}")
            raise
        finally:
            browser.close()


def run_all_cells(page) -> None:
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)  # until then cells are not run, silently
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
    page.wait_for_function(RUN_OR_BROKEN, timeout=900_000, polling=500)  # minutes on a busy machine
    assert errors(page) == [], errors(page)


def errors(page) -> list[str]:
    """What the cells have raised."""
    return page.evaluate(ERRORS)


@contextmanager
def chapter(notebook: Path, folder: Path):
    """A page with a copy of the notebook, all of whose cells have just run without an error."""
    (folder / "notebooks").mkdir()
    without_outputs(notebook, folder / "notebooks" / notebook.name)
    with jupyter_lab(folder / "notebooks") as address, browser_page(folder) as page:
        page.goto(f"{address}/lab/tree/{notebook.name}")
        run_all_cells(page)
        yield page


def drag(page, handle, right: int) -> None:
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y, steps=8)
    page.mouse.up()


@contextmanager
def changed(picture):
    """What is done inside must change the picture (an img): waits until its pixels are others, and then are at rest."""
    page, before = picture.page, [picture.element_handle(), picture.evaluate(PIXELS)]
    yield
    page.wait_for_function(f"([image, old]) => ({PIXELS})(image) !== old", arg=before, timeout=120_000)
    page.wait_for_timeout(1000)  # a slider may send a value for each place on the way: wait for the last
