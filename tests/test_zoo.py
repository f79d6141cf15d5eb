"""The zoo: every network that ships loads, is what its card says, and can be made again."""

import datetime
import shutil

import pytest
import torch

from v101_utils import zoo
from v101_utils.data import fashion_mnist
from v101_utils.runtime import profile
from v101_utils.zoo import store

FIELDS = {"name", "what", "data", "parameters", "steps", "seconds", "machine", "seed", "date", "figures", "command"}


@pytest.fixture
def folder(tmp_path):
    """A folder with a copy of one network, to be damaged."""
    for suffix in ("safetensors", "json"):
        shutil.copy(store.SHIPPED / f"classifier-fashion.{suffix}", tmp_path)
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Every recipe without its figures, some of which take a minute."""
    for name, made in zoo.RECIPES.items():
        monkeypatch.setitem(zoo.RECIPES, name, made._replace(figures=lambda model: {"figure": 0.5}))


def test_all_recipes_ship():
    assert zoo.names() == list(zoo.RECIPES)
    assert {"classifier-fashion", "vae-fashion", "vae-shapes", "vae-shapes-sweep"} <= set(zoo.names())


@pytest.mark.parametrize("name", zoo.RECIPES)
def test_a_network_loads_and_is_as_its_card_says(name):
    model, card = zoo.load(name), zoo.card(name)
    assert FIELDS <= card.keys()
    assert card["name"] == name
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert card["steps"] == zoo.recipe(name).steps["laptop"]
    assert card["seconds"] > 0
    assert card["figures"]
    assert card["command"].startswith(f"v101 train {name} ")
    datetime.date.fromisoformat(card["date"])
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert (store.SHIPPED / f"{name}.safetensors").stat().st_size < 6e6


@pytest.mark.parametrize("name", zoo.RECIPES)
def test_loading_leaves_the_callers_randomness_alone(name):
    torch.manual_seed(4)
    before = torch.get_rng_state()
    zoo.load(name)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("beta", "most"), [(0.1, 0.012), (1.0, 0.016)])
def test_the_shipped_vae_reconstructs(beta, most):
    found, model = fashion_mnist("test"), zoo.load("vae-fashion")
    errors = [((model.reconstruct(p, beta) - p) / 2).square().flatten(1).mean(1) for p in found.images.split(500)]
    error = torch.cat(errors).mean().item()  # of images in [0, 1]
    assert error <= most
    if len(found.images) == 10_000:  # those of the card
        assert error == pytest.approx(zoo.card("vae-fashion")["figures"][f"test_error_per_pixel_beta_{beta:g}"], rel=0.02)


def test_the_shipped_classifier_is_right_as_often_as_its_card_says():
    found, model = fashion_mnist("test"), zoo.load("classifier-fashion")
    right = torch.cat([model(part).argmax(1) for part in found.images.split(500)]) == found.labels
    assert right.double().mean().item() == pytest.approx(zoo.card("classifier-fashion")["figures"]["test_accuracy"], abs=0.01)


def test_samples_repeat_by_seed():
    one, again = zoo.load("vae-fashion"), zoo.load("vae-fashion")
    assert torch.equal(one.sample(8, seed=1), again.sample(8, seed=1))
    assert not torch.equal(one.sample(8, seed=1), one.sample(8, seed=2))


# Refusals


def test_an_unknown_name_lists_the_known():
    for ask in (zoo.load, zoo.card, zoo.recipe):
        with pytest.raises(KeyError, match="gan-of-cats.*classifier-fashion.*vae-fashion"):
            ask("gan-of-cats")


def test_missing_weights_are_named(tmp_path):
    assert zoo.names(tmp_path) == []
    with pytest.raises(FileNotFoundError, match="vae-fashion.safetensors.*v101 train vae-fashion"):
        zoo.load("vae-fashion", tmp_path)


@pytest.mark.parametrize("how", ["truncated", "header", "empty", "text", "another network"])
def test_damaged_weights_are_named(folder, how):
    path = folder / "classifier-fashion.safetensors"
    whole = path.read_bytes()
    flipped = whole[:8] + bytes(b ^ 0xFF for b in whole[8:40]) + whole[40:]
    if how == "another network":
        store.save(torch.nn.Linear(2, 2), "classifier-fashion", folder, {})
    else:
        path.write_bytes({"truncated": whole[:-100], "header": flipped, "empty": b"", "text": b"not weights"}[how])
    with pytest.raises(ValueError, match="classifier-fashion.safetensors is damaged.*v101 train"):
        zoo.load("classifier-fashion", folder)


# Made again


@pytest.mark.parametrize("name", zoo.RECIPES)
def test_a_recipe_makes_its_network(name, tmp_path, quick):
    path = zoo.train(name, tmp_path / "new", steps=1, progress=False)
    assert sorted(p.name for p in path.parent.iterdir()) == [f"{name}.json", f"{name}.safetensors"]
    assert FIELDS <= zoo.card(name, path.parent).keys()
    assert zoo.load(name, path.parent).state_dict().keys() == zoo.recipe(name).build().state_dict().keys()


def test_the_same_seed_makes_the_same_network(tmp_path, quick):
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(3)
        zoo.train("vae-shapes", tmp_path / folder, steps=2, seed=seed, progress=False)
    a, b, c = (zoo.load("vae-shapes", tmp_path / folder).state_dict() for folder in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["to_image.weight"], c["to_image.weight"])


def test_a_failure_at_the_end_costs_no_training(tmp_path, monkeypatch, quick):
    def fail(model):
        raise RuntimeError("no figures today")

    good = zoo.RECIPES["vae-shapes"]
    monkeypatch.setitem(zoo.RECIPES, "vae-shapes", good._replace(figures=fail))
    with pytest.raises(RuntimeError, match="no figures today"):
        zoo.train("vae-shapes", tmp_path, steps=2, progress=False)
    assert zoo.names(tmp_path) == []
    monkeypatch.setitem(zoo.RECIPES, "vae-shapes", good._replace(batches=lambda seed, device: fail))
    zoo.train("vae-shapes", tmp_path, steps=2, resume=True, progress=False)
    assert zoo.names(tmp_path) == ["vae-shapes"]
    command = zoo.card("vae-shapes", tmp_path)["command"]
    assert command == f"v101 train vae-shapes --profile {profile()} --steps 2 --out FOLDER"


def test_a_training_of_other_steps_is_not_resumed(tmp_path, monkeypatch, quick, capsys):
    good = zoo.RECIPES["vae-shapes"]
    monkeypatch.setitem(zoo.RECIPES, "vae-shapes", good._replace(figures=lambda model: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        zoo.train("vae-shapes", tmp_path, steps=2, resume=True, progress=False)
    assert "there is no checkpoint" in capsys.readouterr().out
    with pytest.raises(ValueError, match="a training of 2 steps.*--steps 2"):
        zoo.train("vae-shapes", tmp_path, steps=3, resume=True, progress=False)
    assert zoo.names(tmp_path) == []


def test_weights_come_back_to_half_precision(tmp_path):
    torch.manual_seed(0)
    model = zoo.recipe("vae-shapes").build()
    store.save(model, "vae-shapes", tmp_path, {})
    for name, value in zoo.load("vae-shapes", tmp_path).state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().float())
