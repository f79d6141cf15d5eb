"""The knobs of latent diffusion: the words of a prompt, the guidance, the channels of a latent."""

import pytest
import torch
from sliders import check_redraws, pixels

from v101_utils import zoo
from v101_utils.data.prompts import NULL, parse
from v101_utils.diffusion import Denoiser, LatentDiffusion, cosine
from v101_utils.nn import UNet
from v101_utils.view.pictures import grid
from v101_utils.widgets import ChannelView, PromptView, channel_sliders, prompt_sliders
from v101_utils.widgets.chart import TITLE
from v101_utils.widgets.latent import channel_pictures
from v101_utils.zoo.latent_recipes import held_out_pictures


@pytest.fixture(scope="module")
def prompt_view():
    """Of a network that was not trained: what it draws depends on its words, and that is all."""
    torch.manual_seed(0)
    network = UNet(4, 16, (8, 16), attention=(False, True), fold=1, classes=NULL, words=4)
    for name, weight in network.named_parameters():
        if "to_out" in name or "last" in name:  # which start at zero
            torch.nn.init.normal_(weight, 0, 0.3)
    model = LatentDiffusion(zoo.load("autoencoder-shapes"), Denoiser(network, cosine(), bounded=False))
    return PromptView(model.requires_grad_(False).eval(), count=2, steps=2)


@pytest.fixture(scope="module")
def channel_view():
    return ChannelView(zoo.load("autoencoder-shapes"), held_out_pictures(1)[0])


def test_a_prompt_is_drawn_from_the_same_noise_each_time(prompt_view):
    words = {"size": "large", "colour": "red", "shape": "square", "turn": "any"}
    picture = pixels(prompt_view.render(3.0, **words))
    assert (picture == pixels(prompt_view.render(3.0, **words))).all()
    drawn = prompt_view.model.sample(2, 0, labels=parse("a large red square")[None], steps=2, guidance=3.0)
    sheet = pixels(grid(drawn))
    assert (picture[TITLE:, : sheet.shape[1]] == sheet).all()


def test_no_words_at_all_draw_anything(prompt_view):
    everything = prompt_view.render(1.0, size="any", colour="any", shape="any", turn="any")
    drawn = prompt_view.model.sample(2, 0, labels="none", steps=2)
    sheet = pixels(grid(drawn))
    assert (pixels(everything)[TITLE:, : sheet.shape[1]] == sheet).all()


def test_an_unknown_word_is_refused(prompt_view):
    with pytest.raises(ValueError, match="'purple'.*red"):
        prompt_view.render(1.0, colour="purple")


def test_each_word_and_the_guidance_redraw_the_picture(prompt_view):
    check_redraws(prompt_sliders(prompt_view), prompt_view, "prompt",
                  {"scale": 5.0, "size": "small", "colour": "blue", "shape": "cross", "turn": "any"})  # fmt: skip


def test_a_channel_at_one_is_the_copy_and_channels_change_it(channel_view):
    assert (pixels(channel_view.render(0, 1.0))[TITLE:] == pixels(channel_view.render(3, 1.0))[TITLE:]).all()
    check_redraws(channel_sliders(channel_view), channel_view, "channel", {"channel": 2, "factor": -1.0})


def test_a_channel_that_is_not_there_is_refused(channel_view):
    with pytest.raises(ValueError, match="channel 4.*0 to 3"):
        channel_view.render(4, 1.0)


def test_channels_are_grey_within_three_deviations():
    latents = torch.tensor([-9.0, -3.0, 0.0, 3.0, 9.0]).view(1, 5, 1, 1).expand(2, 5, 4, 4)
    assert channel_pictures(latents)[:5, 0, 0, 0].tolist() == [-1, -1, 0, 1, 1]
    assert channel_pictures(latents).shape == (10, 1, 4, 4)
