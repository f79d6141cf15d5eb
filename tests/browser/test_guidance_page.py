"""Chapter 08 in a page: all of it runs, and another guidance scale or another class changes the picture."""

from lab import NOTEBOOKS, changed, chapter, drag, errors, needs_chromium

pytestmark = needs_chromium


def test_guidance_and_class_change_the_picture(tmp_path):
    with chapter(NOTEBOOKS / "08_guidance.ipynb", tmp_path) as page:
        box, picture = page.locator(".v101-guidance").first, page.locator("img.v101-guidance-picture").first
        for right in (60, -40):
            with changed(picture):
                drag(page, box.locator(".noUi-handle"), right)
        for name in ("bag", "trouser"):
            with changed(picture):
                box.locator("select").select_option(name)
        assert errors(page) == []
