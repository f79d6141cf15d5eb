"""Chapter 13 in a page: all of it runs, and the sliders of the styles and an upload change the picture."""

import io

from lab import NOTEBOOKS, changed, chapter, drag, errors, needs_chromium
from PIL import Image

pytestmark = needs_chromium


def test_styles_and_an_upload_change_the_picture(tmp_path):
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "PNG")
    with chapter(NOTEBOOKS / "13_fast_style.ipynb", tmp_path) as page:
        box, picture = page.locator(".v101-style-blend").first, page.locator("img.v101-style-blend-picture").first
        for slider, right in ((1, 80), (0, -60)):  # of one style alone the amount would say nothing
            with changed(picture):
                drag(page, box.locator(".noUi-handle").nth(slider), right)
        for content in (file.getvalue(), b"no picture"):
            with changed(picture):
                with page.expect_file_chooser() as chooser:  # the input itself is not on the page
                    box.get_by_role("button", name="your picture").click()
                chooser.value.set_files({"name": "mine.png", "mimeType": "image/png", "buffer": content})
        assert errors(page) == []
