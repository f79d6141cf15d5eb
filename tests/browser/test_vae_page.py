"""Chapter 11 in a page: all of it runs, and dragging beta changes the picture."""

from lab import NOTEBOOKS, changed, chapter, drag, errors, needs_chromium

pytestmark = needs_chromium


def test_dragging_beta_changes_the_picture(tmp_path):
    with chapter(NOTEBOOKS / "11_vae.ipynb", tmp_path) as page:
        handle, picture = page.locator(".v101-beta .noUi-handle").first, page.locator("img.v101-beta-picture").first
        for right in (60, -90):
            with changed(picture):
                drag(page, handle, right)
        assert errors(page) == []
