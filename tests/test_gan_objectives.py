"""What discriminator and generator minimise: against torch's own losses, and at the best discriminator there is."""

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch.nn import functional as F

from v101_utils.gans import OBJECTIVES, Objective, objective

REAL, FAKE = torch.randn(2, 40, generator=torch.Generator().manual_seed(0)) * 3
P, Q = torch.tensor([1, 2, 5]), torch.tensor([4, 3, 1])  # how often, of 8, each of three points is real, and is generated


def cross_entropy(scores, target):
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))


def hinge(scores, sign):
    return F.hinge_embedding_loss(sign * scores, -torch.ones_like(scores))  # torch's: max(0, 1 - x) for the target -1


BY_TORCH = {
    "minimax": (lambda r, f: cross_entropy(r, 1.0) + cross_entropy(f, 0.0), lambda f: -cross_entropy(f, 0.0)),
    "non-saturating": (lambda r, f: cross_entropy(r, 1.0) + cross_entropy(f, 0.0), lambda f: cross_entropy(f, 1.0)),
    "least-squares": (
        lambda r, f: (F.mse_loss(r, torch.ones_like(r)) + F.mse_loss(f, torch.zeros_like(f))) / 2,
        lambda f: F.mse_loss(f, torch.ones_like(f)) / 2,
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda f: -f.mean()),
    "hinge": (lambda r, f: hinge(r, 1) + hinge(f, -1), lambda f: -f.mean()),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_are_torchs(name):
    discriminator, generator = BY_TORCH[name]
    torch.testing.assert_close(objective(name).discriminator(REAL, FAKE), discriminator(REAL, FAKE))
    torch.testing.assert_close(objective(name).generator(FAKE), generator(FAKE))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_players_pull_against_each_other(name):
    """The discriminator wants reals up and fakes down; the generator wants fakes up. Nothing overflows far out."""
    for scale in (0.1, 0.9, 200.0):
        scores = [scale * torch.rand(9).mul(2).sub(1).requires_grad_() for _ in range(2)]
        [s.retain_grad() for s in scores]
        objective(name).discriminator(*scores).backward()
        real, fake = scores[0].grad, scores[1].grad
        assert real.isfinite().all() and fake.isfinite().all()
        if name != "least-squares":  # which also pulls back what lies beyond its targets
            assert (real <= 0).all() and (fake >= 0).all()
        pulled = scores[1].detach().requires_grad_()
        objective(name).generator(pulled).backward()
        assert pulled.grad.isfinite().all() and ((pulled.grad <= 0) | (pulled.detach() > 1)).all()


def test_where_the_discriminator_is_sure_only_one_gradient_vanishes():
    slopes = {}
    for name in ("minimax", "non-saturating"):
        score = torch.tensor([-20.0], requires_grad=True)
        objective(name).generator(score).backward()
        slopes[name] = score.grad.item()
    assert slopes["minimax"] == pytest.approx(-1 / (1 + math.exp(20)), rel=1e-4)  # -D(G(z))
    assert slopes["non-saturating"] == pytest.approx(-1, rel=1e-6)  # -(1 - D(G(z)))


BEST = {  # the best score where a share p of real and q of generated points lies
    "minimax": lambda p, q: (p / q).log(),
    "non-saturating": lambda p, q: (p / q).log(),
    "least-squares": lambda p, q: p / (p + q),
    "hinge": lambda p, q: (p - q).sign(),
}


@pytest.mark.parametrize("name", BEST)
def test_the_best_discriminator(name):
    """No other does better: the loss is convex in the scores, and rises whichever of them is moved."""
    best = BEST[name](P / 8, Q / 8)
    loss = lambda scores: objective(name).discriminator(scores.repeat_interleave(P), scores.repeat_interleave(Q))  # noqa: E731
    for place in range(3):
        for move in (-0.05, 0.05):
            assert loss(best + move * F.one_hot(torch.tensor(place), 3)) > loss(best) + 1e-5


@pytest.mark.parametrize(("p", "q"), [(P, Q), (P, P)])
def test_the_value_of_the_game_is_the_jensen_shannon_divergence(p, q):
    """At the best discriminator -log 4 + 2 JSD (Goodfellow 2014, thm. 1), which is least, -log 4, where both agree."""
    best = (p / q).log()
    value = -objective("minimax").discriminator(best.repeat_interleave(p), best.repeat_interleave(q)).item()
    assert value == pytest.approx(-math.log(4) + 2 * jensenshannon(p.numpy(), q.numpy()) ** 2, abs=1e-6)


def test_names():
    mine = Objective("mine", lambda real, fake: fake, lambda fake: fake)
    assert objective(mine) is mine and all(objective(name).name == name for name in OBJECTIVES)
    with pytest.raises(ValueError, match="'wgan'; there are minimax, .*wasserstein"):
        objective("wgan")
