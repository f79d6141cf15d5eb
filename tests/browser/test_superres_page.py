"""Chapter 14 in a page: all of it runs, and the wipe, the factor and the blend change their pictures."""

from lab import NOTEBOOKS, changed, chapter, drag, errors, needs_chromium

pytestmark = needs_chromium


def test_the_wipe_and_the_blend_change_the_pictures(tmp_path):
    with chapter(NOTEBOOKS / "14_super_resolution.ipynb", tmp_path) as page:
        for widget, slider, ways in (("wipe", -1, (60, -40)), ("wipe", 0, (-90,)), ("blend", 0, (60, -40))):
            box, picture = page.locator(f".v101-{widget}").first, page.locator(f"img.v101-{widget}-picture").first
            for right in ways:
                with changed(picture):
                    drag(page, box.locator(".noUi-handle").nth(slider), right)
        assert errors(page) == []
