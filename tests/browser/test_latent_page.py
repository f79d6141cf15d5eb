"""Chapter 09 in a page: all of it runs; guidance and words change what is drawn, and a channel's factor what is decoded."""

from lab import NOTEBOOKS, changed, chapter, drag, errors, needs_chromium

pytestmark = needs_chromium


def test_words_guidance_and_channels_change_the_pictures(tmp_path):
    with chapter(NOTEBOOKS / "09_latent_diffusion.ipynb", tmp_path) as page:
        for widget, place, options in (("prompt", 1, ("blue", "any")), ("channel", 0, ("2",))):  # of the dropdowns: colour, channel
            box, picture = page.locator(f".v101-{widget}").first, page.locator(f"img.v101-{widget}-picture").first
            for right in (60, -80):
                with changed(picture):
                    drag(page, box.locator(".noUi-handle"), right)
            for option in options:
                with changed(picture):
                    box.locator("select").nth(place).select_option(option)
        assert errors(page) == []
