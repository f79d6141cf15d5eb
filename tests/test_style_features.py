"""Features for style: fixed random filters against a loop, torchvision's networks, and that nothing downloads unasked."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.models import squeezenet1_1, vgg19

from v101_utils.style import SQUEEZENET_LAYERS, VGG, VGG_LAYERS, FilterBank, SqueezeNet


def picture(height=32, width=40, count=2, seed=0) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def he_state(features, prefix: str) -> dict[str, torch.Tensor]:
    """He-normal weights of torchvision's layers, under the names that it gives them."""
    shapes, source = {key: value.shape for key, value in features.state_dict().items()}, torch.Generator().manual_seed(0)
    return {prefix + key: torch.randn(shape, generator=source) * (2 / shape[1:].numel()) ** 0.5 if len(shape) > 1
            else torch.zeros(shape) for key, shape in shapes.items()}  # fmt: skip


def vgg_state(upto: int = 37, prefix: str = "features.") -> dict[str, torch.Tensor]:
    """Of the layers before `upto`."""
    with torch.device("meta"):
        features = vgg19(init_weights=False).features[:upto]
    return he_state(features, prefix)


def on_imagenet_s_scale(image: torch.Tensor) -> torch.Tensor:
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    return (image / 2 + 0.5 - mean) / deviation


@pytest.fixture
def weights(tmp_path):
    """A file that ends with block 2: five layers' worth, so small."""
    torch.save(vgg_state(10), tmp_path / "vgg.pth")
    return tmp_path / "vgg.pth"


# Random filters


def test_a_bank_a_size_each_of_the_image_s_size():
    bank = FilterBank(sizes=(3, 7), count=5)
    found = bank(picture())
    assert tuple(found) == bank.layers == ("3x3", "7x7")
    assert all(value.shape == (2, 5, 32, 40) and value.min() == 0 < value.max() for value in found.values())
    assert not list(bank.parameters())  # nothing to train


def test_features_are_rectified_products_with_the_filters():
    image, bank = picture(), FilterBank(sizes=(3, 5), count=4)
    found = bank(image)
    for k, layer in zip(bank.sizes, bank.layers):
        filters = bank.get_buffer(f"filters{k}")
        for y, x in ((10, 12), (20, 30)):
            patch = image[1, :, y - k // 2 : y + k // 2 + 1, x - k // 2 : x + k // 2 + 1]
            torch.testing.assert_close(found[layer][1, :, y, x], (filters * patch).sum((1, 2, 3)).relu())


def test_filters_have_mean_0_and_norm_1():
    bank = FilterBank()
    assert bank.sizes == (3, 5, 7, 11, 15, 23)
    for k in bank.sizes:
        filters = bank.get_buffer(f"filters{k}")
        assert filters.shape == (64, 3, k, k)
        torch.testing.assert_close(filters.sum((1, 2, 3)), torch.zeros(64), atol=1e-5, rtol=0)
        torch.testing.assert_close(filters.square().sum((1, 2, 3)), torch.ones(64))


@pytest.mark.parametrize("level", [-1.0, 0.3, 1.0])
def test_a_grey_level_has_no_features(level):
    for value in FilterBank()(torch.full((1, 3, 24, 24), level)).values():
        assert value.abs().max() < 1e-4  # at the borders too, since they reflect


def test_a_grey_level_more_changes_nothing_and_the_borders_reflect():
    bank, image = FilterBank(sizes=(5,), count=6), picture() / 2
    torch.testing.assert_close(bank(image + 0.4), bank(image), atol=1e-5, rtol=1e-4)
    mirrored = bank(image.flip(3))["5x5"]
    reflected = bank(F.pad(image, (4, 4, 4, 4), mode="reflect"))["5x5"][..., 4:-4, 4:-4]
    torch.testing.assert_close(reflected, bank(image)["5x5"])
    assert (mirrored.flip(3) - bank(image)["5x5"]).abs().max() > 0.1  # and the filters are not symmetric


def test_filters_are_a_function_of_the_seed():
    random = torch.get_rng_state()
    first, same, other = FilterBank((3, 5)), FilterBank((5,)), FilterBank((3, 5), seed=1)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(first.filters5, same.filters5)  # whatever other sizes there are
    assert not torch.equal(first.filters5, other.filters5)


def test_gradients_flow_to_the_image():
    image = picture().requires_grad_(True)
    sum(value.sum() for value in FilterBank((3, 5), 4)(image).values()).backward()
    assert image.grad.abs().min() >= 0 and image.grad.abs().max() > 0


def test_strided_features_are_each_kth_of_the_others():
    image, full, strided = picture(31, 40), FilterBank(count=8), FilterBank(count=8, strided=True)
    assert full.strides == (1,) * 6 and strided.strides == (1, 1, 1, 2, 3, 5)
    some, every = strided(image), full(image)
    for layer, stride in zip(full.layers, strided.strides):
        torch.testing.assert_close(some[layer], every[layer][..., ::stride, ::stride])


@pytest.mark.parametrize("wrong", [{"sizes": (4,)}, {"sizes": ()}, {"sizes": (3, 3)}, {"sizes": (-1,)}, {"count": 0}])
def test_no_such_bank(wrong):
    with pytest.raises(ValueError, match="should be"):
        FilterBank(**wrong)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 3, 32, 11), (1, 3, 11, 32)])
def test_other_shapes_are_refused(shape, weights):
    with pytest.raises(ValueError, match=r"images have shape .*\(B, 3, H, W\), H and W at least 12"):
        FilterBank()(torch.zeros(shape))
    assert FilterBank()(torch.zeros(1, 3, 12, 12))["23x23"].shape == (1, 64, 12, 12)
    with pytest.raises(ValueError, match="H and W at least 2"):
        VGG(("relu2_1",), weights)(torch.zeros(1, 3, 1, 8))


# VGG-19


def test_every_layer_has_vgg_s_shape(tmp_path):
    zero = torch.zeros(())
    torch.save({key: zero.expand(value.shape) for key, value in vgg_state().items()}, tmp_path / "zeros.pth")  # a few bytes
    network = VGG(VGG_LAYERS, tmp_path / "zeros.pth")
    found = network(picture(32, 48, count=1))
    assert tuple(found) == network.layers == VGG_LAYERS and len(VGG_LAYERS) == 32 and network.smallest == 16
    for name, value in found.items():
        block = int(name[4])
        assert value.shape == (1, min(64 * 2 ** (block - 1), 512), 32 // 2 ** (block - 1), 48 // 2 ** (block - 1)), name


def test_layers_are_torchvision_s_on_imagenet_s_scale(weights):
    image = picture()
    with torch.device("meta"):
        features = vgg19(init_weights=False).features[:10]
    state = torch.load(weights, weights_only=True)
    features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()}, assign=True)
    x = on_imagenet_s_scale(image)
    found = VGG(("conv1_2", "relu1_2", "relu2_2"), weights)(image)
    with torch.no_grad():
        torch.testing.assert_close(found["conv1_2"], features[:3](x))
        torch.testing.assert_close(found["relu1_2"], features[:4](x))
        torch.testing.assert_close(found["relu2_2"], features[:9](x))
    assert found["conv1_2"].min() < 0  # taken before ReLU, and left so


def test_average_pooling_is_an_option(weights):
    image = picture()
    largest, mean = VGG(("relu1_2", "conv2_1"), weights), VGG(("relu1_2", "conv2_1"), weights, average=True)
    below = largest(image)["relu1_2"]
    state = torch.load(weights, weights_only=True)
    for network, pooled in ((largest, F.max_pool2d(below, 2)), (mean, F.avg_pool2d(below, 2))):
        expected = F.conv2d(pooled, state["features.5.weight"], state["features.5.bias"], padding=1)
        torch.testing.assert_close(network(image)["conv2_1"], expected)


def test_the_network_ends_at_the_deepest_layer_and_does_not_train(weights):
    network = VGG(("relu2_1", "relu1_1"), weights)
    assert network.layers == ("relu1_1", "relu2_1") and network.smallest == 2 and len(network.network) == 7
    assert not any(p.requires_grad for p in network.parameters())
    image = picture().requires_grad_(True)
    network(image)["relu2_1"].sum().backward()
    assert image.grad.abs().max() > 0


def test_weights_of_the_features_alone_do(tmp_path, weights):
    torch.save(vgg_state(10, prefix=""), tmp_path / "features.pth")
    image = picture()
    torch.testing.assert_close(VGG(("relu2_1",), tmp_path / "features.pth")(image), VGG(("relu2_1",), weights)(image))


@pytest.fixture
def no_hub(tmp_path, monkeypatch):
    """An empty cache of torch's, and a download that only notes what it was asked for, and leaves weights there."""
    asked = []

    def fetch(url, path, hash_prefix=None, progress=True):
        asked.append((url, hash_prefix))
        torch.save(vgg_state(10), path)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    return asked


def test_without_weights_it_refuses_and_says_what_to_do(no_hub, tmp_path):
    with pytest.raises(FileNotFoundError, match="download=True to fetch 548 MB") as error:
        VGG()
    assert not no_hub and not (tmp_path / "torch").exists()
    assert str(tmp_path / "torch") in str(error.value) and "vgg19-dcbb9e9d.pth" in str(error.value)
    with pytest.raises(FileNotFoundError, match="no weights of VGG-19 at .*mine.pth"):
        VGG(weights=tmp_path / "mine.pth", download=True)  # a file was named: no other is fetched in its place
    assert not no_hub


def test_it_downloads_if_told_once(no_hub):
    for _ in range(2):
        VGG(("relu1_1",), download=True)
    assert no_hub == [("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d")]
    VGG(("relu1_1",))  # from the cache


def test_other_files_are_refused(tmp_path, weights):
    file = tmp_path / "other.pth"
    file.write_bytes(b"")
    with pytest.raises(ValueError, match="not a file of weights"):
        VGG(("relu1_1",), file)
    torch.save({"features.0.weight": print}, file)  # code, which is not loaded
    with pytest.raises(ValueError, match="not a file of weights"):
        VGG(("relu1_1",), file)
    for other in ([1], {0: torch.zeros(1)}):
        torch.save(other, file)
        with pytest.raises(ValueError, match="holds no state dict"):
            VGG(("relu1_1",), file)
    with pytest.raises(ValueError, match=r"lacks, or has in another shape, 10.weight.*vgg19"):
        VGG(("relu3_1",), weights)
    torch.save(vgg_state(10) | {"features.0.weight": torch.zeros(64, 1, 3, 3)}, file)
    with pytest.raises(ValueError, match="another shape, 0.weight"):
        VGG(("relu1_1",), file)


@pytest.mark.parametrize("layers", [(), ("relu6_1",), ("relu1_1", "pool1")])
def test_unknown_layers_are_refused(layers):
    with pytest.raises(ValueError, match="one or more of conv1_1, relu1_1"):
        VGG(layers)


# SqueezeNet


@pytest.fixture
def squeezenet():
    """torchvision's own, with weights that do not fade over its layers."""
    network = squeezenet1_1().features.requires_grad_(False).eval()
    network.load_state_dict(he_state(network, ""))
    return network


@pytest.fixture
def light(tmp_path, squeezenet):
    """A file of the whole network's state dict; what follows the features is of no account."""
    state = {f"features.{key}": value for key, value in squeezenet.state_dict().items()}
    torch.save(state | {"classifier.1.bias": torch.zeros(1000)}, tmp_path / "squeezenet.pth")
    return tmp_path / "squeezenet.pth"


def test_squeezenet_s_layers_are_torchvision_s(light, squeezenet):
    image = picture()
    network, x = SqueezeNet(SQUEEZENET_LAYERS, light), on_imagenet_s_scale(image)
    found = network(image)
    places = {"conv1": 1, "fire2": 3, "fire3": 4, "fire4": 6, "fire5": 7, "fire6": 9, "fire7": 10, "fire8": 11, "fire9": 12}
    assert tuple(found) == network.layers == SQUEEZENET_LAYERS == tuple(places)
    for name, place in places.items():
        torch.testing.assert_close(found[name], squeezenet[: place + 1](x))
        assert found[name].min() == 0 < found[name].max()  # after a ReLU


@pytest.mark.parametrize("deepest, smallest, parts", [("conv1", 3, 2), ("fire3", 5, 5), ("fire4", 9, 7), ("fire9", 17, 13)])
def test_squeezenet_ends_at_the_deepest_layer(light, deepest, smallest, parts):
    network = SqueezeNet((deepest, "conv1"), light)
    assert network.smallest == smallest and len(network.network) == parts
    assert network(torch.zeros(1, 3, smallest, smallest))[deepest].shape[2:] == (1, 1)
    with pytest.raises(ValueError, match=f"H and W at least {smallest}"):
        network(torch.zeros(1, 3, smallest - 1, smallest))


def test_squeezenet_does_not_train_but_the_image_may(light):
    network, image = SqueezeNet(weights=light), picture().requires_grad_(True)
    assert network.layers == ("conv1", "fire3", "fire4", "fire5")
    assert not any(p.requires_grad for p in network.parameters()) and not network.training
    sum(value.sum() for value in network(image).values()).backward()
    assert image.grad.abs().max() > 0


def test_squeezenet_downloads_only_if_told(no_hub, tmp_path, light):
    with pytest.raises(FileNotFoundError, match=r"no weights of SqueezeNet 1.1 at .*download=True to fetch 4.73 MB") as error:
        SqueezeNet()
    assert str(tmp_path / "torch") in str(error.value) and "squeezenet1_1-b8a52dc0.pth" in str(error.value)
    with pytest.raises(FileNotFoundError, match="no weights of SqueezeNet 1.1 at .*mine.pth"):
        SqueezeNet(weights=tmp_path / "mine.pth", download=True)
    assert not no_hub and not (tmp_path / "torch").exists()
    with pytest.raises(ValueError, match="the file in the cache lacks"):  # what the stand-in fetches is a VGG
        SqueezeNet(download=True)
    assert no_hub == [("https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth", "b8a52dc0")]


def test_squeezenet_refuses_other_weights_and_layers(light, weights):
    with pytest.raises(ValueError, match=r"lacks, or has in another shape, 3.squeeze.weight.*SqueezeNet 1.1"):
        SqueezeNet(("fire2",), weights)  # a VGG's, whose first layer has the same shape
    with pytest.raises(ValueError, match="one or more of conv1, fire2"):
        SqueezeNet(("fire1",), light)
