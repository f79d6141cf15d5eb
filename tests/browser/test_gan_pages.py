"""Chapters 01 to 05 in a page: all of each runs, and its slider changes the picture."""

import pytest
from lab import NOTEBOOKS, changed, chapter, drag, errors, needs_chromium

pytestmark = needs_chromium


@pytest.mark.parametrize(("name", "widget"), [
    ("01_gan_theory", "distance"), ("02_dcgan", "latent-walk"), ("03_wgan", "critic"), ("04_conditional_gan", "class-mix"),
    ("05_stylegan", "crossover"),
])  # fmt: skip
def test_dragging_the_slider_changes_the_picture(tmp_path, name, widget):
    with chapter(NOTEBOOKS / f"{name}.ipynb", tmp_path) as page:
        box, picture = page.locator(f".v101-{widget}").first, page.locator(f"img.v101-{widget}-picture").first
        for right in (60, -60):
            with changed(picture):
                drag(page, box.locator(".noUi-handle").first, right)
        assert errors(page) == []
