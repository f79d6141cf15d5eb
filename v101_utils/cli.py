"""The command line: `v101` or `python -m v101_utils`. Heavy imports wait until a command needs them."""

import argparse
import inspect
import os
import sys

from v101_utils.picture_commands import STYLIZERS, stylize, upscale


def list_networks(args) -> None:
    """Prints a line for each network: whether its weights are here, its size, and what it is."""
    from v101_utils import zoo

    for name, made in zoo.RECIPES.items():
        size = f"{zoo.card(name)['parameters'] / 1e6:.2f} M parameters" if name in zoo.names() else "not trained yet"
        print(f"{name:20} {size:18}  {made.text}")


def train(args) -> None:
    """Trains a recipe and prints where its weights are."""
    if args.profile:
        os.environ["V101_PROFILE"] = args.profile
    from v101_utils import zoo

    if path := zoo.train(args.name, args.out, steps=args.steps, seed=args.seed, resume=args.resume):
        print(f"wrote {path}")


def _network(name: str, able: str, doing: str = ""):
    """The network, on the fastest device, if it has `able`, such as "sample".

    Else raises ValueError that lists those that can do so, or `doing`.
    """
    from v101_utils import runtime, zoo

    if not hasattr(zoo.recipe(name).build(), able):
        able_ones = [other for other, made in zoo.RECIPES.items() if hasattr(made.build(), able)]
        raise ValueError(f"{name} cannot {doing or able}; these can: {', '.join(able_ones)}")
    runtime.make_repeatable()
    return zoo.load(name, device=runtime.device())


def _save(path, images, labels=None) -> None:
    """Writes images in [-1, 1] to an .npz file, where they are in [0, 1], and says so."""
    from v101_utils.data import to_unit
    from v101_utils.files import save_images

    save_images(path, to_unit(images).cpu(), labels)
    print(f"wrote {len(images)} images to {path}")


def _beta(args, model) -> float:
    """The beta asked for, or 1. Raises ValueError where the network was trained for a single one."""
    if args.beta is not None and model.betas is None:
        raise ValueError(f"{args.name} was trained for one beta alone: leave --beta out, or use a network for many")
    return 1.0 if args.beta is None else args.beta


def _labels(text: str):
    """Numbers or names of classes, with commas between, as integers; or "none". Raises ValueError for any other word."""
    from v101_utils.data import CLASSES

    if text == "none":
        return text
    known = {word: i for i, name in enumerate(CLASSES) for word in (str(i), name.lower())}
    words = [word.strip().lower() for word in text.split(",")]
    if unknown := [word for word in words if word not in known]:
        there = ", ".join(f"{i} {name}" for i, name in enumerate(CLASSES))
        raise ValueError(f"--labels: no class is called {unknown[0]!r}; there are {there}; and none, which stands alone")
    return [known[word] for word in words]


OPTIONS = ("beta", "steps", "sampler", "eta", "guidance", "labels", "psi")  # of `sample`; each network takes some of them


def _given(args, taken) -> dict:
    """Those of OPTIONS that the user gave. Raises ValueError for one that is not among `taken`, a network's own."""
    given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    if wrong := [name for name in given if name not in taken]:
        own = ", ".join(f"--{name}" for name in OPTIONS if name in taken)
        raise ValueError(f"{args.name} does not take --{wrong[0]}; it takes {own}")
    return given


def sample(args) -> None:
    """Draws images from a network."""
    from v101_utils.files import check_writable

    if args.count < 1:
        raise ValueError(f"--count is {args.count}; it should be at least 1")
    model = _network(args.name, "sample")
    taken = inspect.signature(model.sample).parameters
    options = _given(args, taken)
    if "beta" in taken:
        options["beta"] = _beta(args, model)
    if "labels" in options:
        prompted = getattr(model, "label_shape", ())  # a prompt is text, which the model itself reads
        options["labels"] = args.labels if prompted else _labels(args.labels)
    labels = model.labels_for(options.get("labels"), args.count) if "labels" in taken else None
    if "progress" in taken:
        options["progress"] = True
    check_writable(args.out)
    _save(args.out, model.sample(args.count, args.seed, **options), labels)


def reconstruct(args) -> None:
    """Encodes and decodes the images of a file."""
    import torch
    from tqdm import tqdm

    from v101_utils.data import to_signed
    from v101_utils.files import check_writable, load_images
    from v101_utils.runtime import device_of

    model = _network(args.name, "reconstruct")
    check_writable(args.out)
    images = to_signed(torch.from_numpy(load_images(args.input, model.shape))).to(device_of(model))
    options, parts = {}, []
    if "beta" in inspect.signature(model.reconstruct).parameters:
        options["beta"] = _beta(args, model)
    elif args.beta is not None:
        raise ValueError(f"{args.name} has no beta: leave --beta out")
    model.reconstruct(images[:1], **options)  # refuses a wrong beta before any work
    with tqdm(total=len(images), unit="image", desc="reconstructing") as bar:
        for part in images.split(250):
            parts.append(model.reconstruct(part, **options))
            bar.update(len(part))
    _save(args.out, torch.cat(parts))


def likelihood(args) -> None:
    """Prints how many bits the network needs for each number of each image of a file; fewer is likelier."""
    import numpy as np
    import torch

    from v101_utils.data import to_signed
    from v101_utils.diffusion import bits_per_dimension, dequantise, log_likelihood
    from v101_utils.files import check_writable, load_images, write_atomically
    from v101_utils.runtime import device_of

    model = _network(args.name, "schedule", "say how likely an image is")
    if args.probes < 1:
        raise ValueError(f"--probes is {args.probes}; it should be at least 1")
    if args.out:
        check_writable(args.out)
    images = to_signed(torch.from_numpy(load_images(args.input, model.shape)))
    if args.seed < 0:
        raise ValueError(f"--seed is {args.seed}; it should be 0 or above")
    found = []
    for start in range(0, len(images), 50):
        x = dequantise(images[start : start + 50], seed=args.seed + start).to(device_of(model))
        log_p = log_likelihood(model, x, probes=args.probes, seed=args.seed + start)
        found += bits_per_dimension(log_p, x[0].numel()).tolist()
        print("\n".join(f"image {start + i}: {bits:.3f} bits/dim" for i, bits in enumerate(found[start:])))
    print(f"mean of {len(found)} images: {np.mean(found):.3f} bits/dim")
    if args.out:
        with write_atomically(args.out) as partial, open(partial, "wb") as file:
            np.savez_compressed(file, bits_per_dimension=np.asarray(found, np.float32))


def parser() -> argparse.ArgumentParser:
    """The arguments of every command."""
    top = argparse.ArgumentParser(prog="v101", description="Vision-101: list, train and use the zoo's networks.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(function, name: str, text: str):
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=function)
        return made

    def option(made, flag, text, **kwargs):
        made.add_argument(flag, help=text, **kwargs)

    command(list_networks, "list", "list the networks and what each is")
    made = command(train, "train", "train a network from its recipe, as its card says")
    option(made, "name", "a name from `v101 list`", metavar="RECIPE")
    option(made, "--profile", "how much work: ci (seconds), laptop (as shipped), gpu", choices=("ci", "laptop", "gpu"))
    option(made, "--steps", "training steps, instead of the profile's", type=int)
    option(made, "--seed", "seed of weights, data order and noise (default 0)", type=int, default=0)
    option(made, "--out", "folder for the weights, the card and the checkpoint (default runs)", default="runs")
    option(made, "--resume", "go on from the checkpoint in --out", action="store_true")
    drawn = command(sample, "sample", "draw images from a network, into an .npz file")
    option(drawn, "--count", "how many images", type=int, required=True)
    option(drawn, "--seed", "the same seed, the same images (default 0)", type=int, default=0)
    option(drawn, "--steps", "diffusion: steps of the sampler, each one call of the network", type=int)
    option(drawn, "--sampler", "diffusion: the rule of a step", choices=("ddpm", "ddim", "dpm", "em", "pc", "ode"))
    option(drawn, "--eta", "diffusion: how much fresh noise ddim adds, 0 (none) to 1 (as much as ddpm)", type=float)
    option(drawn, "--guidance", "diffusion: how much to exaggerate the label, 1 is not at all", type=float)
    option(drawn, "--labels", "classes, as numbers or names with commas between, repeated to --count; for diffusion also none; "
           "for latent diffusion prompts, with semicolons between, such as 'a large red square, rotated; a small cross'")
    option(drawn, "--psi", "GANs: truncation, from -2 to 2; 1 is none, 0 draws the most typical picture alone", type=float)
    decoded = command(reconstruct, "reconstruct", "encode and decode the images of an .npz file")
    judged = command(likelihood, "likelihood", "how likely a diffusion model finds the images of an .npz file, in bits/dim")
    option(judged, "--probes", "random vectors that estimate the trace: more, less noise (default 1)", type=int, default=1)
    option(judged, "--seed", "of the vectors, and of the noise that fills the steps of 8-bit images (default 0)", type=int, default=0)
    option(judged, "--out", "an .npz file to write `bits_per_dimension` (N,) to, if wanted")
    made = command(upscale, "upscale", "enlarge a picture, by a network for super-resolution or by bicubic interpolation")
    option(made, "input", "the picture: a file that Pillow reads", metavar="IN")
    option(made, "output", "the file to write, 8 bits a channel: .png, .jpg, .webp, .tif or .bmp", metavar="OUT")
    option(made, "--scale", "how many times as wide and high", type=int, choices=(2, 3, 4), required=True)
    option(made, "--method", "bicubic, or a network: srgan invents detail, the others stay close to what is there "
           "(default espcn, the fastest)", choices=("bicubic", "srcnn", "espcn", "srresnet", "srgan"), default="espcn")  # fmt: skip
    made = command(stylize, "stylize", "give a picture the style of another, or of a drawn one")
    option(made, "content", "the picture: a file, or a name of a photograph, such as astronaut", metavar="CONTENT")
    option(made, "style", "the style: a file, a photograph, such as ihc, or a drawn style, such as mosaic; for fast one of its "
           "network's, or a blend, such as mosaic:0.7,waves:0.3", metavar="STYLE")  # fmt: skip
    option(made, "out", "the file to write: .png, .jpg, .webp, .tif or .bmp", metavar="OUT")
    option(made, "--method", "gatys optimises the picture (default); fast is one pass of a network", choices=tuple(STYLIZERS), default="gatys")
    option(made, "--size", "longer side of the result, in pixels (default 256)", type=int, default=256)
    option(made, "--steps", "gatys: steps in all (default 150)", type=int)
    option(made, "--content-weight", "gatys: more keeps more of the content (default 0.1)", type=float)
    option(made, "--keep-colours", "transfer brightness alone", action="store_true")
    option(made, "--seed", "gatys: the same seed, the same picture (default 0)", type=int)
    for made in (decoded, judged):
        option(made, "--input", "an .npz with `images`, float (N, C, H, W) in [0, 1]", required=True)
    for made in (drawn, decoded, judged):
        option(made, "name", "a name from `v101 list`", metavar="NAME")
    for made in (drawn, decoded):
        option(made, "--out", "the .npz file to write: `images`, float32 (N, C, H, W) in [0, 1]; `labels` if any", required=True)
        option(made, "--beta", "the beta of the VAE, in the range it was trained for (default 1)", type=float)
    return top


def main(argv: list[str] | None = None) -> int:
    """Runs a command; returns the exit status. What the user can mend is one line on standard error, status 1."""
    args = parser().parse_args(argv)
    try:
        args.run(args)
    except (ValueError, KeyError, OSError, ArithmeticError, ImportError) as error:
        print(f"v101: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        left = hasattr(args, "resume") and os.path.exists(os.path.join(args.out, f"{args.name}.checkpoint.pt"))
        print("v101: stopped" + "; the training goes on from its checkpoint with --resume" * left, file=sys.stderr)
        return 130
    return 0
