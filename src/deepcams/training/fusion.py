"""What the fusion network learns: the whole field of a day from the values of random cells, all of them a model's.

No station is used. Every variable has cells of its own, drawn anew for every example.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from deepcams.errors import DeepcamsError
from deepcams.geography.covariates import covariates
from deepcams.grid.nodes import EARTH, Grid, row_weights
from deepcams.models.fusion import SCALES
from deepcams.models.pointconv import PointConv
from deepcams.training import station_draws
from deepcams.training.climatology import climatology, of_season
from deepcams.training.days import Days, read_days, split
from deepcams.training.engine import Task, warm_cosine
from deepcams.training.held_out import Errors, held_out, mean_concentration
from deepcams.training.losses import spatial_loss
from deepcams.training.samples import TRIES, area_weights, generators
from deepcams.training.shards import grid_entry

DAYS_AWAY = 10  # at most, of a background that is of another day


@dataclass(frozen=True)
class Fields:
    """Examples, float32: concentrations in ug m-3, the others over their scales.

    values, valid : (B, V, h, w), of the cells with stations.   static : (B, S, h, w).   background : (B, 1, h, w), or
    without channels if the network has none.   target : (B, 1, h, w).   weight : (B, 1, h, 1), of the rows' areas.
    """

    values: torch.Tensor
    valid: torch.Tensor
    static: torch.Tensor
    background: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Material:
    """What examples are cut from. areas : (H, 1) km² of the cells.  means : as `climatology` gives it, if wanted."""

    months: tuple[Days, ...]
    static: np.ndarray
    areas: np.ndarray
    weights: np.ndarray
    means: dict[int, np.ndarray]
    variables: tuple[str, ...]
    recipe: str
    background: str
    patch: int


def read(folder: str | Path) -> Days:
    """The material of a training month, for `deepcams.training.train`."""
    return read_days(folder)


def task(module: nn.Module, shards: Sequence[Days], settings: dict) -> Task:
    """The task of `deepcams.training.engine`.

    settings : batch_size, patch, seed and latitude_weights of the configuration.
    Raises DeepcamsError if the months lack a variable, or are of different areas or smaller than a patch.
    """
    material = _material(module, shards, settings)
    seed, corrected = settings["seed"], module.recipe == "corrected"
    examples = held_out(lambda indices: _draw(material, seed, 0, indices, part="validation"))
    scale = mean_concentration([part.target for part in examples])
    return Task(
        module,
        partial(_draw, material, seed),
        loss=lambda network, examples: _loss(network, examples, module, scale),
        validate=lambda network: _validate(network, examples),
        # The paper says nothing of its learning rate.
        rate=warm_cosine,
        clips=corrected,
    )


def _material(module: nn.Module, months: Sequence[Days], settings: dict) -> _Material:
    grid, patch = months[0].grid, settings["patch"]
    wanted = {months[0].pollutant, *module.variables}
    for month in months:
        lacking = sorted(wanted - set(month.fields))
        if lacking:
            raise DeepcamsError(f"The days of {month.about['source']} lack {', '.join(lacking)}. Make them again.")
        if grid_entry(month.grid) != grid_entry(grid):
            raise DeepcamsError("The training months are of different areas. Make all of them with one configuration.")
    height, width = grid.shape
    if patch > min(height, width):
        raise DeepcamsError(
            f"The training fields have {height} × {width} nodes, too few for patches of {patch}. Lower "
            "fusion.training.patch, or enlarge the region."
        )
    weights = settings.get("latitude_weights")
    return _Material(
        months=tuple(months),
        static=covariates(module.static, grid),
        areas=_cell_areas(grid)[:, None],
        weights=area_weights(grid.latitude)
        if (module.recipe == "corrected" if weights is None else weights)
        else np.ones(height),
        means=climatology(months) if module.background == "climatology" else {},
        variables=module.variables,
        recipe=module.recipe,
        background=module.background,
        patch=patch,
    )


def _draw(material: _Material, seed: int, step: int, indices: Iterable[int], part: str = "training") -> Fields:
    """Examples of a step, or the held-out ones."""
    drawn = [_complete(material, random, part) for random in generators(seed, step, indices)]
    return Fields(
        *(torch.from_numpy(np.stack(group).astype(np.float32, copy=False)) for group in zip(*drawn, strict=True))
    )


def _complete(material: _Material, random: np.random.Generator, part: str) -> tuple:
    """An example without missing values."""
    for _ in range(TRIES):
        month = material.months[random.integers(len(material.months))]
        example = _example(material, month, random, part)
        if example is not None:
            return example
    raise DeepcamsError("The training days hold hardly any complete patch: too many hours are missing. Add months.")


def _example(material: _Material, month: Days, random: np.random.Generator, part: str) -> tuple | None:
    learnt, count = split(month), len(month.dates)
    first, stop = (0, learnt) if part == "training" else (learnt, count)
    if stop <= first:
        raise DeepcamsError(f"{month.about['source']} has {count} days, too few to learn from and to validate.")
    number = int(random.integers(first, stop))
    height, width = month.grid.shape
    top = int(random.integers(height - material.patch + 1))
    left = int(random.integers(width if month.grid.is_periodic else width - material.patch + 1))
    rows = slice(top, top + material.patch)
    columns = (left + np.arange(material.patch)) % width

    def cut(field: np.ndarray) -> np.ndarray:
        return np.asarray(field[..., rows, :])[..., columns]

    names = (month.pollutant, *material.variables)
    fields = np.stack([cut(month.fields[name][number]) for name in names])
    if not np.isfinite(fields).all():
        return None
    corrected = material.recipe == "corrected"
    areas = np.broadcast_to(material.areas[rows], fields.shape[1:])
    scatter = station_draws.clustered if corrected else station_draws.uniform
    valid = np.stack([scatter(areas, random) for _ in names])
    values = np.concatenate([fields[:1], fields[1:] / np.array([SCALES[n] for n in names[1:]])[:, None, None]])
    if corrected:
        valid[1:] &= random.random(len(names) - 1)[:, None, None] >= station_draws.NEVER
        values = station_draws.measured(values, random)
    background = np.empty((0, *fields.shape[1:]), np.float32)
    if material.background == "climatology":
        background = cut(of_season(material.means, month.dates[number]))[None]
    elif material.background == "product":
        other = number
        if random.random() < station_draws.DAYS_OFF:
            other = int(random.integers(max(first, number - DAYS_AWAY), min(stop, number + DAYS_AWAY + 1)))
        background = station_draws.erring(cut(month.fields[month.pollutant][other]), random)[None]
    if not np.isfinite(background).all():
        return None
    return values * valid, valid, cut(material.static), background, fields[:1], material.weights[rows][None, :, None]


def _cell_areas(grid: Grid) -> np.ndarray:
    """Areas of the cells of each row: (H,) km²."""
    return row_weights(grid) * EARTH**2 * np.radians(grid.step)


def _estimate(network: nn.Module, examples: Fields, module: nn.Module) -> torch.Tensor:
    """The network's fields, transformed; it may be wrapped and lack the attributes of `module`."""
    transform = module.transform
    values = torch.cat([transform.forward(examples.values[:, :1]), examples.values[:, 1:]], dim=1)
    background = transform.forward(examples.background) if examples.background.shape[1] else None
    return network(values, examples.valid, examples.static, background)


def _loss(
    network: nn.Module, examples: Fields, module: nn.Module, scale: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    found = _estimate(network, examples, module)
    return spatial_loss(found, examples.target, module.transform, module.recipe, examples.weight, scale)


def _validate(module: nn.Module, held_out: list[Fields]) -> dict[str, float]:
    """Errors on the held-out patches, beside those of a weighted mean of what is near: PointConv as it begins."""
    place = next(module.parameters()).device
    begun = PointConv(1).to(place)
    errors = Errors()
    for part in held_out:
        part = Fields(**{name: value.to(place) for name, value in vars(part).items()})
        found = module.transform.inverse(_estimate(module, part, module))
        background = part.background if part.background.shape[1] else torch.zeros_like(part.target)
        near = begun(part.values[:, :1] - background, part.valid[:, :1])[0] + background
        errors.add(found, near, part.target)
    return errors.figures()
