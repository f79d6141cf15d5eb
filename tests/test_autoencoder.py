"""The autoencoder of latent diffusion: its shapes, the scale of its latents, and its loss against closed forms."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from v101_utils.data.prompts import PromptBatches, every_prompt
from v101_utils.runtime import Plan
from v101_utils.training import fit
from v101_utils.vae import Autoencoder, AutoencoderTask, reparameterise


def small(size=16, seed=0, widths=(8, 16), **kwargs) -> Autoencoder:
    torch.manual_seed(seed)
    return Autoencoder(size=size, widths=widths, **kwargs)


def scaled() -> Autoencoder:
    """One whose measured mean and deviation are not 0 and 1."""
    model = small()
    model.mean.copy_(torch.tensor([0.5, -1.0, 2.0, 0.0])[:, None, None])
    model.deviation.copy_(torch.tensor([0.1, 2.0, 0.7, 1.5])[:, None, None])
    return model


def features() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5))


def step_of(task, images, seed=1) -> dict[str, torch.Tensor]:
    """The scalars of a step that minimises nothing, with the posterior's noise seeded."""
    torch.manual_seed(seed)
    return task.training_step((images,), lambda loss, optimiser: None)


@pytest.fixture
def images():
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


# The network


@pytest.mark.parametrize(("widths", "down"), [((32, 64), 4), ((16, 32, 64), 8), ((8,), 2)])
@pytest.mark.parametrize(("channels", "latents"), [(3, 4), (1, 2)])
def test_shapes(widths, down, channels, latents):
    model = small(32, widths=widths, channels=channels, latents=latents)
    images = torch.rand(2, channels, 32, 32) * 2 - 1
    copies, mean, log_var = model(images)
    assert model.down == down and model.latent_shape == (latents, 32 // down, 32 // down)
    assert copies.shape == model.to_images(mean).shape == model.reconstruct(images).shape == images.shape
    assert mean.shape == log_var.shape == model.to_latents(images).shape == (2, *model.latent_shape)


@pytest.mark.parametrize(("size", "widths", "down"), [(18, (8, 16), 4), (36, (8, 8, 8), 8)])
def test_a_size_that_cannot_be_halved_is_refused(size, widths, down):
    with pytest.raises(ValueError, match=f"size {size} cannot.*multiple of {down}"):
        small(size, widths=widths)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 1, 16, 16), (3, 16, 16)])
def test_another_shape_is_refused(shape):
    for takes in (small().encode, small().to_latents, small().reconstruct, small()):
        with pytest.raises(ValueError, match=r"images have shape .*\(B, 3, 16, 16\)"):
            takes(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 4, 8, 8), (2, 3, 4, 4), (2, 1, 4, 4), (4, 4, 4), (1, 64)])
def test_latents_of_another_shape_are_refused(shape):
    for takes in (small().decode, small().to_images):
        with pytest.raises(ValueError, match=r"latents have shape .*\(B, 4, 4, 4\)"):
            takes(torch.zeros(shape))


# The scale of its latents


def test_latents_are_the_posterior_means_standardised(images):
    model = scaled()
    latents, (mean, _) = model.to_latents(images), model.encode(images)
    for channel, (shift, scale) in enumerate([(0.5, 0.1), (-1.0, 2.0), (2.0, 0.7), (0.0, 1.5)]):
        torch.testing.assert_close(latents[:, channel], (mean[:, channel] - shift) / scale)
    assert not latents.requires_grad


def test_images_of_latents_undo_the_scale(images):
    model = scaled()
    mean, _ = model.encode(images)
    latents = model.to_latents(images)
    torch.testing.assert_close(model.to_images(latents), model.decode(mean).clamp(-1, 1).detach(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.reconstruct(images), small().reconstruct(images), atol=1e-5, rtol=1e-4)


def test_reconstructions_repeat_and_are_images(images):
    model = scaled()
    with torch.no_grad():
        model.decoder[-2].weight.mul_(100)  # or an untrained network would not reach 1
    copies = model.reconstruct(images)
    assert torch.equal(copies, model.reconstruct(images))
    assert copies.min() == -1 and copies.max() == 1


def test_many_images_are_as_a_few():
    model, many = scaled(), torch.rand(251, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(model.to_latents(many)[-3:], model.to_latents(many[-3:]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.reconstruct(many)[-3:], model.reconstruct(many[-3:]), atol=1e-5, rtol=1e-4)


def test_tracking_finds_mean_and_deviation():
    model, generator = small(), torch.Generator().manual_seed(0)
    mean, deviation = torch.tensor([3.0, -1.0, 0.0, 0.2]), torch.tensor([0.1, 2.0, 5.0, 1.0])
    for _ in range(1500):
        noise = torch.randn(8, 4, 4, 4, generator=generator)
        model.track(mean[:, None, None] + deviation[:, None, None] * noise)
    torch.testing.assert_close(model.mean.flatten(), mean, atol=0.1, rtol=0)
    torch.testing.assert_close(model.deviation.flatten(), deviation, atol=0.02, rtol=0.02)


def test_tracking_moves_by_what_is_not_kept():
    model = small()
    latents = torch.randn(5, 4, 4, 4) * 3 + 1
    model.track(latents, keep=0.75)
    torch.testing.assert_close(model.mean.flatten(), 0.25 * latents.mean((0, 2, 3)))
    torch.testing.assert_close(model.deviation.flatten(), 0.75 + 0.25 * latents.std((0, 2, 3)))


def test_tracked_latents_are_standard(images):
    model = small()
    model.track(model.encode(images)[0], keep=0.0)
    latents = model.to_latents(images)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)


def test_mean_and_deviation_are_kept_with_the_weights(images):
    model, other = scaled(), small(seed=1)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.to_latents(images), model.to_latents(images))


# The task


@pytest.mark.parametrize("kl", [1e-2, 3.0])
def test_the_loss_is_error_and_kl_per_pixel(images, kl):
    model = small()
    found = step_of(AutoencoderTask(model, kl), images)
    mean, log_var = model.encode(images)
    torch.manual_seed(1)
    error = (model.decode(reparameterise(mean, log_var)) - images).square().mean()
    rate = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0)).sum((1, 2, 3)).mean()
    torch.testing.assert_close(found["error"], error)
    torch.testing.assert_close(found["rate"], rate)
    torch.testing.assert_close(found["loss"], error + kl * rate / (3 * 16 * 16))


def test_without_kl_the_latents_are_means(images):
    model = small()
    found = step_of(AutoencoderTask(model, kl=0), images)
    torch.testing.assert_close(found["loss"], (model.decode(model.encode(images)[0]) - images).square().mean())
    assert torch.equal(found["loss"], step_of(AutoencoderTask(model, kl=0), images, seed=2)["loss"])


def test_a_step_tracks_the_means(images):
    model = small()
    step_of(AutoencoderTask(model), images)
    torch.testing.assert_close(model.mean.flatten(), 0.01 * model.encode(images)[0].mean((0, 2, 3)).detach())


def test_features_add_a_perceptual_term(images):
    model, network = small(), features().eval()
    plain = step_of(AutoencoderTask(model, kl=0), images)
    found = step_of(AutoencoderTask(model, kl=0, features=network, perceptual=0.3), images)
    expected = F.mse_loss(network(model.decode(model.encode(images)[0])), network(images))
    assert "perceptual" not in plain and expected > 0
    torch.testing.assert_close(found["perceptual"], expected)
    torch.testing.assert_close(found["loss"], plain["loss"] + 0.3 * expected)


def test_features_guide_the_network_but_stay_as_they_were(images):
    """Their weights, BatchNorm's statistics, and that dropout is off: `fit` puts a task in training mode at each step."""
    network = features()
    before, task = deepcopy(network.state_dict()), AutoencoderTask(small(), features=network)
    list(fit(task, lambda step: (images,), 3, plan=Plan(), progress=False))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(part.training for part in network.modules())


def test_the_perceptual_term_reaches_the_network(images):
    gradients = []
    for perceptual in (0.0, 1.0):
        model = small()
        task = AutoencoderTask(model, kl=0, features=features(), perceptual=perceptual)
        task.training_step((images,), lambda loss, optimiser: loss.backward())
        gradients.append(model.decoder[0].weight.grad)
        assert all(p.grad is None for p in task.features.parameters())
    assert (gradients[0] - gradients[1]).abs().max() > 1e-6


@pytest.mark.parametrize("weights", [{"kl": -0.1}, {"perceptual": -1.0}])
def test_negative_weights_are_refused(weights):
    with pytest.raises(ValueError, match="they should be 0 or above"):
        AutoencoderTask(small(), **weights)


def test_training_copies_better():
    batch = PromptBatches(16, every_prompt(), pixels=16)(0)
    steps = fit(AutoencoderTask(small()), lambda step: batch, 15, plan=Plan(), progress=False)
    found = [step.scalars["loss"] for step in steps]
    assert found[-1] < 0.8 * found[0]
