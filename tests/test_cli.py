"""The command line's contract: what each command writes, and how it refuses."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from v101_utils.cli import main
from v101_utils.data import fashion_mnist, to_signed, to_unit
from v101_utils.files import save_images
from v101_utils.zoo import RECIPES, load
from v101_utils.zoo.latent_recipes import held_out_pictures


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Relative paths lie in tmp_path; `train --profile` sets the variable, and this puts it back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("V101_PROFILE", "ci")
    return tmp_path


def v101(*arguments) -> int:
    try:
        return main([str(a) for a in arguments])
    except SystemExit as ended:  # argparse's way
        return ended.code


def images(path) -> np.ndarray:
    with np.load(path) as archive:
        found = archive["images"]
    assert found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    return found


def test_list_names_every_network(capsys):
    assert v101("list") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in RECIPES)


@pytest.mark.parametrize(("name", "shape"), [("vae-fashion", (1, 28, 28)), ("vae-shapes", (3, 32, 32))])
def test_sample_writes_images(here, name, shape):
    for file, seed in (("a.npz", 1), ("b.npz", 1), ("c.npz", 2)):
        assert v101("sample", name, "--count", 7, "--seed", seed, "--out", here / file) == 0
    a, b, c = (images(here / file) for file in ("a.npz", "b.npz", "c.npz"))
    assert a.shape == (7, *shape)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_beta_changes_what_is_drawn():
    for beta in (0.1, 10):
        assert v101("sample", "vae-fashion", "--count", 2, "--beta", beta, "--out", f"{beta}.npz") == 0
    assert not np.array_equal(images("0.1.npz"), images("10.npz"))


def test_psi_draws_towards_the_mean(here):
    for psi in (1, 0.2):
        assert v101("sample", "stylegan-shapes", "--count", 20, "--psi", psi, "--out", f"{psi}.npz") == 0
    full, typical = (images(f"{psi}.npz") for psi in (1, 0.2))
    assert typical.std(0).mean() < 0.7 * full.std(0).mean()


DIFFUSION = "sample ddpm-fashion --count 4 --steps 3 --out"


@pytest.mark.parametrize("other", [
    "--seed 1", "--steps 4", "--sampler ddim", "--sampler ddpm", "--sampler ddim --eta 0.5", "--sampler em", "--sampler pc", "--sampler ode", "--guidance 3", "--labels none",
    "--labels 3,8",
])  # fmt: skip
def test_each_option_of_diffusion_changes_what_is_drawn(other):
    for file in ("a.npz", "b.npz"):
        assert v101(*f"{DIFFUSION} {file}".split()) == 0
    assert v101(*f"{DIFFUSION} c.npz {other}".split()) == 0
    assert images("a.npz").shape == (4, 1, 28, 28)
    assert np.array_equal(images("a.npz"), images("b.npz"))
    assert not np.array_equal(images("a.npz"), images("c.npz"))


@pytest.mark.parametrize(("given", "written"), [
    ("", [0, 1, 2, 3]), ("--labels 3,8", [3, 8, 3, 8]), ("--labels dress,bag", [3, 8, 3, 8]), ("--labels T-SHIRT", [0] * 4),
    ("--labels 9,8,7,6,5,4", [9, 8, 7, 6]), ("--labels none", None),
])  # fmt: skip
def test_the_labels_are_written_beside_the_images(given, written):
    assert v101(*f"{DIFFUSION} a.npz {given}".split()) == 0
    with np.load("a.npz") as archive:
        assert sorted(archive.files) == (["images"] if written is None else ["images", "labels"])
        if written is not None:
            assert archive["labels"].dtype == np.int64 and archive["labels"].tolist() == written


ASKED = "a large red square, rotated; a small cross"


def test_prompts_are_drawn_as_the_library_draws_them_and_written_beside_the_images(here):
    arguments = ("--count", 3, "--seed", 5, "--labels", ASKED, "--guidance", 3, "--steps", 2, "--out", "a.npz")
    assert v101("sample", "ldm-shapes", *arguments) == 0
    with np.load("a.npz") as archive:
        assert archive["labels"].dtype == np.int64
        assert archive["labels"].tolist() == [[1, 2, 8, 13], [0, 14, 11, 14], [1, 2, 8, 13]]  # 14: a word that was not said
    prompts = [text.strip() for text in ASKED.split(";")]
    expected = load("ldm-shapes").sample(3, 5, labels=prompts, steps=2, guidance=3.0)
    assert np.array_equal(images("a.npz"), to_unit(expected).numpy())


def test_prompts_that_were_not_given_are_a_mix_and_none_are_no_labels(here):
    for file, given in (("a.npz", ()), ("b.npz", ("--labels", "none"))):
        assert v101("sample", "ldm-shapes", "--count", 2, "--steps", 2, "--out", file, *given) == 0
    with np.load("a.npz") as mixed, np.load("b.npz") as silent:
        assert mixed["labels"].shape == (2, 4) and mixed["labels"].max() < 14
        assert silent.files == ["images"]


def test_an_autoencoder_reconstructs(here):
    save_images(here / "in.npz", to_unit(held_out_pictures(3)[0]))
    assert v101("reconstruct", "autoencoder-shapes", "--input", "in.npz", "--out", "out.npz") == 0
    assert images("out.npz").shape == (3, 3, 64, 64)
    assert ((images("out.npz") - images("in.npz")) ** 2).mean() < 0.001


def test_labels_with_spaces_and_the_class_that_they_ask_for():
    judge = load("classifier-fashion")
    arguments = ("--count", 20, "--labels", "ankle boot, trouser", "--steps", 15, "--guidance", 2, "--out", "a.npz")
    assert v101("sample", "ddpm-fashion", *arguments) == 0
    drawn = judge(to_signed(torch.from_numpy(images("a.npz")))).argmax(1)
    assert (drawn == torch.tensor([9, 1] * 10)).double().mean() >= 0.9


def test_the_command_draws_what_the_library_draws():
    assert v101(*f"{DIFFUSION} a.npz --sampler ddim --eta 0.5 --guidance 2 --seed 5 --labels 3,8".split()) == 0
    expected = load("ddpm-fashion").sample(4, 5, labels=[3, 8], steps=3, sampler="ddim", eta=0.5, guidance=2.0)
    assert np.array_equal(images("a.npz"), to_unit(expected).numpy())


def test_reconstruct_comes_close(here):
    assert v101("sample", "vae-fashion", "--count", 300, "--out", "in.npz") == 0
    assert v101("reconstruct", "vae-fashion", "--input", "in.npz", "--out", "out.npz", "--beta", 0.1) == 0
    assert images("out.npz").shape == (300, 1, 28, 28)
    assert ((images("out.npz") - images("in.npz")) ** 2).mean() < 0.02


def test_likelihood_tells_clothes_from_noise(here, capsys):
    for name, found in (("clothes", to_unit(fashion_mnist("test").images[:2])), ("noise", torch.rand(2, 1, 28, 28))):
        save_images(here / f"{name}.npz", found)
        assert v101("likelihood", "ddpm-fashion", "--input", f"{name}.npz", "--out", f"{name}-bits.npz") == 0
    told = capsys.readouterr().out
    clothes, noise = (np.load(f"{name}-bits.npz")["bits_per_dimension"] for name in ("clothes", "noise"))
    assert clothes.shape == (2,) and clothes.max() < 5 < 8 < noise.min()
    assert f"image 1: {clothes[1]:.3f} bits/dim" in told and f"mean of 2 images: {noise.mean():.3f} bits/dim" in told


def test_train_writes_weights_and_a_card(here, capsys):
    arguments = ("train", "classifier-fashion", "--profile", "ci", "--steps", 2, "--seed", 3, "--out", here / "new")
    assert v101(*arguments) == 0
    assert sorted(p.name for p in (here / "new").iterdir()) == ["classifier-fashion.json", "classifier-fashion.safetensors"]
    assert "classifier-fashion.safetensors" in capsys.readouterr().out


def test_train_does_not_overwrite_a_checkpoint(here, capsys):
    checkpoint = here / "vae-shapes.checkpoint.pt"
    checkpoint.write_bytes(b"hours of work")
    assert v101("train", "vae-shapes", "--steps", 1, "--out", here) == 1
    assert "vae-shapes.checkpoint.pt is there already" in capsys.readouterr().err
    assert list(here.iterdir()) == [checkpoint]
    assert checkpoint.read_bytes() == b"hours of work"


@pytest.mark.parametrize("arguments", [(), ("list",), ("train",), ("sample",), ("reconstruct",), ("likelihood",)])
def test_help(arguments, capsys):
    assert v101(*arguments, "--help") == 0
    assert "usage: v101" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [
    "", "dance", "sample", "sample vae-fashion --count 3", "sample vae-fashion --count many --out x.npz",
    "reconstruct vae-fashion --out x.npz", "train", "train vae-fashion --profile huge", "list --loud",
    "sample ddpm-fashion --count 3 --sampler euler --out x.npz", "sample ddpm-fashion --count 3 --steps many --out x.npz",
])  # fmt: skip
def test_wrong_use(arguments, here, capsys):
    assert v101(*arguments.split()) == 2
    assert "usage: v101" in capsys.readouterr().err
    assert list(here.iterdir()) == []


ERRORS = {
    "sample gan-of-cats --count 1 --out x.npz": "gan-of-cats.*vae-fashion",
    "sample classifier-fashion --count 1 --out x.npz": "classifier-fashion.*vae-fashion",
    "sample vae-fashion --count 0 --out x.npz": "count",
    "sample vae-fashion --count -3 --out x.npz": "count",
    "sample vae-fashion --count 1 --out nowhere/x.npz": "nowhere",
    "sample vae-fashion --count 1 --out .": "cannot write|irectory",
    "sample vae-fashion --count 1 --beta 1000 --out x.npz": "beta.*100",
    "sample vae-fashion --count 1 --beta nan --out x.npz": "beta.*100",
    "sample vae-fashion --count 1 --seed -1 --out x.npz": "",
    "sample vae-fashion --count 1 --guidance 2 --out x.npz": "vae-fashion does not take --guidance; it takes --beta",
    "sample ddpm-fashion --count 1 --beta 2 --out x.npz": "not take --beta; it takes --steps, --sampler, --eta.*--labels",
    "sample stylegan-shapes --count 1 --psi 2.1 --out x.npz": "psi 2.1.*-2 to 2",
    "sample stylegan-shapes --count 1 --psi nan --out x.npz": "psi nan",
    "sample dcgan-fashion --count 1 --psi 2.1 --out x.npz": "psi 2.1.*-2 to 2",
    "sample ddpm-fashion --count 1 --psi 0.7 --out x.npz": "ddpm-fashion does not take --psi",
    "likelihood vae-fashion --input x.npz": "vae-fashion cannot say how likely an image is; these can: ddpm-fashion",
    "likelihood ddpm-fashion --input nowhere.npz": "nowhere.npz: no such file",
    "likelihood ddpm-fashion --input x.npz --probes 0": "--probes is 0",
    "likelihood ddpm-fashion --input x.npz --out nowhere/bits.npz": "nowhere",
    "sample ddpm-fashion --count 0 --out x.npz": "count",
    "sample ddpm-fashion --count 1 --out nowhere/x.npz": "nowhere",
    "sample ddpm-fashion --count 1 --seed -1 --out x.npz": "",
    "sample ddpm-fashion --count 1 --steps 0 --out x.npz": "0 steps.*at least 1",
    "sample ddpm-fashion --count 1 --steps -5 --out x.npz": "-5 steps.*at least 1",
    "sample ddpm-fashion --count 1 --sampler ddim --eta -0.1 --out x.npz": "eta -0.1",
    "sample ddpm-fashion --count 1 --sampler ddim --eta nan --out x.npz": "eta nan",
    "sample ddpm-fashion --count 1 --sampler ddim --eta inf --out x.npz": "eta inf",
    "sample ddpm-fashion --count 1 --eta 0.5 --out x.npz": "eta.*ddim.*'dpm' has none",
    "sample ddpm-fashion --count 1 --sampler ddpm --eta 0 --out x.npz": "eta.*ddim.*'ddpm' has none",
    "sample ddpm-fashion --count 1 --guidance -1 --out x.npz": "guidance -1",
    "sample ddpm-fashion --count 1 --guidance nan --out x.npz": "guidance nan",
    "sample ddpm-fashion --count 1 --guidance inf --out x.npz": "guidance inf",
    "sample ddpm-fashion --count 1 --guidance 2 --labels none --out x.npz": "guidance 2 needs labels",
    "sample ddpm-fashion --count 1 --labels 10 --out x.npz": "'10'.*9 ankle boot.*none",
    "sample ddpm-fashion --count 1 --labels -1 --out x.npz": "'-1'.*0 T-shirt",
    "sample ddpm-fashion --count 1 --labels 3,cat --out x.npz": "'cat'.*3 dress",
    "sample ddpm-fashion --count 1 --labels 3,none --out x.npz": "'none'.*stands alone",
    "sample ddpm-fashion --count 1 --labels 3, --out x.npz": "''.*3 dress",
    "sample ddpm-fashion --count 1 --labels 1.5 --out x.npz": "'1.5'",
    "sample ldm-shapes --count 1 --labels purple --out x.npz": "'purple'.*red, yellow",
    "sample ldm-shapes --count 1 --labels red,blue --out x.npz": "two words for the colour: 'red' and 'blue'",
    "sample ldm-shapes --count 1 --labels cross;3 --out x.npz": "'3'.*cross",
    "sample ldm-shapes --count 1 --labels none --guidance 3 --out x.npz": "guidance 3 needs labels",
    "sample ldm-shapes --count 1 --psi 1 --out x.npz": "ldm-shapes does not take --psi; it takes --steps.*--labels",
    "reconstruct autoencoder-shapes --input good.npz --beta 1 --out x.npz": r"good.npz.*\(N, 3, 64, 64\)",
    "reconstruct ddpm-fashion --input good.npz --out x.npz": "ddpm-fashion cannot reconstruct.*vae-fashion",
    "reconstruct gan-of-cats --input good.npz --out x.npz": "gan-of-cats.*vae-fashion",
    "reconstruct classifier-fashion --input good.npz --out x.npz": "classifier-fashion.*vae-fashion",
    "reconstruct vae-fashion --input missing.npz --out x.npz": "missing.npz",
    "reconstruct vae-fashion --input damaged.npz --out x.npz": "damaged.npz.*images",
    "reconstruct vae-fashion --input good.npz --out nowhere/x.npz": "nowhere",
    "reconstruct vae-fashion --input good.npz --beta 0 --out x.npz": "beta.*100",
    "reconstruct vae-shapes --input good.npz --out x.npz": r"good.npz.*\(N, 3, 32, 32\)",
    "train gan-of-cats --out new": "gan-of-cats.*vae-fashion",
    "train vae-shapes --steps 0 --out new": "steps.*0",
    "train vae-shapes --steps 1 --seed -1 --out new": "seed -1: it should be 0 or above",
    "train vae-shapes --steps 1 --out good.npz/new": "good.npz",
}


@pytest.mark.parametrize("arguments", ERRORS)
def test_an_error_is_one_line_and_writes_nothing(arguments, here, capsys):
    np.savez("good.npz", images=np.full((2, 1, 28, 28), 0.5, np.float32))
    (here / "damaged.npz").write_bytes((here / "good.npz").read_bytes()[:200])
    before = {p: p.read_bytes() for p in here.iterdir()}
    assert v101(*arguments.split()) == 1
    error = capsys.readouterr().err
    assert error.startswith("v101: ") and error.count("\n") == 1 and error.endswith("\n"), error
    assert re.search(ERRORS[arguments], error)
    assert {p: p.read_bytes() for p in here.iterdir() if p.is_file()} == before
    assert not any(p.is_dir() for p in here.iterdir())


def test_as_a_program(here):
    done = subprocess.run(
        [sys.executable, "-m", "v101_utils", "sample", "gan-of-cats", "--count", "1", "--out", "x.npz"],
        capture_output=True, text=True, cwd=here,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("v101: no network is called 'gan-of-cats'") and done.stderr.count("\n") == 1
    assert list(here.iterdir()) == []


def test_a_network_for_one_beta_refuses_another(here, capsys):
    assert v101("sample", "vae-fashion-beta1", "--count", 2, "--out", here / "a.npz") == 0
    assert v101("sample", "vae-fashion-beta1", "--count", 2, "--out", here / "b.npz", "--beta", 5) == 1
    assert "one beta alone" in capsys.readouterr().err and not (here / "b.npz").exists()


@pytest.mark.parametrize("arguments", [
    ("sample", "vae-fashion", "--count", 2, "--out", "o.npz"), ("reconstruct", "vae-fashion", "--input", "i.npz", "--out", "o.npz"),
    ("likelihood", "ddpm-fashion", "--input", "i.npz"),
])  # fmt: skip
def test_a_network_goes_where_v101_device_says(arguments, here, capsys, monkeypatch):
    save_images("i.npz", torch.rand(1, 1, 28, 28))
    monkeypatch.setenv("V101_DEVICE", "banana")
    assert v101(*arguments) == 1
    assert "V101_DEVICE is 'banana'" in capsys.readouterr().err
