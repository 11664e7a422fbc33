"""`deepcams import-checkpoint`: a published checkpoint in, a model file out."""

import argparse

from deepcams.cli.options import check_output, must_exist
from deepcams.files.checksum import sha256
from deepcams.models.catalogue import description, make
from deepcams.models.checkpoint import save
from deepcams.models.published import convert, read_published

HELP = """\
Make a model file of a checkpoint published with DeepCAMS (Xiao et al. 2022): XVFI for time, ABPN for space.

Which of the two it is, and of what size, is told from its keys. Every key must be known and of the right shape. A file
of torch (.pt, .pth), .safetensors, or .npz with keys "w/…" is read; no code in it is run. The network then runs by the
published recipe: values cut off at 800 ug m-3 and divided by that. Edges, windows and grid are the published ones too
(zeros; 120 × 120 nodes side by side; 723 rows squeezed into 720), or with --run corrected ours (round the globe, over
the poles; windows that fade into one another; coarse nodes are fine nodes)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="weights under their published names")
    parser.add_argument("output", metavar="OUT.safetensors", help="the model file")
    parser.add_argument(
        "--levels",
        type=_levels,
        default=1,
        metavar="S",
        help="XVFI only: pyramid levels below full resolution (default: 1, as in the released code; the paper says 5)",
    )
    parser.add_argument(
        "--run", choices=("published", "corrected"), default="published", help="how it is run (default: published)"
    )


def run(options: argparse.Namespace) -> None:
    """Convert and write."""
    source = must_exist(options.checkpoint)
    check_output(options.output, options.checkpoint)
    state = read_published(source)
    stage, network, settings, weights = convert(state, options.levels)
    left_out = len(state) - len(weights)
    provenance = {"imported": source.name, "sha256": sha256(source), "keys": len(state), "left_out": left_out}
    if options.run == "corrected":
        settings["run"] = options.run
    settings |= description(make(stage, network, settings))
    save(options.output, stage, network, settings=settings, weights=weights, provenance=provenance)
    count = sum(array.size for array in weights.values())
    print(
        f"{options.output}: {network.upper()} ({stage}), {settings['features']} features, {count:,} parameters; "
        f"of {len(state)} keys {len(weights)} used, {left_out} left out, which the released code never uses or repeats"
    )
    print(f"Use it: deepcams downscale cams.nc hourly.nc --{stage} {options.output}")


def _levels(text: str) -> int:
    """A number of levels that frames of this size can have."""
    if text.isdecimal() and 1 <= int(text) <= 5:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of levels, 1 … 5")
