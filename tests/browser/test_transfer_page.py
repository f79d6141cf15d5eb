"""Chapter 12 in a page: all of it runs, the content weight changes its picture, and the button goes on with a transfer."""

from lab import NOTEBOOKS, changed, chapter, drag, errors, needs_chromium

pytestmark = needs_chromium


def test_the_weight_and_the_button_change_their_pictures(tmp_path):
    with chapter(NOTEBOOKS / "12_style_transfer.ipynb", tmp_path) as page:
        box, picture = page.locator(".v101-content-weight").first, page.locator("img.v101-content-weight-picture").first
        for right in (60, -40):
            with changed(picture):
                drag(page, box.locator(".noUi-handle").last, right)
        box, picture = page.locator(".v101-transfer").first, page.locator("img.v101-transfer-picture").first
        with changed(picture):
            box.get_by_role("button", name="more steps").click()
        with changed(picture):
            box.get_by_role("button", name="from the start").click()
        assert errors(page) == []
