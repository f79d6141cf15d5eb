"""Samplers: step for step those of diffusers, and on data whose denoiser is known they end at the data."""

import math

import pytest
import torch
from diffusers_schedulers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from scipy import stats
from scipy.integrate import solve_ivp
from torch import nn

from v101_utils.diffusion import (
    Clipped, Denoiser, GaussianMixture, Prediction, Schedule, State, ancestral, cosine, ddim, dpm, from_betas, linear, sample,
    trajectory,
)  # fmt: skip

WORDS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
SMOOTH = Schedule(lambda t: -0.1 * t - 9.95 * t * t, "smooth")  # betas that grow linearly, in continuous time
MIXTURE = GaussianMixture([[-1.0, 0.5], [1.5, 0.0], [0.0, -2.0]], [0.3, 0.2, 0.6], [1.0, 2.0, 3.0])


def normal(*shape, seed=0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def seeded(seed=3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Against diffusers. Its step k of 0..T-1 is the time (k + 1) / T here. All is float32, there the levels too: the
# tolerance is a few hundred roundings, for x0 is divided by an alpha that is small at first.


class Curves(nn.Module):
    """A fixed function of x and t in place of a network."""

    def forward(self, x, t, labels=None):
        return torch.tanh(1.5 * x.roll(1, -1) - 0.7 * x.roll(1, -2) + 4 * t.view(-1, 1, 1, 1) - 2)


def compare(scheduler, rule, predicts="eps", clip=False, tolerance=2e-5, **options):
    """Every step of `rule` from where diffusers stands, and the whole walk on its own."""
    network, times = Curves(), [(k + 1) / len(scheduler.betas) for k in scheduler.timesteps.tolist()] + [0.0]
    denoiser = Denoiser(network, from_betas(scheduler.betas), predicts)
    denoiser = Clipped(denoiser) if clip else denoiser
    x = normal(2, 3, 4, 4, dtype=torch.float32)
    walk, state, ours = trajectory(denoiser, x, rule, times, generator=seeded()), State(x, times[0]), seeded()
    theirs, generator = x, seeded()
    for k, s, alone in zip(scheduler.timesteps, times[1:], walk, strict=True):
        output = network(theirs, torch.full((2,), (k.item() + 1) / len(scheduler.betas)))
        theirs = scheduler.step(output, k, theirs, generator=generator, **options).prev_sample
        state = rule(denoiser, state, s, lambda: torch.randn(x.shape, generator=ours))
        scale = max(1.0, theirs.abs().max().item())
        torch.testing.assert_close(state.x, theirs, atol=tolerance * scale, rtol=0)
        torch.testing.assert_close(alone.x, theirs, atol=10 * tolerance * scale, rtol=0)
        state = state._replace(x=theirs)


SETTINGS = [
    (1, "linear", "eps", "leading"), (2, "linear", "v", "trailing"), (10, "linear", "eps", "leading"),
    (10, "linear", "x0", "trailing"), (20, "squaredcos_cap_v2", "v", "leading"),
    (50, "scaled_linear", "eps", "trailing"), (7, "linear", "v", "leading"),
]  # fmt: skip


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("steps", "betas", "predicts", "spacing"), SETTINGS)
@pytest.mark.parametrize("clip", [False, True])
def test_ddim_is_that_of_diffusers(steps, betas, predicts, spacing, eta, clip):
    scheduler = DDIMScheduler(beta_schedule=betas, prediction_type=WORDS[predicts], clip_sample=clip, timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    compare(scheduler, ddim(eta), predicts, clip, eta=eta, use_clipped_model_output=clip)


@pytest.mark.parametrize(("ours", "theirs"), [("posterior", "fixed_small"), ("beta", "fixed_large")])
@pytest.mark.parametrize(("steps", "betas", "predicts", "spacing"), [*SETTINGS, (250, "linear", "eps", "leading")])
@pytest.mark.parametrize("clip", [False, True])
def test_ancestral_sampling_is_that_of_diffusers(steps, betas, predicts, spacing, ours, theirs, clip):
    if spacing == "trailing":  # there it adds noise at the last step unless that is its step 0
        steps, spacing = 1000 // max(steps, 10), "leading"
    scheduler = DDPMScheduler(
        beta_schedule=betas, prediction_type=WORDS[predicts], clip_sample=clip, timestep_spacing=spacing, variance_type=theirs)
    scheduler.set_timesteps(steps)
    compare(scheduler, ancestral(ours), predicts, clip)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # how it hands its levels to numpy
@pytest.mark.parametrize(("steps", "betas", "predicts", "spacing"), [*SETTINGS, (15, "linear", "eps", "linspace")])
def test_dpm_is_that_of_diffusers(steps, betas, predicts, spacing):
    scheduler = DPMSolverMultistepScheduler(
        beta_schedule=betas, prediction_type=WORDS[predicts], timestep_spacing=spacing, algorithm_type="dpmsolver++", solver_order=2,
        lower_order_final=True, final_sigmas_type="zero")  # fmt: skip
    scheduler.set_timesteps(steps)
    compare(scheduler, dpm(), predicts)


# What each rule is exact for


POINT = GaussianMixture([[0.8]], 1e-9).denoiser(SMOOTH)  # the data are a single point
UNIT = GaussianMixture([[0.0]], 1.0).denoiser(SMOOTH)  # the data are normal themselves
STRIDES = [(1.0, 0.5), (0.9, 0.1), (0.5, 0.499), (0.1, 1e-4)]


def step(rule, denoiser, t, s) -> tuple[float, float, float]:
    """A step from t to s in terms of x_t and of the fresh noise: x_s = constant + slope x_t + fresh noise."""
    def at(x, noise):
        state = State(torch.tensor([[x]], dtype=torch.float64), t)
        return float(rule(denoiser, state, s, lambda: torch.full((1, 1), noise).double()).x.item())  # complex ones fail

    return at(0.0, 0.0), at(1.0, 0.0) - at(0.0, 0.0), at(0.0, 1.0) - at(0.0, 0.0)


@pytest.mark.parametrize(("t", "s"), STRIDES)
@pytest.mark.parametrize("rule", [ddim(), ddim(0.3), ddim(1.0), ddim(2.0), ancestral(), dpm()])
def test_a_single_point_keeps_its_noise_level_in_any_stride(rule, t, s):
    constant, slope, fresh = step(rule, POINT, t, s)
    mean, std = constant + slope * 0.8 * SMOOTH.alpha(t), ((slope * SMOOTH.sigma(t)) ** 2 + fresh**2) ** 0.5
    assert (mean.item(), std.item()) == pytest.approx((0.8 * SMOOTH.alpha(s).item(), SMOOTH.sigma(s).item()), rel=1e-6)


@pytest.mark.parametrize(("t", "s"), STRIDES)
def test_the_larger_variance_is_exact_for_normal_data(t, s):
    constant, slope, fresh = step(ancestral("beta"), UNIT, t, s)
    assert constant == 0
    assert slope**2 + fresh**2 == pytest.approx(1, rel=1e-9)
    _, slope, fresh = step(ancestral("posterior"), UNIT, t, s)
    assert slope**2 + fresh**2 < 1 - 1e-9


@pytest.mark.parametrize("denoiser", [MIXTURE.denoiser(SMOOTH), MIXTURE.denoiser(linear()), MIXTURE.denoiser(cosine())])
@pytest.mark.parametrize("steps", [1, 7, 40])
def test_ddim_at_eta_one_is_ancestral_sampling(denoiser, steps):
    a, b = (sample(denoiser, normal(50, 2), rule, steps, generator=seeded()) for rule in (ddim(1.0), ancestral()))
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", [ddim(), ddim(1.0), ancestral(), ancestral("beta"), dpm()])
def test_the_last_step_adds_no_noise_and_is_the_guess(rule):
    def none():
        raise AssertionError("noise at the last step")

    denoiser, x = MIXTURE.denoiser(SMOOTH), normal(5, 2)
    before = State(x, 0.2, normal(5, 2, seed=1), 0.4)
    after = rule(denoiser, before, 0.0, none)
    torch.testing.assert_close(after.x, denoiser(x, 0.2).x0)
    assert (after.t, after.guessed_at) == (0.0, 0.2)


@pytest.mark.parametrize("rule", [ddim(), ddim(0.7), ancestral(), ancestral("beta"), dpm()])
@pytest.mark.parametrize("schedule", [Schedule(lambda t: torch.log1p(-t)), cosine(floor=0.3), linear()])
def test_no_schedule_breaks_a_rule(rule, schedule):
    """alpha 0 at t = 1, a first half with the same noise throughout, and steps of the discrete one's own."""
    for steps in (1, 10, 100):
        x = sample(MIXTURE.denoiser(schedule), normal(20, 2), rule, steps, generator=seeded())
        assert x.isfinite().all()
        assert x.dtype == torch.float64


# To the true distribution


def cdf(axis):
    shares, centres, spreads = MIXTURE.weights.numpy(), MIXTURE.means[:, axis].numpy(), MIXTURE.stds.numpy()
    return lambda x: sum(w * stats.norm(m, s).cdf(x) for w, m, s in zip(shares, centres, spreads))


RULES = {
    "ddpm": (ancestral(), 200), "ddpm, beta": (ancestral("beta"), 200), "ddim": (ddim(), 100), "ddim, eta 0.5": (ddim(0.5), 100),
    "ddim, eta 1": (ddim(1.0), 200), "dpm": (dpm(), 30),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_every_sampler_reaches_the_distribution(name):
    rule, steps = RULES[name]
    times = SMOOTH.times(steps, "log_snr")
    x = sample(MIXTURE.denoiser(SMOOTH), normal(3000, 2), rule, times, generator=seeded())
    exact, _ = MIXTURE.sample(3000, seeded(4))
    for axis in (0, 1):
        assert stats.kstest(x[:, axis].numpy(), cdf(axis)).pvalue > 1e-3
    statistical = 4 * exact.std(0) / 3000**0.5
    assert ((x.mean(0) - exact.mean(0)).abs() < 2 * statistical).all()
    torch.testing.assert_close(x.T.cov(), exact.T.cov(), atol=0.12, rtol=0)


@pytest.mark.parametrize("name", RULES)
def test_a_label_reaches_its_cloud(name):
    rule, steps = RULES[name]
    denoiser, times, labels = MIXTURE.denoiser(SMOOTH), SMOOTH.times(steps // 2, "log_snr"), torch.ones(1000).long()
    x = sample(denoiser, normal(1000, 2), rule, times, labels=labels, generator=seeded())
    assert stats.kstest((x[:, 0].numpy() - 1.5) / 0.2, stats.norm.cdf).pvalue > 1e-3


@pytest.fixture(scope="module")
def solution() -> tuple[torch.Tensor, torch.Tensor]:
    """32 noises, and where the probability flow takes each at t = 0.05: dx/dt = (x + score) / 2 * d log(alpha_bar) / dt."""
    start, denoiser = normal(32, 2), MIXTURE.denoiser(SMOOTH)

    def flow(t, x):
        x = torch.from_numpy(x).view(32, 2)
        score = -denoiser(x, t).eps / SMOOTH.sigma(t)
        return ((x + score) / 2 * (-0.1 - 19.9 * t)).flatten().numpy()

    found = solve_ivp(flow, (1.0, 0.05), start.flatten().numpy(), method="DOP853", rtol=1e-10, atol=1e-10)
    return start, torch.from_numpy(found.y[:, -1]).view(32, 2)


@pytest.mark.parametrize(("rule", "order"), [(ddim(), 1), (dpm(), 2)])
@pytest.mark.parametrize("spacing", ["uniform", "log_snr"])
def test_the_error_falls_at_its_own_order(rule, order, spacing, solution):
    """Towards the exact flow, from the same noise. To t = 0.05: the last step, to no noise at all, is DDIM's for both."""
    (start, end), errors = solution, []
    for steps in (50, 100, 200):
        times = [1 - 0.95 * i / steps for i in range(steps + 1)]
        times = SMOOTH.times(steps, "log_snr", end=0.05)[:-1] if spacing == "log_snr" else times
        errors.append((sample(MIXTURE.denoiser(SMOOTH), start, rule, times) - end).square().mean().sqrt().item())
    slopes = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
    assert slopes == pytest.approx([order] * 2, abs=0.25), errors
    assert errors[-1] < 0.04


def test_rising_times_take_data_to_their_noise():
    denoiser, x, errors = MIXTURE.denoiser(cosine()), MIXTURE.sample(500, seeded())[0], []
    for steps in (50, 100, 200):
        times = cosine().times(steps)
        code = sample(denoiser, x, ddim(), times[::-1])
        errors.append((sample(denoiser, code, ddim(), times) - x).abs().mean().item())
    assert stats.kstest(code.flatten().numpy(), stats.norm.cdf).pvalue > 1e-3
    assert [math.log2(a / b) for a, b in zip(errors, errors[1:])] == pytest.approx([1, 1], abs=0.2), errors
    assert errors[-1] < 0.015


@pytest.mark.parametrize("rule", [ddim(0.1), ancestral(), ancestral("beta"), dpm()])
@pytest.mark.parametrize("times", [[0.0, 0.5], [0.2, 0.5]])
def test_only_the_deterministic_ddim_rises(rule, times):
    with pytest.raises(ValueError, match="can only take noise away; ddim at eta 0 goes both ways"):
        sample(MIXTURE.denoiser(SMOOTH), normal(3, 2), rule, times)


# The one loop


@pytest.mark.parametrize("rule", [ancestral(), ddim(0.5)])
def test_the_same_generator_gives_the_same_walk(rule):
    denoiser, x = MIXTURE.denoiser(SMOOTH), normal(4, 2)
    walks = [[s.x for s in trajectory(denoiser, x, rule, 5, generator=seeded(n))] for n in (1, 1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(*walks[:2]))
    assert (walks[0][0] - walks[2][0]).abs().min() > 0
    assert torch.equal(sample(denoiser, x, rule, 5, generator=seeded(1)), walks[0][-1])
    torch.manual_seed(7)
    ambient = sample(denoiser, x, rule, 5)
    torch.manual_seed(7)
    assert torch.equal(sample(denoiser, x, rule, 5), ambient)  # without one, torch's own


def test_the_trajectory_hands_out_every_step_and_keeps_no_graph():
    torch.manual_seed(0)
    model, x = Denoiser(nn.Identity(), cosine()), normal(2, 1, 4, 4, dtype=torch.float32)
    model.network.forward = lambda x, t, labels: x * model.weight
    model.weight = nn.Parameter(torch.tensor(0.5))
    states = list(trajectory(model, x, dpm(), 5))
    assert [s.t for s in states] == cosine().times(5)[1:]
    assert [s.guessed_at for s in states] == cosine().times(5)[:-1]
    torch.testing.assert_close(states[0].guess, model(x, 1.0).x0.detach())
    assert not any(s.x.requires_grad for s in states)


@pytest.mark.parametrize(("name", "rule"), [("ddpm", ancestral()), ("ddim", ddim()), ("dpm", dpm())])
def test_a_rule_has_a_name(name, rule):
    a, b = (sample(MIXTURE.denoiser(SMOOTH), normal(4, 2), r, 5, generator=seeded()) for r in (name, rule))
    assert torch.equal(a, b)


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 1.0], [1.5, 0.0], [1.0, -0.1], [1.0, math.nan, 0.0], [0.5, 0.5, 0.0]])
def test_times_that_cannot_be_are_refused(times):
    with pytest.raises(ValueError, match="they should be two or more, between 0 and 1"):
        sample(MIXTURE.denoiser(SMOOTH), normal(3, 2), ddim(), times)


def test_what_cannot_be_walked_is_refused_before_any_work():
    class Untouched:
        schedule, classes = SMOOTH, 3

        def __call__(self, x, t, labels):
            raise AssertionError("it did work")

    class Unlabelled(Untouched):
        classes = 0

    for denoiser, rule, steps, labels, message in [
        (Untouched(), ddim(), 5, [0, 1, 4], "3 integers.* from 0 to 2, or 3"), (Untouched(), ddim(), 5, [0, 1], "3 integers"),
        (Untouched(), ddim(), 5, [0, -1, 0], "3 integers"), (Unlabelled(), ddim(), 5, [0, 0, 0], "knows no labels"),
        (Untouched(), "heun", 5, None, "'heun'.*ddpm, ddim, dpm"), (Untouched(), ddim(), 0, None, "0 steps"),
        (Untouched(), ddim(), 2.5, None, "2.5 steps"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            sample(denoiser, normal(3, 2), rule, steps, labels=labels)


@pytest.mark.parametrize("eta", [-0.1, math.nan, math.inf])
def test_an_eta_that_cannot_be_is_refused(eta):
    with pytest.raises(ValueError, match=f"eta {eta}"):
        ddim(eta)


def test_a_third_variance_is_refused():
    with pytest.raises(ValueError, match="'learned'.*'posterior', 'beta'"):
        ancestral("learned")


def test_steps_are_one_call_each():
    calls = []

    class Counted:
        schedule = SMOOTH

        def __call__(self, x, t, labels=None):
            calls.append(t)
            return Prediction(x, x)

    for rule in (ddim(0.5), ancestral(), dpm()):
        calls.clear()
        sample(Counted(), normal(3, 2), rule, 6)
        assert calls == SMOOTH.times(6)[:-1]
