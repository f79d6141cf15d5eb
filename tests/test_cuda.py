"""On CUDA: what is trained there repeats, resumes and stays finite in every precision, and what is drawn is what a CPU draws."""

import numpy as np
import pytest
import torch
from test_adversarial_task import RECIPES, changed, run

from v101_utils import runtime, zoo
from v101_utils.cli import main
from v101_utils.data import Batches, fashion_mnist, to_unit
from v101_utils.data.photos import photo
from v101_utils.data.styles import any_style
from v101_utils.diffusion import Denoiser, DiffusionTask, cosine
from v101_utils.files import save_images
from v101_utils.gans import PointDiscriminator
from v101_utils.metrics import FrechetDistance, accuracy, conditional_entropy
from v101_utils.nn import UNet
from v101_utils.runtime import Plan, device_of, fastest
from v101_utils.style import last, stylise
from v101_utils.superres import ESPCN
from v101_utils.training import Ema, Task, adamw, fit
from v101_utils.widgets import (
    BetaView, ClassMixView, CriticView, LatentView, LatentWalkView, NoiseView, StyleBlendView, WeightView,
)  # fmt: skip
from v101_utils.zoo.style_recipes import FAST_STYLES
from v101_utils.zoo.superres_recipes import crops, espcn_task

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
    pytest.mark.filterwarnings("ignore:.*deterministic"),  # where torch cannot promise to repeat, these tests look
]
PLANS = [Plan(precision, last) for precision in ("no", "bf16", "fp16") for last in (False, True)]
by_plan = pytest.mark.parametrize("plan", PLANS, ids=str)
DRAWING = ("vae-fashion", "vae-shapes", "ddpm-fashion", "dcgan-fashion", "wgangp-fashion", "cgan-fashion", "stylegan-shapes", "ldm-shapes")


@pytest.fixture(autouse=True)
def on_cuda(monkeypatch):
    """The first CUDA device, in full float32, since two machines are compared."""
    monkeypatch.setenv("V101_DEVICE", "cuda")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    precision, repeatable = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(precision)
    torch.use_deterministic_algorithms(repeatable)


# Training


@by_plan
@pytest.mark.parametrize("name", RECIPES)
def test_a_game_repeats_resumes_and_stays_finite(name, plan, tmp_path):
    whole, expected = run(name, plan=plan)
    assert all(value.is_cuda and value.isfinite().all() for value in whole.values())
    run(name, stop=6, checkpoint=tmp_path / "c", checkpoint_every=4, plan=plan)
    resumed, found = run(name, seed=1, disturb=5, checkpoint=tmp_path / "c", checkpoint_every=4, resume=True)
    assert min(found) == 5
    assert changed(whole, resumed) == []
    assert found == {number: scalars for number, scalars in expected.items() if number > 4}


def small_diffusion() -> tuple[DiffusionTask, Ema]:
    torch.manual_seed(0)
    task = DiffusionTask(Denoiser(UNet(classes=10, widths=(16, 32)), cosine(), predicts="v"))
    return task, Ema(task.model, 0.9)


@by_plan
def test_diffusion_learns_and_repeats_in_every_precision_and_its_average_draws(plan):
    images, labels, _ = fashion_mnist("test")
    batches, losses, drawn = Batches(images[:640].cuda(), labels[:640].cuda(), size=64), [], []
    for _ in range(2):
        task, ema = small_diffusion()
        losses.append([step.scalars["loss"] for step in fit(task, batches, 60, ema=ema, plan=plan, progress=False)])
        drawn.append(ema.average.sample(4, steps=4))
    assert losses[0] == losses[1] and torch.equal(*drawn)
    assert sum(losses[0][-10:]) < 0.7 * sum(losses[0][:10])
    assert drawn[0].isfinite().all()


def test_a_step_is_that_of_the_cpu(monkeypatch):
    """Of a task that draws no random numbers of its own."""
    found = {}
    for where in ("cpu", "cuda"):
        monkeypatch.setenv("V101_DEVICE", where)
        torch.manual_seed(0)
        model = ESPCN()
        training = fit(espcn_task(model), crops(0, torch.device(where), 4), 5, plan=Plan(), progress=False)
        found[where] = [step.scalars for step in training]
        assert device_of(model).type == where
    for here, there in zip(*found.values(), strict=True):
        assert here == pytest.approx(there, rel=1e-3)


@pytest.mark.parametrize("name", zoo.RECIPES)
def test_every_recipe_trains(name):
    made = zoo.recipe(name)
    torch.manual_seed(0)
    model = made.build()
    ema = Ema(model, made.ema) if made.ema else None
    training = fit(made.task(model), made.batches(0, runtime.device()), 2, ema=ema, progress=False)
    assert [step.number for step in training] == [1, 2]
    assert all(p.is_cuda and p.isfinite().all() for p in model.parameters())


def test_scalars_may_be_on_either_device():
    class Counting(Task):
        def __init__(self):
            super().__init__()
            self.model = torch.nn.Linear(2, 1)
            self.optimisers = {"model": adamw(self.model.parameters(), 1e-3)}

        def training_step(self, batch, minimise):
            loss = self.model(batch).square().mean()
            minimise(loss, self.optimisers["model"])
            return {"loss": loss, "rows": torch.tensor(float(len(batch)))}

    (step,) = fit(Counting(), lambda step: torch.ones(4, 2), 1, plan=Plan(), progress=False)
    assert step.scalars["rows"] == 4


def test_a_plan_is_measured_for_this_device_and_disturbs_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("V101_PROFILE", "laptop")
    (task, _), (images, labels, _), cache = small_diffusion(), fashion_mnist("test"), tmp_path / "plans.json"
    batch = images[:64], labels[:64]  # which `fit` would move, and so it does
    before = torch.cuda.get_rng_state(), torch.get_rng_state()
    chosen = fastest(task, batch, cache=cache)
    assert chosen in PLANS
    assert torch.cuda.get_device_name() in cache.read_text()
    assert all(map(torch.equal, before, (torch.cuda.get_rng_state(), torch.get_rng_state())))
    assert fastest(task, batch, cache=cache) == chosen


# What is drawn, judged and painted


@pytest.mark.parametrize("name", DRAWING)
def test_samples_are_those_of_the_cpu(name):
    options = {"steps": 5} if name.startswith(("ddpm", "ldm")) else {}
    here, there = (zoo.load(name, device=where).sample(8, seed=3, **options) for where in ("cpu", "cuda"))
    assert there.is_cuda and not here.is_cuda
    difference = (here - there.cpu()).abs()
    assert difference.mean() < 1e-3 and difference.max() < 0.1


def test_a_label_that_there_is_not_is_refused_and_the_device_works_on():
    labels = torch.full((2,), 11, device="cuda")
    with pytest.raises(ValueError, match="integers from 0 to 9"):
        zoo.load("cgan-fashion", device="cuda")(torch.ones(2, 64, device="cuda"), labels)
    with pytest.raises(ValueError, match="integers from 0 to 10"):
        zoo.load("ddpm-fashion", device="cuda").network(torch.ones(2, 1, 28, 28, device="cuda"), torch.ones(2, device="cuda"), labels)
    assert (labels + 1).sum().item() == 24


def test_pictures_on_the_device_are_judged():
    frechet, images = zoo.recipes.fashion_frechet(200), to_unit(fashion_mnist("test").images[:100])
    assert frechet(images.cuda()) == pytest.approx(frechet(images), rel=1e-3)


def test_judges_take_what_is_elsewhere():
    images, labels = fashion_mnist("test").images[:100], fashion_mnist("test").labels[:100]
    for judge in (zoo.load("classifier-fashion"), zoo.load("classifier-fashion", device="cuda")):
        frechet = FrechetDistance(to_unit(images), judge)
        assert frechet(to_unit(images.flip(3))) == pytest.approx(frechet(to_unit(images.flip(3)).cuda()), rel=1e-3)
        assert accuracy(judge, images.cuda(), labels) == accuracy(judge, images, labels.cuda()) > 0.8
    points = torch.randn(200, 3, generator=runtime.generator(0))
    assert conditional_entropy(points.cuda(), points[:, 0] > 0) == pytest.approx(conditional_entropy(points, points[:, 0] > 0), abs=1e-3)


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_widgets_draw_with_networks_on_the_device(where):
    """And with pictures there or not."""
    images, labels, _ = fashion_mnist("test")
    images, labels = images[:40].to(where), labels[:40].to(where)
    vae, gan, points = zoo.load("vae-fashion", device="cuda"), zoo.load("cgan-fashion", device="cuda"), torch.randn(50, 2, device=where)
    beta, latent = BetaView(vae, images, points=3), LatentView(vae, images[:1])
    for view, values in (
        (beta, {"beta": 1.0}), (latent, {"z0": 1.0}),
        (NoiseView(zoo.load("ddpm-fashion", device="cuda"), images, labels, points=3), {"t": 0.5}),
        (ClassMixView(gan, zoo.load("classifier-fashion")), {"first": 3, "second": 0, "share": 0.5, "seed": 0}),
        (CriticView({1.0: PointDiscriminator(8).cuda()}, points, points + 1), {"setting": 1.0}),
        (LatentWalkView(zoo.load("dcgan-fashion", device="cuda"), 0, torch.eye(64)[:2].to(where)), {"d1": 1.0}),
        (WeightView(torch.zeros(1, 3, 32, 32, device="cuda"), torch.zeros(1, 3, 32, 32), dict.fromkeys((0.1, 1.0), torch.zeros(1, 3, 32, 32))),
         {"weight": 0.5}),
    ):  # fmt: skip
        assert view.render(**values).size > (50, 50)


def test_pictures_on_the_device_are_painted():
    content, style = photo("chelsea", side=64), any_style("mosaic", 64)
    painted = last(stylise(content.cuda(), style, steps=2, keep_colours=True)).picture
    assert painted.is_cuda and painted.isfinite().all()
    network = zoo.load("style-fast", device="cuda")
    view = StyleBlendView(network, FAST_STYLES, content.cuda())
    weights = {name: float(i == 0) for i, name in enumerate(FAST_STYLES)}
    there, here = view.render(**weights), StyleBlendView(network.cpu(), FAST_STYLES, content).render(**weights)
    assert there.size == here.size


@pytest.mark.parametrize("line", [
    "sample dcgan-fashion --count 3", "sample ddpm-fashion --count 2 --steps 5 --labels bag",
    "reconstruct vae-fashion --input in.npz", "likelihood ddpm-fashion --input in.npz",
])  # fmt: skip
def test_a_command_writes_what_it_writes_on_a_cpu(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_images("in.npz", to_unit(fashion_mnist("test", source="shipped").images[:2]))
    found = []
    for where in ("cuda", "cpu"):
        monkeypatch.setenv("V101_DEVICE", where)
        assert main([*line.split(), "--out", f"{where}.npz"]) == 0
        with np.load(f"{where}.npz") as archive:
            found.append({name: archive[name] for name in archive.files})
    assert found[0].keys() == found[1].keys()
    assert all(np.allclose(there, found[1][name], atol=0.03) for name, there in found[0].items())
