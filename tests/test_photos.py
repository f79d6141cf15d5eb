"""Photographs: those that ship, a reader's own in any format, and files that are no pictures."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from v101_utils.data.photos import PHOTOS, photo

rng = np.random.default_rng(0)
RGB = rng.integers(0, 256, (24, 36, 3), np.uint8)


def encode(picture: Image.Image, kind="PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def unit(image: torch.Tensor) -> np.ndarray:
    """(H, W, 3) in [0, 1]."""
    return ((image[0].permute(1, 2, 0) + 1) / 2).numpy()


@pytest.mark.parametrize("name", PHOTOS)
def test_every_photo_loads(name):
    image = photo(name, side=64)
    assert image.shape[:2] == (1, 3)
    assert max(image.shape[2:]) == 64
    assert image.dtype == torch.float32
    assert image.min() >= -1 and image.max() <= 1 and image.std() > 0.1


def test_pixels_are_as_stored(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(Image.fromarray(RGB)))
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes()):
        assert np.array_equal((unit(photo(source)) * 255).round().astype(np.uint8), RGB)


def test_the_longer_side_is_scaled():
    assert photo(encode(Image.fromarray(RGB)), side=12).shape == (1, 3, 8, 12)
    assert photo(encode(Image.fromarray(RGB[:, :1])), side=4).shape == (1, 3, 4, 1)


def test_alpha_is_laid_on_white():
    alpha = np.full((24, 36), 255, np.uint8)
    alpha[:12], alpha[12:18] = 0, 51  # see-through, then a fifth
    found = unit(photo(encode(Image.fromarray(np.dstack([RGB, alpha])))))
    expected = 1 - (alpha / 255)[..., None] * (1 - RGB / 255)
    assert np.abs(found - expected).max() < 1.5 / 255


@pytest.mark.parametrize("top", [65535, 200], ids=["full range", "nearly black"])
def test_sixteen_bits_are_scaled(top):
    ramp = np.linspace(0, top, 20 * 30).reshape(20, 30).astype(np.uint16)
    found = unit(photo(encode(Image.fromarray(ramp))))
    assert np.abs(found - (ramp / 65535)[..., None]).max() < 1 / 255


@pytest.mark.parametrize("end", [-1000, 200_000])
def test_numbers_of_more_than_sixteen_bits_are_refused(end):
    ramp = np.linspace(0, end, 20 * 30).reshape(20, 30).astype(np.int32)
    with pytest.raises(ValueError, match="from 0 to 65535"):
        photo(encode(Image.fromarray(ramp), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK"])
def test_other_modes_are_spread_to_rgb(mode):
    picture = Image.fromarray(RGB).convert(mode)
    found = unit(photo(encode(picture, "TIFF" if mode == "CMYK" else "PNG")))
    assert np.abs(found - np.asarray(picture.convert("RGB")) / 255).max() < 1e-6


def test_a_palette_with_a_see_through_colour():
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((0, 0), 1)
    found = unit(photo(encode(picture, transparency=0)))
    assert found[0, 0] == pytest.approx([0, 0, 1])
    assert found[2, 2] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("orientation", "turned"), [(3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)])
def test_a_photo_stands_upright(orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = unit(photo(encode(Image.fromarray(RGB), exif=exif)))
    assert np.abs(found - turned(RGB) / 255).max() < 1e-6


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_is_refused(tmp_path, kind):
    whole, path = encode(Image.fromarray(RGB), kind), tmp_path / f"cut.{kind.lower()}"
    for fraction in (0.02, 0.3, 0.5, 0.8):
        path.write_bytes(whole[: int(len(whole) * fraction)])
        with pytest.raises(ValueError, match="cut."):
            photo(path)


@pytest.mark.parametrize(("content", "reason"), [(b"", "is empty"), (b"Dear reader,\n", "not an image"), (b"P6 2? 2 255 ", "damaged")])
def test_no_picture_is_refused(tmp_path, content, reason):
    (tmp_path / "letter.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=f"letter.jpg.*{reason}"):
        photo(tmp_path / "letter.jpg")
    with pytest.raises(ValueError, match=f"the upload.*{reason}"):
        photo(content)


@pytest.mark.parametrize("side", [12, 30], ids=["a warning to Pillow", "an error to Pillow"])
def test_a_bomb_is_refused(monkeypatch, tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(encode(Image.new("RGB", (side, side))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="bomb.png is too large"):
        photo(tmp_path / "bomb.png")


@pytest.mark.parametrize("name", ["mona_lisa", "nowhere/picture.png"])
def test_an_unknown_name_lists_the_known(name):
    with pytest.raises(FileNotFoundError, match=f"{name}.*astronaut.*camera"):
        photo(name)


@pytest.mark.parametrize("side", [0, -5])
def test_a_side_without_a_pixel_is_refused(side):
    with pytest.raises(ValueError, match=f"side {side}: it should be at least 1"):
        photo("camera", side=side)
