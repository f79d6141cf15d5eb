"""The commands that work on picture files. Heavy imports wait until a command needs them, as in `cli`."""


def upscale(args) -> None:
    """Enlarges a picture."""
    from v101_utils import runtime
    from v101_utils.files import check_kind
    from v101_utils.superres.files import upscale_file
    from v101_utils.zoo.superres_recipes import restorer

    check_kind(args.output)  # before a network is loaded
    model = restorer(args.method, runtime.device())
    width, height = upscale_file(args.input, args.output, args.scale, model, progress=True)
    print(f"wrote {width} x {height} pixels to {args.output}")


def _gatys(args, content):
    """The content in the style of another picture, by optimising it; coarse to fine. (1, 3, H, W) in [-1, 1]."""
    from v101_utils.data.styles import any_style
    from v101_utils.style.gatys import coarse_to_fine, stylise

    style = any_style(args.style, args.size)
    options = {name: getattr(args, name) for name in ("steps", "content_weight", "seed") if getattr(args, name) is not None}
    for step in stylise(content, style, scales=coarse_to_fine(args.size), keep_colours=args.keep_colours, progress=True, **options):
        made = step.picture
    return made


def _fast(args, content):
    """The content in a style of the network that ships, or in a blend, by one pass. (1, 3, H, W) in [-1, 1]."""
    from v101_utils import runtime, zoo
    from v101_utils.style.blend import parse_blend
    from v101_utils.style.colours import with_colours
    from v101_utils.zoo.style_recipes import FAST_STYLES

    if given := [name for name in ("steps", "content_weight", "seed") if getattr(args, name) is not None]:
        raise ValueError(f"--method fast does not take --{given[0].replace('_', '-')}: its network is trained")
    weights = parse_blend(args.style, FAST_STYLES)
    made = zoo.load("style-fast", device=runtime.device())(content, weights)
    return with_colours(made, content) if args.keep_colours else made


STYLIZERS = {"gatys": _gatys, "fast": _fast}  # by method: what makes a picture (1, 3, H, W) in [-1, 1] of `args` and the content


def stylize(args) -> None:
    """Gives a picture the style of another."""
    from v101_utils import runtime
    from v101_utils.data.photos import photo
    from v101_utils.files import check_kind, save_picture
    from v101_utils.view import grid

    check_kind(args.out)
    if not 32 <= args.size <= 2048:
        raise ValueError(f"--size is {args.size}; it should be from 32 to 2048 pixels")
    runtime.make_repeatable()
    content = photo(args.content, side=args.size).to(runtime.device())
    picture = grid(STYLIZERS[args.method](args, content).cpu(), zoom=1)
    save_picture(args.out, picture)
    print(f"wrote {picture.width} x {picture.height} pixels to {args.out}")
