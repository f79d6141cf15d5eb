"""`v101 upscale`: every kind of picture in, the same kind out, larger; refusals in one line that leave nothing behind."""

import re
import time

import numpy as np
import pytest
import torch
from PIL import Image

from v101_utils import zoo
from v101_utils.cli import main
from v101_utils.data.photos import open_picture, photo, pixels_of
from v101_utils.files import KINDS
from v101_utils.superres import ESPCN, SRCNN, SRResNet, enlarge
from v101_utils.superres.files import Bicubic, upscale, upscale_file
from v101_utils.superres.restore import restore

rng = np.random.default_rng(0)
FULL = rng.integers(0, 256, (22, 30, 4), np.uint8)
RGBA = Image.fromarray(FULL)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def v101(*arguments) -> int:
    try:
        return main([str(a) for a in arguments])
    except SystemExit as ended:  # argparse's way
        return ended.code


def awake(model, seed=0):
    """A network none of whose layers is zero, so that everything in it counts."""
    torch.manual_seed(seed)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=1 / max(1, p[0].numel()) ** 0.5 if p.ndim > 1 else 0.1)
    return model.requires_grad_(False)


def values(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def in_bytes(images: torch.Tensor) -> np.ndarray:
    """(1, C, H, W) in [-1, 1] as (H, W, C) of 0..255, by numpy."""
    return np.clip(np.round((images[0].permute(1, 2, 0).numpy().astype(np.float64) + 1) * 127.5), 0, 255).astype(int)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_command_keeps_the_mode_and_multiplies_the_size(mode, factor, capsys):
    RGBA.convert(mode).save("in.png")
    assert v101("upscale", "in.png", "out.png", "--scale", factor, "--method", "bicubic") == 0
    assert capsys.readouterr().out == f"wrote {30 * factor} x {22 * factor} pixels to out.png\n"
    with Image.open("out.png") as large:
        assert (large.mode, large.size) == (mode, (30 * factor, 22 * factor))


def test_bicubic_is_matlabs_and_goes_through_the_same_file_twice():
    RGBA.convert("RGB").save("in.png")
    assert v101("upscale", "in.png", "in.png", "--scale", 3, "--method", "bicubic") == 0
    expected = enlarge(torch.from_numpy(FULL[..., :3] / 127.5 - 1).permute(2, 0, 1)[None], 3)
    assert np.abs(values(Image.open("in.png")) - in_bytes(expected)).max() <= 1


@pytest.mark.parametrize("method", [name for name in ("srcnn", "espcn", "srresnet", "srgan") if name in zoo.names()])
def test_the_command_writes_what_the_network_makes(method):
    low = photo("chelsea", side=60)
    Image.fromarray(in_bytes(low).astype(np.uint8)).save("in.png")
    assert v101("upscale", "in.png", "out.png", "--scale", 2, "--method", method) == 0
    expected = restore(zoo.load(method), low, 2)
    found = values(Image.open("out.png"))
    assert np.abs(found - in_bytes(expected)).max() <= 1
    assert np.abs(found - in_bytes(enlarge(low, 2))).max() > 8  # and not what bicubic interpolation does


@pytest.mark.parametrize("model", [Bicubic(), awake(SRCNN(1, (8, 6))), awake(ESPCN((8, 6))), awake(SRResNet(8, 2))],
                         ids=["bicubic", "srcnn", "espcn", "srresnet"])  # fmt: skip
def test_tiles_equal_the_whole(model):
    picture = Image.fromarray(rng.integers(0, 256, (61, 45, 3), np.uint8))
    whole = upscale(picture, 3, model, side=1000)
    assert np.abs(values(whole) - in_bytes(restore(model, pixels_of(picture), 3, side=1000))).max() <= 1
    assert np.abs(values(upscale(picture, 3, model, side=13)) - values(whole)).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (2, 3)])
@pytest.mark.parametrize("model", [Bicubic(), awake(SRCNN(1, (8, 6))), awake(ESPCN((8, 6))), awake(SRResNet(8, 2))],
                         ids=["bicubic", "srcnn", "espcn", "srresnet"])  # fmt: skip
def test_tiny_pictures(model, size):
    large = upscale(Image.new("RGBA", size, (200, 100, 50, 128)), 4, model)
    assert large.size == (4 * size[0], 4 * size[1]) and large.mode == "RGBA"
    if isinstance(model, Bicubic):
        assert set(large.get_flattened_data() if hasattr(large, "get_flattened_data") else large.getdata()) == {(200, 100, 50, 128)}


def test_alpha_is_enlarged_bicubically_and_colours_as_without_it():
    seen = FULL.copy()
    seen[..., 3] = np.maximum(seen[..., 3], 1)
    model = awake(ESPCN((8, 6)))
    large = values(upscale(Image.fromarray(seen), 2, model))
    alone = values(upscale(Image.fromarray(seen).convert("RGB"), 2, model))
    alpha = enlarge(torch.from_numpy(seen[..., 3:] / 127.5 - 1).permute(2, 0, 1)[None], 2)
    assert (large[..., :3] == alone).all()
    assert np.abs(large[..., 3:] - in_bytes(alpha)).max() <= 1


def test_hidden_black_does_not_darken_edges():
    """A red disc; where it is not, the picture is wholly transparent, and black as programs leave it."""
    y, x = np.mgrid[:24, :24] - 11.5
    disc = (x**2 + y**2 < 64)[..., None]
    large = values(upscale(Image.fromarray((disc * [255, 0, 0, 255]).astype(np.uint8)), 3, Bicubic()))
    assert large[large[..., 3] > 0][:, 0].min() >= 250


def test_grey_stays_grey_whatever_a_network_of_colours_makes():
    grey = RGBA.convert("L")
    large = upscale(grey, 2, awake(SRResNet(8, 2)))
    assert large.mode == "L" and large.size == (60, 44)


@pytest.mark.parametrize(("suffix", "kind"), [*KINDS.items(), (".PNG", "PNG")])
def test_the_ending_says_the_format(suffix, kind):
    RGBA.convert("RGB").save("in.bmp")
    upscale_file("in.bmp", f"out{suffix}", 2, Bicubic())
    with Image.open(f"out{suffix}") as large:
        assert large.format == kind and large.size == (60, 44)
        lossy = 40 if kind == "JPEG" else 0
        assert np.abs(values(large.convert("RGB")) - values(upscale(RGBA.convert("RGB"), 2, Bicubic()))).max() <= lossy


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_formats_that_keep_alpha(suffix):
    RGBA.save("in.png")
    upscale_file("in.png", f"out{suffix}", 2, Bicubic())
    with Image.open(f"out{suffix}") as large:
        assert large.mode == "RGBA"
        assert (values(large)[..., 3] == values(upscale(RGBA, 2, Bicubic()))[..., 3]).all()


def test_a_turned_photo_is_enlarged_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    RGBA.convert("RGB").save("in.png", exif=exif)
    upscale_file("in.png", "out.png", 2, Bicubic())
    upright = Image.fromarray(np.rot90(FULL[..., :3], -1).copy())
    with Image.open("out.png") as large:
        assert (values(large) == values(upscale(upright, 2, Bicubic()))).all()
        assert not large.getexif().get(0x0112)  # or a viewer would turn it again


def test_sixteen_bits_become_eight():
    ramp = np.linspace(0, 65535, 12 * 16).reshape(12, 16)
    Image.fromarray(ramp.astype(np.uint16)).save("in.png")
    upscale_file("in.png", "out.png", 2, Bicubic())
    expected = enlarge(torch.from_numpy(ramp / 65535 * 2 - 1)[None, None], 2)
    with Image.open("out.png") as large:
        assert large.mode == "L" and np.abs(values(large)[..., None] - in_bytes(expected)).max() <= 1.5


def test_palettes_and_ink_become_rgb_and_a_profile_stays():
    RGBA.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE).save("in.gif")
    assert open_picture("in.gif").mode == "RGB"
    RGBA.convert("CMYK").save("ink.tif", icc_profile=b"of ink")
    RGBA.convert("RGB").save("in.png", icc_profile=b"of light")
    for name, profile in (("in.gif", None), ("ink.tif", None), ("in.png", b"of light")):
        upscale_file(name, "out.png", 2, Bicubic())
        with Image.open("out.png") as large:
            assert large.mode == "RGB" and large.info.get("icc_profile") == profile


ERRORS = {
    "upscale missing.png out.png --scale 2": "missing.png: no such picture",
    "upscale letter.png out.png --scale 2": "letter.png is not an image",
    "upscale empty.png out.png --scale 2": "empty.png is empty",
    "upscale cut.png out.png --scale 2": "cut.png is damaged",
    "upscale floats.tif out.png --scale 2": "floats.tif.*floating-point numbers",
    "upscale in.png out.xyz --scale 2": r"out.xyz: its ending.*\.png, \.jpg",
    "upscale in.png out --scale 2": "out: its ending",
    "upscale in.png nowhere/out.png --scale 2": "nowhere",
    "upscale in.png out.jpg --scale 2": r"out.jpg.*transparent.*JPEG cannot keep; write a \.png",
    "upscale in.png out.bmp --scale 2": r"out.bmp.*transparent.*BMP cannot keep",
    "upscale long.png out.webp --scale 4": "out.webp would be 18000 x 4; WEBP has at most 16,383",
}


@pytest.mark.parametrize("arguments", ERRORS)
def test_an_error_is_one_line_and_writes_nothing(arguments, here, capsys):
    RGBA.save("in.png")
    Image.new("L", (4500, 1)).save("long.png")
    Image.new("F", (4, 4)).save("floats.tif")
    for name, content in (("letter", b"Dear reader,\n"), ("empty", b""), ("cut", (here / "in.png").read_bytes()[:900])):
        (here / f"{name}.png").write_bytes(content)
    before = {p: p.read_bytes() for p in here.iterdir()}
    assert v101(*arguments.split(), "--method", "bicubic") == 1
    error = capsys.readouterr().err
    assert error.startswith("v101: ") and error.count("\n") == 1 and error.endswith("\n"), error
    assert re.search(ERRORS[arguments], error), error
    assert {p: p.read_bytes() for p in here.iterdir()} == before


def test_a_target_that_cannot_be_is_refused_before_a_network_is_loaded(monkeypatch, capsys):
    monkeypatch.setattr(zoo, "load", lambda *_, **__: pytest.fail("loaded"))
    RGBA.save("in.png")
    assert v101("upscale", "in.png", "out.gif", "--scale", 2, "--method", "srgan") == 1
    assert "out.gif: its ending" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["in.png", "in.png out.png", "in.png out.png --scale 5", "in.png out.png --scale 2 --method magic"])
def test_wrong_use(arguments, capsys):
    assert v101("upscale", *arguments.split()) == 2
    assert "usage: v101" in capsys.readouterr().err


def test_another_factor_than_the_networks_is_refused(here):
    RGBA.save("in.png")
    with pytest.raises(ValueError, match=r"factor 4.*\(2, 3\)"):
        upscale_file("in.png", "out.png", 4, ESPCN((8, 6), factors=(2, 3)))
    assert not (here / "out.png").exists()


def test_what_fails_on_the_way_leaves_the_old_file(here, monkeypatch):
    RGBA.save("in.png")
    (here / "out.png").write_bytes(b"the old one")
    monkeypatch.setattr(Image.Image, "save", lambda self, path, *_, **__: (path.write_bytes(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        upscale_file("in.png", "out.png", 2, Bicubic())
    assert (here / "out.png").read_bytes() == b"the old one" and len(list(here.iterdir())) == 2


def test_a_picture_too_large_for_any_file_is_refused(here, monkeypatch):
    monkeypatch.setattr("v101_utils.superres.files.MOST", 2000)
    RGBA.save("in.png")
    with pytest.raises(ValueError, match="out.png would be 60 x 44; a picture should have at most"):
        upscale_file("in.png", "out.png", 2, Bicubic())


def test_another_mode_is_refused():
    with pytest.raises(ValueError, match="mode is CMYK; it should be L, LA, RGB or RGBA"):
        upscale(Image.new("CMYK", (4, 4)), 2, Bicubic())


def test_the_command_offers_every_method():
    from v101_utils.cli import parser
    from v101_utils.zoo.superres_recipes import METHODS

    for method in METHODS:
        assert parser().parse_args(["upscale", "a.png", "b.png", "--scale", "2", "--method", method]).method == method
    with pytest.raises(SystemExit):
        parser().parse_args(["upscale", "a.png", "b.png", "--scale", "2", "--method", "nearest"])


class Slow(Bicubic):
    """Long enough for the bar to be drawn at each tile."""

    def forward(self, low, factor):
        time.sleep(0.12)
        return super().forward(low, factor)


def test_a_picture_of_several_tiles_is_the_same_with_a_bar(capsys):
    picture = RGBA.convert("RGB").resize((45, 40))
    plain, watched = (upscale(picture, 2, Slow(), side=20, progress=progress) for progress in (False, True))
    assert (values(plain) == values(watched)).all()
    assert "6/6" in capsys.readouterr().err


def test_a_model_in_eval_mode_stays_in_it():
    model = SRResNet(width=8, blocks=1, batch_norm=True).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    upscale(RGBA.convert("RGB"), 2, model)
    assert not any(part.training for part in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
