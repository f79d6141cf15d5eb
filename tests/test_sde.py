"""The SDEs, their scores, and the ways back: against the paper's formulas, simulation, autograd and exact mixtures."""

import math

import pytest
import torch
from diffusers import ScoreSdeVeScheduler

from v101_utils.diffusion import (
    Clipped, GaussianMixture, Guided, Rescheduled, State, ancestral, cosine, ddim, dpm, euler_maruyama, from_betas, heun, linear, ode,
    predictor_corrector, sample, score, sub_vp, trajectory, ve, vp,
)  # fmt: skip
from v101_utils.metrics import energy_distance, two_sample_test

SDES = {"VP": vp(), "sub-VP": sub_vp(), "VE": ve(high=10.0), "cosine": cosine()}
MIXTURE = GaussianMixture([[-1.0, 0.5], [1.5, 0.0], [0.0, -2.0]], [0.3, 0.2, 0.6], [1.0, 2.0, 3.0])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


# The forward equations


@pytest.mark.parametrize("t", [0.01, 0.3, 0.8, 1.0])
def test_drift_and_diffusion_are_the_papers(t):
    beta, total = 0.1 + 19.9 * t, 0.1 * t + 9.95 * t * t
    for schedule in (vp(), sub_vp()):
        assert schedule.drift(t).item() == pytest.approx(-beta / 2)
        assert schedule.alpha(t).item() == pytest.approx(math.exp(-total / 2))
    assert vp().diffusion(t).item() == pytest.approx(beta**0.5)
    assert sub_vp().diffusion(t).item() == pytest.approx((beta * (1 - math.exp(-2 * total))) ** 0.5)
    assert sub_vp().sigma(t).item() == pytest.approx(1 - math.exp(-total))
    assert ve().drift(t).item() == 0 and ve().alpha(t).item() == 1
    assert ve().diffusion(t).item() == pytest.approx(0.01 * 5000**t * (2 * math.log(5000)) ** 0.5)
    assert ve().variance(t).item() == pytest.approx((0.01 * 5000**t) ** 2 - 0.01**2)


@pytest.mark.parametrize("name", SDES)
def test_a_simulation_ends_at_the_marginals(name):
    schedule, steps, end = SDES[name], 400, 0.7
    x, draw = torch.full((20_000,), 0.8, dtype=torch.float64), seeded()
    for i in range(steps):
        t, h = (i + 0.5) / steps * end, end / steps
        x = x + h * schedule.drift(t) * x + schedule.diffusion(t) * h**0.5 * torch.randn(x.shape, generator=draw, dtype=x.dtype)
    sigma = schedule.sigma(end).item()
    assert x.mean().item() == pytest.approx(0.8 * schedule.alpha(end).item(), abs=4 * sigma / 20_000**0.5 + 0.003)
    assert x.std().item() == pytest.approx(sigma, rel=0.03)


def test_times_in_tensors_and_under_no_grad():
    t = torch.tensor([0.2, 0.9], dtype=torch.float64)
    with torch.no_grad():
        for schedule in SDES.values():
            for level in (schedule.drift, schedule.diffusion):
                assert torch.equal(level(t), torch.stack([level(0.2), level(0.9)])) and not level(t).requires_grad


@pytest.mark.parametrize(("make", "message"), [
    (lambda: vp(0.0, 20), "first 0.0"), (lambda: sub_vp(2, 1), "first 2, last 1"), (lambda: ve(1, 0.5), "0 < low < high"),
    (lambda: vp().drift(1.5), "should be in"), (lambda: ve().diffusion(-0.1), "should be in"), (lambda: ve().variance(2.0), "should be in"),
    (lambda: predictor_corrector(-1), "snr -1"), (lambda: predictor_corrector(math.nan), "snr nan"),
    (lambda: predictor_corrector(0.1, -1), "corrections -1"), (lambda: ode(0.0), "rtol 0.0"), (lambda: ode(1e-3, math.inf), "atol inf"),
])  # fmt: skip
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Scores


@pytest.mark.parametrize("name", SDES)
def test_the_score_is_the_gradient_of_the_log_density(name):
    schedule, x = SDES[name], normal(50, 2).requires_grad_()
    exact = MIXTURE.log_prob(x, schedule.alpha(0.4), schedule.sigma(0.4)).logsumexp(1).sum()
    torch.testing.assert_close(score(MIXTURE.denoiser(schedule), x, 0.4), torch.autograd.grad(exact, x)[0])


@pytest.mark.parametrize("new", ["VP", "sub-VP", "VE"])
@pytest.mark.parametrize("old", ["VP", "cosine"])
def test_a_denoiser_in_other_units_is_that_of_the_other_equation(old, new):
    x, exact = normal(40, 2), MIXTURE.denoiser(SDES[new])
    moved = Rescheduled(MIXTURE.denoiser(SDES[old]), SDES[new])
    for t in (0.05, 0.5, 0.8, torch.linspace(0.1, 0.8, 40, dtype=torch.float64)):
        for ours, wanted in zip(moved(x, t), exact(x, t)):
            torch.testing.assert_close(ours, wanted, atol=1e-6, rtol=1e-6)
    labels = torch.arange(40) % 4
    torch.testing.assert_close(Guided(moved, 2.0)(x, 0.3, labels).x0, Guided(exact, 2.0)(x, 0.3, labels).x0, atol=1e-6, rtol=1e-6)
    assert moved.classes == 3


def test_a_denoiser_is_not_asked_about_more_noise_than_it_knows():
    with pytest.raises(ValueError, match="VP ends with 152.* for 10 at most"):
        Rescheduled(MIXTURE.denoiser(ve(high=10.0)), vp())


# The way back


RULES = {
    "euler_maruyama": (euler_maruyama(), 999), "predictor_corrector": (predictor_corrector(0.1), 500), "heun": (heun(), 60),
    "ode": (ode(), 1), "ancestral": (ancestral(), 600), "ddim": (ddim(0.0), 600), "ddim, eta 1": (ddim(1.0), 600), "dpm": (dpm(), 60),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("equation", ["VP", "sub-VP", "VE"])
def test_every_rule_reaches_the_data_under_every_equation(name, equation):
    """At up to 1,000 calls a two-sample test does not tell the samples from exact ones."""
    (rule, steps), schedule = RULES[name], SDES[equation]
    mixture = GaussianMixture([[-1.0, 0.5], [1.0, 0.5], [0.0, -1.0]], [0.3, 0.2, 0.4], 1.0)  # mean zero, as the prior's
    start = normal(600, 2, seed=1) * schedule.sigma(1.0)
    ends = sample(mixture.denoiser(schedule), start, rule, steps, generator=seeded())
    assert two_sample_test(ends, mixture.sample(600, seeded(5))[0], generator=seeded(6)) > 0.05


def test_an_euler_maruyama_step_is_that_of_diffusers():
    """Its VE predictor: the stride's variance in place of g^2 h, which is the same in the limit of many steps."""
    scheduler, schedule, x = ScoreSdeVeScheduler(2000, sigma_min=0.01, sigma_max=10.0, sampling_eps=1e-5), ve(high=10.0), normal(5, 2)
    scheduler.set_timesteps(2000)
    scheduler.set_sigmas(2000)
    t = scheduler.timesteps[700].item()
    s, pull = scheduler.timesteps[701].item(), score(MIXTURE.denoiser(schedule), x, t)
    theirs = scheduler.step_pred(pull, t, x, generator=seeded())
    noise = torch.randn(x.shape, generator=seeded(), dtype=x.dtype)
    ours = euler_maruyama()(MIXTURE.denoiser(schedule), State(x, t), s, lambda: noise)
    mean = euler_maruyama()(MIXTURE.denoiser(schedule), State(x, t), s, lambda: torch.zeros_like(x)).x
    torch.testing.assert_close(mean - x, theirs.prev_sample_mean.double() - x, atol=0, rtol=0.02)
    torch.testing.assert_close((ours.x - mean).std(), (theirs.prev_sample - theirs.prev_sample_mean).std(), atol=0, rtol=1.0)


def gain(rule, steps, schedule, std=0.5, start=0.9, end=0.4):
    """The variance that a rule makes of N(0, variance at `start`), exactly: for normal data each step is linear."""
    denoiser = GaussianMixture([[0.0]], std).denoiser(schedule)
    variance = ((schedule.alpha(start) * std) ** 2 + schedule.variance(start)).item()
    times, one, zero = torch.linspace(start, end, steps + 1).tolist(), torch.ones(1, 1).double(), torch.zeros(1, 1).double()
    for t, s in zip(times, times[1:]):
        factor = rule(denoiser, State(one, t), s, lambda: zero).x.item()
        spread = rule(denoiser, State(zero, t), s, lambda: one).x.item()
        variance = factor**2 * variance + spread**2
    return abs(variance - ((schedule.alpha(end) * std) ** 2 + schedule.variance(end)).item())


@pytest.mark.parametrize(("rule", "order"), [(euler_maruyama(), 1), (ddim(0.0), 1), (heun(), 2)])
@pytest.mark.parametrize("equation", ["VP", "sub-VP", "VE"])
def test_the_error_falls_at_the_rules_own_order(rule, order, equation):
    errors = [gain(rule, steps, SDES[equation]) for steps in (50, 100, 200)]
    for coarse, fine in zip(errors, errors[1:]):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)


def test_ddpm_and_ddim_are_discretisations():
    """Ancestral sampling of T steps nears Euler-Maruyama, and DDIM the probability flow, as T grows: each by one order."""
    x, schedule = normal(30, 2), vp()
    denoiser, zero = MIXTURE.denoiser(schedule), torch.zeros(30, 2, dtype=torch.float64)
    gaps = []
    for h in (0.02, 0.01, 0.005):
        one = [rule(denoiser, State(x, 0.5), 0.5 - h, lambda: zero).x for rule in (ancestral("beta"), euler_maruyama())]
        flow = x - h * (schedule.drift(0.5) * x - schedule.diffusion(0.5) ** 2 / 2 * score(denoiser, x, 0.5))
        gaps.append([(one[0] - one[1]).abs().max().item(), (ddim(0.0)(denoiser, State(x, 0.5), 0.5 - h, None).x - flow).abs().max().item()])
    for coarse, fine in zip(gaps, gaps[1:]):
        assert all(math.log2(a / b) == pytest.approx(2, abs=0.25) for a, b in zip(coarse, fine))  # of one step: order two


def test_betas_of_many_steps_tend_to_the_vp_equation():
    many, one = from_betas(torch.linspace(0.1, 20.0, 10_000, dtype=torch.float64) / 10_000), vp()
    for t in (0.2, 0.5, 0.9):
        assert many.alpha_bar(t).item() == pytest.approx(one.alpha_bar(t).item(), rel=5e-3)
    assert linear().drift(0.5).item() == pytest.approx(one.drift(0.5).item(), rel=0.02)


def test_heun_goes_both_ways_and_ends_with_one_call():
    calls, x = [], normal(8, 2)

    class Counted:
        schedule, classes = vp(), 0

        def __call__(self, x, t, labels=None):
            calls.append(t)
            return MIXTURE.denoiser(vp())(x, t)

    up = sample(Counted(), x, heun(), torch.linspace(0.05, 0.9, 200).tolist())
    torch.testing.assert_close(sample(Counted(), up, heun(), torch.linspace(0.9, 0.05, 200).tolist()), x, atol=2e-3, rtol=0)
    calls.clear()
    sample(Counted(), x, heun(), [0.4, 0.2, 0.0])
    assert calls == [0.4, 0.2, 0.2]


def test_the_correctors_step_is_the_papers():
    x, z, calls = normal(6, 2), normal(6, 2, seed=1), []
    denoiser = MIXTURE.denoiser(vp())

    def stay(denoise, state, s, noise):
        return State(state.x, s)

    moved = predictor_corrector(0.2, predictor=stay)(denoiser, State(x, 0.5), 0.4, lambda: calls.append(1) or z).x
    pull = score(denoiser, x, 0.4)
    size = 2 * (vp().alpha(0.5) / vp().alpha(0.4)) ** 2 * (0.2 * z.norm(dim=1).mean() / pull.norm(dim=1).mean()) ** 2  # alg. 5
    torch.testing.assert_close(moved, x + size * pull + (2 * size).sqrt() * z)
    assert len(calls) == 1
    assert torch.equal(predictor_corrector(0.2, predictor=stay)(denoiser, State(x, 0.5), 0.0, None).x, x)  # no score at no noise


def test_langevin_steps_alone_keep_the_marginal_and_find_it():
    schedule, draw = vp(), seeded()
    denoiser = MIXTURE.denoiser(schedule)
    x = 3 + normal(600, 2)  # far off

    def stay(denoise, state, s, noise):
        return State(state.x, s)

    for _ in range(300):
        x = predictor_corrector(0.15, predictor=stay)(denoiser, State(x, 0.5), 0.5, lambda: torch.randn(x.shape, generator=draw, dtype=x.dtype)).x
    exact = schedule.alpha(0.5) * MIXTURE.sample(600, seeded(4))[0] + schedule.sigma(0.5) * normal(600, 2, seed=8)
    assert two_sample_test(x, exact, generator=seeded(6)) > 0.05


def test_a_corrector_mends_what_the_predictor_carries_along():
    """A start that is too narrow gives the clouds wrong shares. No number of steps mends that; at equal calls, a corrector does."""
    schedule, mixture = ve(high=1.5), GaussianMixture([[-1.2, -0.4], [1.2, 0.4]], [0.25, 0.15], [0.2, 0.8])
    truth, off = mixture.sample(1500, seeded(5))[0], {}
    for rule, steps in ((euler_maruyama(), 40), (euler_maruyama(), 160), (predictor_corrector(0.3), 80)):
        ends = sample(mixture.denoiser(schedule), 1.5 * normal(1500, 2, seed=1), rule, steps, generator=seeded())
        off[steps] = energy_distance(ends, truth)
    assert off[160] > 0.7 * off[40] and off[80] < 0.5 * off[160]


@pytest.mark.parametrize("rule", [euler_maruyama(), predictor_corrector(), heun(), ode()])
def test_the_same_seed_gives_the_same_bits(rule):
    denoiser, x = Clipped(MIXTURE.denoiser(vp())), normal(10, 2)
    walks = [list(trajectory(denoiser, x, rule, 2, generator=seeded())) for _ in range(2)]
    assert all(torch.equal(a.x, b.x) and a.t == b.t for a, b in zip(*walks))


def test_a_field_that_cannot_be_followed_is_said_to_be_so():
    class Broken:
        schedule, classes = vp(), 0

        def __call__(self, x, t, labels=None):
            return MIXTURE.denoiser(vp())(x, t)._replace(eps=x * math.nan)

    with pytest.raises(ArithmeticError, match="came to a halt.*larger tolerances"):
        sample(Broken(), normal(3, 2), ode(), 1)


@pytest.mark.parametrize("rule", [euler_maruyama(), predictor_corrector()])
def test_noise_can_only_be_taken_away(rule):
    with pytest.raises(ValueError, match="can only take noise away"):
        sample(MIXTURE.denoiser(vp()), normal(3, 2), rule, [0.2, 0.5])
