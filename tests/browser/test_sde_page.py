"""Chapter 10 in a page: all of it runs, and time and the corrector's strength change their pictures."""

from lab import NOTEBOOKS, changed, chapter, drag, errors, needs_chromium

pytestmark = needs_chromium


def test_time_and_strength_change_the_pictures(tmp_path):
    with chapter(NOTEBOOKS / "10_score_sde.ipynb", tmp_path) as page:
        for widget in ("field", "corrector"):
            box, picture = page.locator(f".v101-{widget}").first, page.locator(f"img.v101-{widget}-picture").first
            for right in (60, -40):
                with changed(picture):
                    drag(page, box.locator(".noUi-handle").last, right)
        assert errors(page) == []
