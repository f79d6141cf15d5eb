"""`v101 stylize`: files and names in, a picture out, refusals before any work."""

import numpy as np
import pytest
from PIL import Image

from v101_utils.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def v101(line: str) -> int:
    try:
        return main(["stylize", *line.split()])
    except SystemExit as ended:  # argparse's way
        return ended.code


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


@pytest.fixture
def square(here):
    Image.new("RGB", (60, 30), (200, 90, 40)).save(here / "mine.jpg")
    return "mine.jpg"


def test_names_and_files_and_a_seed(here, square, capsys):
    lines = {"a.png": "coffee mosaic", "b.png": "coffee mosaic", "c.png": f"coffee {square}", "d.webp": f"{square} ihc"}
    for out, line in lines.items():
        assert v101(f"{line} {out} --size 32 --steps 2") == 0
        assert f"pixels to {out}" in capsys.readouterr().out
    assert pixels("a.png").shape == (21, 32, 3) and pixels("d.webp").shape == (16, 32, 3)
    assert np.array_equal(pixels("a.png"), pixels("b.png"))
    assert np.abs(pixels("a.png") - pixels("c.png")).mean() > 1


def test_options_change_the_picture(square):
    base = "coffee mosaic {} --size 32 --steps 3"
    assert v101(base.format("a.png")) == 0
    for i, option in enumerate(("--content-weight 50", "--keep-colours", "--steps 6", "--seed 1")):
        assert v101(f"{base.format(f'{i}.png')} {option}") == 0
        assert not np.array_equal(pixels("a.png"), pixels(f"{i}.png")), option


@pytest.mark.parametrize(("line", "reason"), [
    ("nobody.png mosaic out.png", "nobody.png: no such picture"),
    ("coffee cubism out.png", "cubism: no such style; give a file, or one of mosaic"),
    ("coffee mosaic nowhere/out.png", "the folder nowhere does not exist"),
    ("coffee mosaic out.doc", "should be one of .png"),
    ("coffee mosaic out.png --size 8", "from 32 to 2048"),
    ("coffee mosaic out.png --steps 0", "a step for each"),
    ("coffee mosaic out.png --content-weight -1", "0 or above"),
    ("coffee mosaic out.png --seed -1", "0 or above"), ("coffee mosaic out.png --method fast --seed 1", "does not take --seed"),
    ("coffee text.png out.png", "text.png is not an image"),
])  # fmt: skip
def test_refusals_are_one_line_and_leave_nothing(here, capsys, line, reason):
    (here / "text.png").write_text("Dear reader,")
    assert v101(line) == 1
    error = capsys.readouterr().err
    assert error.startswith("v101: ") and reason in error and error.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["text.png"]


def test_an_unknown_method_is_refused(capsys):
    assert v101("coffee mosaic out.png --method magic") == 2
    assert "gatys" in capsys.readouterr().err
