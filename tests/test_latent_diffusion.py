"""Latent diffusion: words that a network attends to, prompts as labels, and an autoencoder around a denoiser."""

import re
from copy import deepcopy

import numpy as np
import pytest
import torch
from randomised import randomised
from scipy import stats
from torch import nn

from v101_utils.data.labels import labels_for
from v101_utils.data.prompts import NULL, WORDS, every_prompt, parse
from v101_utils.diffusion import (
    Clipped, Denoiser, DiffusionTask, Guided, LatentDiffusion, Rescheduled, cosine, drop_labels, trajectory, vp,
)  # fmt: skip
from v101_utils.nn import CrossAttention, UNet
from v101_utils.runtime import Plan
from v101_utils.training import fit
from v101_utils.vae import Autoencoder
from v101_utils.zoo.latent_recipes import ldm_task

PROMPTS = every_prompt()[[0, 41, 95]]
LATENTS = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(1))
WRONG = [
    PROMPTS[0], PROMPTS[:, :3], PROMPTS[:, 0], PROMPTS[:, None], PROMPTS.double(), torch.full((3, 4), 15), torch.full((3, 4), -1),
]  # fmt: skip


def untrained(**options) -> UNet:
    torch.manual_seed(0)
    return UNet(4, 4, (8, 16), attention=(True, True), fold=1, **{"classes": len(WORDS), "words": 4, **options})


def small() -> Denoiser:
    return Denoiser(randomised(untrained()), cosine(), bounded=False)


def whole() -> LatentDiffusion:
    """One whose latents have a scale of their own, and whose decoder reaches -1 and 1."""
    torch.manual_seed(0)
    autoencoder = Autoencoder(size=16, widths=(8, 16))
    autoencoder.mean.copy_(torch.tensor([0.5, -1.0, 2.0, 0.0])[:, None, None])
    autoencoder.deviation.copy_(torch.tensor([0.1, 2.0, 0.7, 1.5])[:, None, None])
    with torch.no_grad():
        autoencoder.decoder[-2].weight.mul_(10)
    return LatentDiffusion(autoencoder, small())


def far(a: torch.Tensor, b: torch.Tensor) -> bool:
    return (a - b).abs().max() > 1e-4


# Attention to words


@pytest.mark.parametrize(("heads", "shape", "words"), [(1, (2, 8, 3, 5), 4), (2, (2, 16, 4, 4), 1), (4, (3, 8, 1, 1), 7)])
def test_attention_to_words_is_torchs_multihead_attention(heads, shape, words):
    ours, x, said = randomised(CrossAttention(shape[1], 6, heads)), torch.randn(shape), torch.randn(shape[0], words, 6)
    theirs = nn.MultiheadAttention(shape[1], heads, kdim=6, vdim=6, batch_first=True)
    with torch.no_grad():
        theirs.q_proj_weight.copy_(ours.to_q.weight[:, :, 0, 0])
        theirs.k_proj_weight.copy_(ours.to_kv.weight[: shape[1]])
        theirs.v_proj_weight.copy_(ours.to_kv.weight[shape[1] :])
        theirs.in_proj_bias.copy_(torch.cat([ours.to_q.bias, ours.to_kv.bias]))
        theirs.out_proj.weight.copy_(ours.to_out.weight[:, :, 0, 0])
        theirs.out_proj.bias.copy_(ours.to_out.bias)
    found, shares = theirs(ours.norm(x).flatten(2).transpose(1, 2), said, said)
    assert shares.shape == (shape[0], shape[2] * shape[3], words)
    torch.testing.assert_close(ours(x, said), x + found.transpose(1, 2).reshape(shape), atol=1e-5, rtol=1e-4)


def test_attention_to_words_is_a_softmax_over_words():
    layer, x, said = randomised(CrossAttention(16, 6)), torch.randn(2, 16, 3, 4), torch.randn(2, 5, 6)
    q, (k, v) = layer.to_q(layer.norm(x)), layer.to_kv(said).chunk(2, dim=2)
    found = torch.empty_like(x)
    for half in (slice(0, 8), slice(8, 16)):
        shares = torch.einsum("bchw,bnc->bhwn", q[:, half], k[..., half]).div(8**0.5).softmax(3)
        found[:, half] = torch.einsum("bhwn,bnc->bchw", shares, v[..., half])
    torch.testing.assert_close(layer(x, said), x + layer.to_out(found), atol=1e-5, rtol=1e-4)


def test_attention_to_words_begins_as_the_identity():
    x = torch.randn(2, 16, 4, 6)
    assert torch.equal(CrossAttention(16, 6)(x, torch.randn(2, 4, 6)), x)


def test_the_order_of_words_does_not_matter_but_which_they_are_does():
    layer, x, said = randomised(CrossAttention(16, 6)), torch.randn(2, 16, 3, 4), torch.randn(2, 4, 6)
    torch.testing.assert_close(layer(x, said[:, [2, 0, 3, 1]]), layer(x, said), atol=1e-5, rtol=1e-4)
    assert far(layer(x, said), layer(x, said.flip(0)))


@pytest.mark.parametrize("heads", [0, 3])
def test_channels_that_do_not_split_are_refused(heads):
    with pytest.raises(ValueError, match=f"16 channels.*{heads} heads"):
        CrossAttention(16, 6, heads)


# The U-Net with words


def test_no_prompt_is_all_null_words():
    network, t = randomised(untrained()), torch.rand(3)
    assert network.label_shape == (4,) and untrained(words=0).label_shape == ()
    assert torch.equal(network(LATENTS, t), network(LATENTS, t, torch.full((3, 4), NULL)))
    assert far(network(LATENTS, t), network(LATENTS, t, PROMPTS))


def test_each_word_is_heard():
    network, t, prompt = untrained(), torch.full((1,), 0.5), parse("a large red square, rotated")[None]
    assert torch.equal(network(LATENTS[:1], t, prompt), torch.zeros(1, 4, 4, 4))  # as it is at the start of training
    for name, weight in network.named_parameters():
        if name == "last.2.weight" or name.endswith("to_out.weight"):
            nn.init.normal_(weight, std=0.3)
    without = [prompt.masked_fill(torch.arange(4) == i, NULL) for i in range(4)]
    outputs = [network(LATENTS[:1], t, words) for words in (prompt, *without, parse("a small blue cross, upright")[None])]
    assert all(far(a, b) for i, a in enumerate(outputs) for b in outputs[:i])
    torch.testing.assert_close(network(LATENTS[:1], t, prompt.flip(1)), outputs[0], atol=1e-5, rtol=1e-4)


def test_prompts_of_a_batch_do_not_mix():
    network, t = randomised(untrained()), torch.rand(3)
    alone = torch.cat([network(LATENTS[i : i + 1], t[i : i + 1], PROMPTS[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(network(LATENTS, t, PROMPTS), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", [(True, True), (False, True), (False, False)])
def test_gradients_reach_every_weight_and_the_words_that_were_said(attention):
    torch.manual_seed(0)
    network = randomised(UNet(4, 4, (8, 16), attention=attention, fold=1, classes=14, words=4))
    network(LATENTS, torch.rand(3), PROMPTS).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    reached = network.label_embedding.weight.grad.abs().sum(1) > 0
    assert set(reached.nonzero().flatten().tolist()) == set(PROMPTS.flatten().tolist())


@pytest.mark.parametrize("labels", [*WRONG, PROMPTS[:2]])
def test_prompts_that_there_are_not_are_refused_by_the_unet(labels):
    with pytest.raises(ValueError, match="should be 3 times 4 integers from 0 to 14"):
        untrained()(LATENTS, torch.rand(3), labels)


@pytest.mark.parametrize("options", [{"classes": 0}, {"words": -1}])
def test_words_without_classes_are_refused(options):
    with pytest.raises(ValueError, match="words .*, classes .*there should be some"):
        untrained(**options)


# Prompts that are dropped


def test_a_share_of_none_or_all_drops_none_or_all():
    assert torch.equal(drop_labels(every_prompt(), NULL, 0.0), every_prompt())
    assert torch.equal(drop_labels(every_prompt(), NULL, 1.0), torch.full((96, 4), NULL))


def test_prompts_are_dropped_whole_and_then_by_the_word():
    torch.manual_seed(0)
    share, prompts = 0.3, every_prompt().repeat(300, 1)
    dropped = drop_labels(prompts, NULL, share)
    gone = dropped == NULL
    assert torch.equal(dropped[~gone], prompts[~gone])
    chances = (1 - share) * stats.binom.pmf(np.arange(5), 4, share) + share * (np.arange(5) == 4)  # of so many words gone
    counts = gone.sum(1).bincount(minlength=5)
    assert stats.chisquare(counts.numpy(), chances * len(prompts)).pvalue > 1e-3
    assert gone.all(1).float().mean().item() == pytest.approx(share + (1 - share) * share**4, abs=0.01)
    assert gone.float().mean(0).tolist() == pytest.approx([1 - (1 - share) ** 2] * 4, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5, 1.0])
def test_classes_are_dropped_as_they_always_were(share):
    labels = torch.arange(1000) % 10
    torch.manual_seed(3)
    found, after = drop_labels(labels, 10, share), torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(found, torch.where(torch.rand(1000) < share, 10, labels))
    assert torch.equal(after, torch.rand(1))  # and no other random number was used


# Prompts that samples are asked for


@pytest.mark.parametrize("given", [PROMPTS, PROMPTS.tolist(), PROMPTS.numpy().astype(np.uint8)])
def test_prompts_are_repeated_to_the_count(given):
    found = labels_for(given, 7, 14, 4)
    assert torch.equal(found, PROMPTS[[0, 1, 2, 0, 1, 2, 0]]) and found.dtype == torch.int64
    assert torch.equal(labels_for(given, 2, 14, 4), PROMPTS[:2])
    assert torch.equal(small().labels_for(given, 7), found)


def test_a_denoiser_that_is_not_asked_for_words_is_told_none():
    assert torch.equal(labels_for(None, 3, 14, 4), torch.full((3, 4), NULL))
    assert small().labels_for(None, 3) is None
    assert small().labels_for("none", 3) is None
    assert torch.equal(small().sample(3, steps=2), small().sample(3, labels="none", steps=2))


@pytest.mark.parametrize("labels", [*WRONG, 1, [], [[]], torch.zeros(0, 4).long(), ["red"], [[True] * 4], [[0, 1, 2, 3, 4]]])
def test_other_prompts_are_refused(labels):
    for takes in (lambda: labels_for(labels, 3, 14, 4), lambda: small().sample(3, labels=labels)):
        with pytest.raises(ValueError, match=re.escape("(n, 4) integers from 0 to 14")):
            takes()


def test_half_a_prompt_may_be_asked_for():
    assert torch.equal(labels_for(parse("a cross")[None], 2, 14, 4), torch.tensor([[14, 14, 11, 14]] * 2))


# Wrapped denoisers


WRAPPERS = {
    "guided": lambda model: Guided(model, 2.0), "clipped": Clipped,
    "rescheduled": lambda model: Rescheduled(model, vp(0.1, 10.0)),
    "all": lambda model: Clipped(Guided(Rescheduled(model, vp(0.1, 10.0)), 2.0)),
}  # fmt: skip


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrapped_denoisers_take_prompts(wrap):
    model = wrap(small())
    assert model.label_shape == (4,) and model.classes == 14
    *_, end = trajectory(model, LATENTS, "dpm", 3, labels=PROMPTS)
    *_, other = trajectory(model, LATENTS, "dpm", 3, labels=PROMPTS.roll(1, 0))
    assert end.x.shape == LATENTS.shape and far(end.x, other.x)
    for labels in (*WRONG, PROMPTS[:2]):
        with pytest.raises(ValueError, match="should be 3 times 4 integers, one for each image, from 0 to 13, or 14"):
            next(trajectory(model, LATENTS, "dpm", 3, labels=labels))


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrapped_denoisers_of_classes_take_classes(wrap):
    model = wrap(Denoiser(randomised(untrained(words=0)), cosine()))
    assert model.label_shape == ()
    *_, end = trajectory(model, LATENTS, "dpm", 2, labels=[0, 1, 2])
    assert end.x.shape == LATENTS.shape
    with pytest.raises(ValueError, match="should be 3 integers"):
        next(trajectory(model, LATENTS, "dpm", 2, labels=PROMPTS))


def test_what_a_prompt_adds_is_exaggerated():
    model = small()
    seen, labelled, null = Guided(model, 2.0)(LATENTS, 0.6, PROMPTS), model(LATENTS, 0.6, PROMPTS), model(LATENTS, 0.6)
    torch.testing.assert_close(seen.eps, null.eps + 2 * (labelled.eps - null.eps), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(seen.x0, null.x0 + 2 * (labelled.x0 - null.x0), rtol=1e-4, atol=1e-5)
    assert far(seen.eps, labelled.eps) and far(labelled.eps, null.eps)


@pytest.mark.parametrize("labels", [None, PROMPTS[0], PROMPTS[:, 0], PROMPTS[:2], PROMPTS[:, :3]])
def test_guidance_without_a_prompt_for_each_is_refused(labels):
    with pytest.raises(ValueError, match="guidance needs labels"):
        Guided(small(), 2.0)(LATENTS, 0.6, labels)


def test_a_rescheduled_denoiser_hears_the_prompt():
    model = small()
    seen, plain = Rescheduled(model, cosine())(LATENTS, 0.6, PROMPTS), model(LATENTS, 0.6, PROMPTS)
    torch.testing.assert_close(seen.x0, plain.x0, rtol=1e-3, atol=1e-4)


# Latents are not bounded


@pytest.mark.parametrize("sampler", ["dpm", "ddim"])
def test_only_what_is_bounded_is_clipped(sampler):
    """A network that says v = 0 is the exact one for standard normal latents, of which a third are beyond 1."""
    network = UNet(4, 4, (8,), attention=(False,), fold=1)
    draws, clipped = (Denoiser(network, cosine(), bounded=bounded).sample(20, sampler=sampler) for bounded in (False, True))
    assert stats.kstest(draws.flatten().numpy(), "norm").pvalue > 1e-3
    assert (draws.abs() > 1).float().mean().item() == pytest.approx(0.317, abs=0.05)
    assert clipped.abs().max() == 1


# The whole


@pytest.mark.parametrize(("network", "bounded"), [
    (untrained, True), (lambda: UNet(4, 8, (8, 16), fold=1), False), (lambda: UNet(3, 4, (8, 16), fold=1), False),
])  # fmt: skip
def test_a_denoiser_of_something_else_is_refused(network, bounded):
    with pytest.raises(ValueError, match=rf"bounded: {bounded}; it should draw the autoencoder's latents, \(4, 4, 4\)"):
        LatentDiffusion(Autoencoder(size=16, widths=(8, 16)), Denoiser(network(), cosine(), bounded=bounded))


@pytest.mark.parametrize("options", [
    {}, {"steps": 3}, {"steps": 3, "guidance": 2.0}, {"steps": 3, "sampler": "ddim", "eta": 0.5},
])  # fmt: skip
def test_images_are_decoded_latents(options):
    model = whole()
    images = model.sample(3, 5, labels=PROMPTS, **options)
    latents = model.denoiser.sample(3, 5, labels=PROMPTS, **{"steps": 20, **options})
    assert images.shape == (3, *model.shape) == (3, 3, 16, 16)
    assert torch.equal(images, model.autoencoder.to_images(latents))
    assert images.min() == -1 and images.max() == 1
    assert not images.requires_grad


def test_a_sample_is_a_function_of_its_arguments():
    model = whole()
    first = model.sample(2, 1, steps=2)
    torch.rand(1)
    assert torch.equal(first, model.sample(2, 1, steps=2))
    assert far(first, model.sample(2, 2, steps=2))
    assert far(model.sample(2, 1, labels="red", steps=2), model.sample(2, 1, labels="blue", steps=2))


@pytest.mark.parametrize("given", [
    "a red square; a cross", ["a red square", "a cross"], ("Red square.", "the cross"),
    torch.tensor([[14, 2, 8, 14], [14, 14, 11, 14]]), [[14, 2, 8, 14], [14, 14, 11, 14]],
])  # fmt: skip
def test_prompts_are_text_or_tokens(given):
    model, expected = whole(), torch.stack([parse("a red square"), parse("a cross"), parse("a red square")])
    assert torch.equal(model.labels_for(given, 3), expected)
    assert torch.equal(model.sample(3, labels=given, steps=2), model.sample(3, labels=expected, steps=2))


def test_without_labels_there_is_every_prompt():
    model = whole()
    found = model.labels_for(None, 96)
    assert sorted(found.tolist()) == sorted(every_prompt().tolist())
    assert set(found[:24].flatten().tolist()) == set(range(14))  # well mixed: every word early on
    assert torch.equal(model.labels_for(None, 100)[96:], found[:4])
    assert torch.equal(model.sample(3, steps=2), model.sample(3, labels=found[:3], steps=2))


def test_none_is_no_words_at_all():
    model = whole()
    assert model.labels_for("none", 3) is None
    assert torch.equal(model.sample(3, labels="none", steps=2), model.sample(3, labels=[[NULL] * 4], steps=2))
    assert far(model.sample(3, labels="none", steps=2), model.sample(3, steps=2))
    with pytest.raises(ValueError, match="guidance 2 needs labels"):
        model.sample(3, labels="none", guidance=2.0)


@pytest.mark.parametrize(("labels", "message"), [
    ("a purple square", "'purple' in 'a purple square' is not known"), ("a cross; two crosses", "'two'"),
    (["red", "a red blue cross"], "two words for the colour"), ([[0, 1, 2]], r"\(n, 4\) integers"), (3, r"\(n, 4\) integers"),
    ([[15] * 4], "from 0 to 14"), ([], r"\(n, 4\) integers"),
])  # fmt: skip
def test_words_that_there_are_not_are_refused(labels, message):
    for takes in (whole().sample, lambda count, labels: whole().labels_for(labels, count)):
        with pytest.raises(ValueError, match=message):
            takes(2, labels=labels)


@pytest.mark.parametrize("labels", [None, "red", "none"])
def test_a_count_below_one_is_refused(labels):
    with pytest.raises(ValueError, match="count 0: it should be at least 1"):
        whole().sample(0, labels=labels)


@pytest.mark.parametrize("given", [{"classes": 0, "words": 0}, {"words": 0}, {"words": 2}])
def test_a_denoiser_that_does_not_read_prompts_is_refused(given):
    with pytest.raises(ValueError, match=r"labels of shape .* it should be \(4,\) and 14"):
        LatentDiffusion(whole().autoencoder, Denoiser(untrained(**given), cosine(), bounded=False))


def test_empty_prompts_are_left_out_and_none_is_told_by_any_case():
    assert torch.equal(whole().labels_for("a cross;; a square;", 2), torch.stack([parse("a cross"), parse("a square")]))
    assert whole().labels_for(" None ", 2) is None


@pytest.mark.parametrize("task_of", [lambda model: DiffusionTask(model.denoiser), ldm_task])
def test_training_changes_the_denoiser_alone(task_of):
    model = whole()
    assert not any(p.requires_grad for p in model.autoencoder.parameters())
    assert all(p.requires_grad for p in model.denoiser.parameters())
    before = deepcopy(model.state_dict())
    steps = list(fit(task_of(model), lambda step: (LATENTS, PROMPTS), 3, plan=Plan(), progress=False))
    assert len(steps) == 3 and np.isfinite([step.scalars["loss"] for step in steps]).all()
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("autoencoder."))
    weights = [name for name, _ in model.denoiser.named_parameters()]
    assert not any(torch.equal(after[f"denoiser.{name}"], before[f"denoiser.{name}"]) for name in weights)


def test_training_fits_prompts():
    torch.manual_seed(0)
    network = UNet(4, 4, (16,), attention=(True,), fold=1, classes=14, words=4)
    task, prompts = DiffusionTask(Denoiser(network, cosine(), bounded=False), lr=1e-2, drop=0.0), every_prompt()[[0, 95] * 8]
    latents = torch.where(prompts[:, :1] == 0, -2.0, 2.0)[..., None, None].expand(16, 4, 4, 4)  # of small pictures, and of large
    list(fit(task, lambda step: (latents, prompts), 40, plan=Plan(), progress=False))
    means = task.model.sample(16, labels=prompts[:2], steps=5).mean((1, 2, 3))
    assert (means[::2] < -1).all() and (means[1::2] > 1).all()
