"""The cross-validation of a month and the reproduction of a model's month: tables of the workflow."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.fusion.cells import Cells
from deepcams.fusion.competitors import Method, competitors
from deepcams.fusion.evaluation import COLUMNS, cross_validate, reproduce
from deepcams.fusion.folds import cities_out, stations_out
from deepcams.fusion.gather import Gathered, GatherSettings, backgrounds
from deepcams.fusion.month import estimate, network_of, others_at
from deepcams.fusion.observations import Observations, cells_at
from deepcams.geography.covariates import covariates
from deepcams.grid.nodes import Grid, locate
from deepcams.models.fusion_frames import FusionFrames
from deepcams.sources.stations import write_csv
from deepcams.training.climatology import of_season, read_climatology
from deepcams.training.days import Days
from deepcams.training.station_draws import erring

SCHEMES = {"stations": stations_out, "cities": cities_out}
_log = logging.getLogger(__name__)
NAMES = {  # of the networks by their background
    "none": "network",
    "climatology": "network of anomalies",
    "product": "network of innovations",
}
NODES = 20_000  # on which a model's fields are compared, drawn by area


def network_method(
    network: FusionFrames,
    grid: Grid,
    others: Mapping[str, Observations],
    background: np.ndarray | None,
) -> Method:
    """A network as a method of `deepcams.fusion.evaluation`. background : (T, H, W)."""
    static = covariates(network.static, grid)

    def method(known: Cells, at: tuple[np.ndarray, np.ndarray], step: int) -> np.ndarray:
        there = None if background is None else background[step]
        field = estimate(network, static, grid, known, others_at(others, step), there)
        return field[at].astype(np.float64)

    return method


def methods_of(
    gathered: Gathered,
    networks: Mapping[str, str | Path],
    paths: Mapping[str, Sequence[str | Path]],
    settings: GatherSettings,
) -> tuple[dict[str, Method], list[str]]:
    """The networks and their competitors by name, and what the names do not tell.

    networks : model files by background.   paths : what backgrounds are made of, by kind; the product's are what the
    competitors start from, too, if they are given.
    """
    fields = {kind: backgrounds(kind, gathered.times, gathered.grid, files, settings) for kind, files in paths.items()}
    product = fields.get("product")
    others, notes = competitors(gathered.grid, None if product is None else lambda step: product[step])
    found: dict[str, Method] = {}
    for kind, model in networks.items():
        found[NAMES[kind]] = network_method(network_of(model), gathered.grid, gathered.others, fields.get(kind))
    return found | others, notes


def cross_validate_month(
    out: str | Path, gathered: Gathered, methods: Mapping[str, Method], folds: int, seed: int = 1
) -> None:
    """Write the estimates of stations that were left out, of both schemes, as one csv.gz.

    A scheme with fewer stations or cities than folds is left out, which the table shows by its lack, and a log says of
    a table without any row.
    """
    parts = []
    for scheme, split in SCHEMES.items():
        try:
            fold_of = split(gathered.observed, folds, seed)
        except DeepcamsError:
            continue
        table = cross_validate(gathered.observed, methods, fold_of, label=f"leave {scheme} out")
        table.insert(0, "scheme", scheme)
        parts.append(table)
    if not parts:
        _log.warning(
            "%s has no estimates: %d stations are fewer than %d folds.", out, len(gathered.observed.stations), folds
        )
        parts = [pd.DataFrame(columns=["scheme", *COLUMNS, *methods])]
    whole = pd.concat(parts, ignore_index=True)
    whole["time"] = np.datetime_as_string(whole["time"].to_numpy("datetime64[s]"), unit="s")
    write_csv([_rounded(whole, list(methods))], out)


def reproduce_month(
    out: str | Path,
    days: Days,
    gathered: Gathered,
    networks: Mapping[str, str | Path],
    climatology: str | Path,
    seed: int = 1,
) -> None:
    """Reproduce a model's days from its values in the cells that hold stations, and write the scores of each as CSV.

    gathered : stations of this month or another one, and weather stations: where there are any on a day of the same
    number; their values do not count.
    The product's network starts from the day's own field with made-up errors, as in its training; so do, where it is
    among the networks, those competitors that start from a background, and what that field is worth by itself is told.
    """
    numbers_of = {_day_of_month(date): number for number, date in enumerate(days.dates)}
    steps = [step for step, time in enumerate(gathered.times) if _day_of_month(time) in numbers_of]
    numbers = [numbers_of[_day_of_month(gathered.times[step])] for step in steps]
    grid = gathered.grid
    rows, columns = locate(grid, days.grid)
    fields = {name: np.stack([array[n][rows][:, columns] for n in numbers]) for name, array in days.fields.items()}
    truth = fields.pop(days.pollutant)
    random = np.random.default_rng([seed, len(steps)])
    area = np.cos(np.radians(grid.latitude))[:, None] * np.ones(grid.shape[1])
    count = min(NODES, area.size)
    chosen = np.sort(random.choice(area.size, count, replace=False, p=(area / area.sum()).ravel()))
    nodes = np.unravel_index(chosen, grid.shape)
    means = read_climatology(climatology, grid)
    made_up = {
        "climatology": [of_season(means, days.dates[number]) for number in numbers],
        "product": [erring(field, random) for field in truth],
    }
    methods, _ = competitors(grid, (lambda step: made_up["product"][step]) if "product" in networks else None)
    for kind, model in networks.items():
        network = network_of(model)
        methods[NAMES[kind]] = _reproducing(network, grid, fields, gathered, steps, made_up.get(kind))
    where = [cells_at(gathered.observed, step) for step in steps]
    table = reproduce(truth, grid, lambda step: (where[step].row, where[step].column), methods, nodes)
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def _day_of_month(time: np.datetime64) -> int:
    return int(str(time.astype("datetime64[D]"))[8:])


def _reproducing(
    network: FusionFrames,
    grid: Grid,
    fields: Mapping[str, np.ndarray],
    gathered: Gathered,
    steps: Sequence[int],
    background: Sequence[np.ndarray] | None,
) -> Method:
    """A network that is given a model's values where the stations of the pollutant and of the weather are."""
    static = covariates(network.static, grid)

    def method(known: Cells, at: tuple[np.ndarray, np.ndarray], step: int) -> np.ndarray:
        others = {}
        for name, cells in others_at(gathered.others, steps[step]).items():
            if name in fields:
                value = fields[name][step][cells.row, cells.column].astype(np.float64)
                there_is = np.isfinite(value)
                others[name] = Cells(cells.row[there_is], cells.column[there_is], value[there_is])
        there = None if background is None else background[step]
        return estimate(network, static, grid, known, others, there)[at].astype(np.float64)

    return method


def _rounded(table: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Six digits say all that there is."""
    numbers = ["observed", *methods]
    return table.assign(**{name: table[name].map(lambda value: f"{value:.6g}") for name in numbers})
