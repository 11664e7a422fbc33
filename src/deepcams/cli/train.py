"""`deepcams train`: a model file out of GEOS-CF files or of the workflow's shards."""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from deepcams.calendar import HOUR
from deepcams.cli.options import add_pollutant, check_output, degradation_parameters, must_exist
from deepcams.config.networks import (
    CLOSURES,
    EXAMPLES,
    FEATURES,
    LEARNING,
    LEVELS,
    MEANS,
    NETWORKS,
    TRAINING,
    patch_multiple,
)
from deepcams.degrade.operators import OPERATORS
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import is_abandoned, owner, require_writable
from deepcams.pollutants import POLLUTANTS
from deepcams.sources.geoscf import open_geoscf
from deepcams.training.prepare import write_frames
from deepcams.training.train import train

HELP = """\
Train the network for time or for space, and write its model file.

The fields come from GEOS-CF files (PM25_RH35_GCC, 0.25°, whole or a box, consecutive hours), or from folders of shards
that the workflow has made (results/shards/2018-06). The last tenth of each file's or month's hours is held out; the
weights that do best there are written. A training that was stopped goes on from where it was with the same command.
Several processes learn together if --processes says so, or if torchrun starts the command on several machines.

  deepcams train temporal time.safetensors results/demo/shards/2018-06
  deepcams train spatial space.safetensors results/demo/shards/2018-06 --steps 3000 --seed 2
  deepcams downscale cams.nc hourly.nc --temporal time.safetensors --spatial space.safetensors"""

SHARDS = ".shards-"  # beginning of the name of the folder of shards that are made of files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    known = "; ".join(f"{stage}: {', '.join(names)}" for stage, names in LEARNING.items())
    parser.add_argument("stage", choices=tuple(LEARNING))
    parser.add_argument("output", metavar="OUT.safetensors", help="model file to write")
    parser.add_argument("fields", metavar="FIELDS", nargs="+", help="GEOS-CF files, or folders of shards")
    add_pollutant(parser)
    parser.add_argument("--network", help=f"{known} (default: the light one)")
    parser.add_argument("--recipe", choices=tuple(CLOSURES), default="corrected", help="default: corrected")
    parser.add_argument("--features", type=int, help="channels (default: as the recipe says)")
    parser.add_argument("--levels", type=int, help="pyramid levels below full resolution; xvfi only")
    parser.add_argument("--steps", type=int, default=1500, help="updates (default: 1500)")
    parser.add_argument("--batch-size", type=int, default=16, help="patches per update (default: 16)")
    parser.add_argument("--patch", type=int, help="edge of a patch, nodes (default: 32, or as the levels of xvfi need)")
    parser.add_argument("--learning-rate", type=float, default=0.002, help="default: 0.002")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each process (default: 2)")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw examples ahead (default: 2)")
    parser.add_argument("--processes", type=int, default=1, help="processes that learn together (default: 1)")
    parser.add_argument(
        "--ema", type=float, metavar="DECAY", help="keep a running mean of the weights, with this decay"
    )
    parser.add_argument(
        "--domain",
        choices=("mixed", "single"),
        help="learn under many degradations, or under the fields' own alone (default: as the recipe says)",
    )
    parser.add_argument(
        "--resolution",
        choices=("coarse", "fine", "both"),
        help="in time: learn at 0.75°, at 0.25°, or at both (default: as the recipe says)",
    )
    parser.add_argument("--degradation", choices=OPERATORS, help="of GEOS-CF files (default: block_mean)")
    parser.add_argument("--sigma", type=float, help="width of the gaussian degradation, fine cells (default: 1)")


def run(options: argparse.Namespace) -> None:
    """Prepare shards where needed, train, and say how good it is."""
    require_writable(options.output)
    for given in options.fields:
        if Path(given).is_file():
            check_output(options.output, given)
    settings = _settings(options)
    operator = options.degradation or "block_mean"
    degradation = {"sigma": 1.0, **degradation_parameters(operator, options.sigma, "--degradation")}
    degradation["operator"] = operator
    state = Path(f"{options.output}.training")
    with _folder_beside(options.output) as folder:
        indices = [
            _index(given, folder / f"{number}-{Path(given).stem}", degradation, options)
            for number, given in enumerate(options.fields)
        ]
        means = {name: getattr(options, name) for name in MEANS}
        best = train(options.stage, settings, indices, options.output, code="deepcams train", state=state, **means)
    if not best:
        return  # one of several processes, of which the first tells
    units = POLLUTANTS[options.pollutant].units
    print(
        f"{options.output}: {options.stage} network {settings['network']}, best at step {best['step']}; on held-out "
        f"hours RMSE {best['rmse']:.3f} against {best['baseline_rmse']:.3f} and MAE {best['mae']:.3f} against "
        f"{best['baseline_mae']:.3f} {units} of {'linear' if options.stage == 'temporal' else 'bicubic'} interpolation"
    )


def _settings(options: argparse.Namespace) -> dict:
    """The network's settings. Raises DeepcamsError for what cannot be."""
    network = options.network or NETWORKS["light"][options.stage]
    if network not in LEARNING[options.stage]:
        raise DeepcamsError(
            f"There is no {options.stage} network {network!r} that learns; choose one of "
            f"{', '.join(LEARNING[options.stage])}."
        )
    small = [
        f"--{name.replace('_', '-')} {value:g}"
        for name in ("steps", "batch_size", "patch", "learning_rate", "threads", "processes", "features", "levels")
        if (value := getattr(options, name)) is not None and not 0 < value < np.inf
    ]
    if small:
        raise DeepcamsError(f"{', '.join(small)}: give more than 0.")
    if options.workers < 0:
        raise DeepcamsError(f"--workers {options.workers}: give 0 or more.")
    if options.ema is not None and not 0 < options.ema < 1:
        raise DeepcamsError(f"--ema {options.ema:g}: give a number between 0 and 1, such as 0.999.")
    if not 0 <= options.seed < 2**32:
        raise DeepcamsError(f"--seed {options.seed}: give 0 … {2**32 - 1}.")
    recipe = options.recipe
    recipes = TRAINING.get(network, ("corrected",))
    if recipe not in recipes:
        raise DeepcamsError(f"The network {network} has no recipe {recipe}; it has {', '.join(recipes)}.")
    settings = {"network": network, "recipe": recipe}
    if network in FEATURES:
        settings["features"] = options.features or FEATURES[network][recipe]
    elif options.features:
        raise DeepcamsError(f"The network {network} has no --features.")
    if network in LEVELS:
        settings["levels"] = options.levels or LEVELS[network][recipe]
    elif options.levels:
        raise DeepcamsError(f"The network {network} has no --levels; only xvfi has.")
    if options.resolution and options.stage == "spatial":
        raise DeepcamsError("A spatial network has no --resolution: it leads from 0.75° to 0.25°.")
    if network not in TRAINING:
        return settings  # solved for, in one step
    multiple = patch_multiple(network, recipe, options.levels)
    patch = options.patch or max(32, multiple)
    if patch % multiple:
        raise DeepcamsError(f"--patch {patch}: with {settings['levels']} level(s) give a multiple of {multiple}.")
    if options.batch_size % options.processes:
        raise DeepcamsError(f"--batch-size {options.batch_size}: give a multiple of --processes {options.processes}.")
    names = ("steps", "batch_size", "learning_rate", "seed", "precision", "threads", "ema")
    examples = dict(EXAMPLES[recipe], domain=options.domain or EXAMPLES[recipe]["domain"])
    if options.stage == "temporal":
        examples["resolution"] = options.resolution or examples["resolution"]
    else:
        del examples["resolution"]
    return {**settings, "training": {**{name: getattr(options, name) for name in names}, "patch": patch, **examples}}


@contextmanager
def _folder_beside(output: str) -> Iterator[Path]:
    """A temporary folder beside a file, where there must be room; what a killed training left there is removed."""
    parent = Path(output).resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{SHARDS}*"):
        if is_abandoned(left.name.removeprefix(SHARDS).rpartition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f"{SHARDS}{owner()}-") as folder:
        yield Path(folder)


def _index(given: str, folder: Path, degradation: dict, options: argparse.Namespace) -> Path:
    """The index file of a shard: the given one, or one that is made of a GEOS-CF file in `folder`."""
    path = Path(given)
    if path.is_dir() or path.name == "index.json":
        index = path / "index.json" if path.is_dir() else path
        if not index.is_file():
            raise DeepcamsError(f"{given} is no folder of shards: it has no index.json. Give one, or a GEOS-CF file.")
        if options.degradation is not None:
            raise DeepcamsError(f"{given} is a shard, which is degraded already; leave out --degradation.")
        return index
    with open_geoscf(must_exist(given), pollutant=POLLUTANTS[options.pollutant]) as file:
        gaps = np.flatnonzero(np.diff(file.times) != HOUR)
        if options.stage == "temporal" and len(gaps):
            before, after = (str(file.times[gaps[0] + k])[:16] for k in (0, 1))
            raise DeepcamsError(f"{given}: {after} follows {before}; learning in time needs consecutive hours.")
        about = {**file.attributes, "pollutant": options.pollutant, "source": path.name, "own": len(file.times)}
        write_frames(file.frames, file.times, file.grid, folder / "index.json", degradation, about)
    return folder / "index.json"
