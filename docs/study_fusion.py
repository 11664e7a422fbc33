"""How well station fusion does beside kriging: the tables of docs/fusion.md.

    python docs/study_fusion.py FOLDER simulate            days of the nature run, to learn from and unseen
    python docs/study_fusion.py FOLDER train BACKGROUND    a network for each of climatology, none, product
    python docs/study_fusion.py FOLDER nature              unseen days from stations at the paper's density
    python docs/study_fusion.py FOLDER real SAMPLES        cross-validation of real hours of stations
    python docs/study_fusion.py FOLDER picture SAMPLES     an hour of real stations, and the kernels: images/fusion*.png
    python docs/study_fusion.py FOLDER speed               seconds a field, untaught, of the globe and of a region

FOLDER keeps the days and the networks; what is there is not made again. SAMPLES : cnemc_20190718_pm25.csv.gz and
openaq_realtime_20180206 in one folder. The networks are small (8 features) and taught without a GPU.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from deepcams.calendar import DAY, HALF_HOUR, HOUR
from deepcams.fusion.cells import Cells
from deepcams.fusion.competitors import competitors
from deepcams.fusion.distance import distance_to_station
from deepcams.fusion.evaluation import cross_validate, reproduce
from deepcams.fusion.folds import cities_out, stations_out
from deepcams.fusion.fusion_scores import score_table
from deepcams.fusion.month import estimate, network_of
from deepcams.fusion.month_scores import NAMES
from deepcams.fusion.observations import Observations, cells_at, daily, hourly, with_cities
from deepcams.geography.covariates import covariates
from deepcams.grid.nodes import EARTH, Grid, Region, coarse_grid, fine_globe, locate, refine, row_weights
from deepcams.models.catalogue import build
from deepcams.models.fusion_frames import FusionFrames
from deepcams.report.fusion_figures import day_map, kernels
from deepcams.report.style import save_png
from deepcams.sources.nature_run.near_ground import Ground
from deepcams.sources.nature_run.simulate import NatureRun, synthetic_label
from deepcams.sources.station_files import read_stations
from deepcams.training.climatology import climatology, of_season
from deepcams.training.days import Days, read_days
from deepcams.training.shards import grid_entry
from deepcams.training.station_draws import PAPER_AREA, PAPER_STATIONS, erring
from deepcams.training.train import train
from deepcams.validation.quality import QualitySettings, control_quality

REGION = Region(north=54.0, west=72.0, south=15.0, east=138.0)  # as the paper's: China and around
SPANS = {"2018-01": ("2018-01-05", 28), "2018-03": ("2018-03-05", 27), "2018-04": ("2018-04-01", 27)}
UNSEEN = {"unseen-winter": ("2018-02-06", 8), "unseen-spring": ("2018-05-01", 8)}
VARIABLES = ("relative_humidity", "wind_speed")
STATIC = ["elevation", "land", "population"]
DENSITIES = {  # stations per km², from the paper's 2,000 on 372 × 426 cells of 12 km
    "per area": np.mean(PAPER_STATIONS) / PAPER_AREA,
    "a quarter of it": np.mean(PAPER_STATIONS) / PAPER_AREA / 4,
}
NODES = 8000
IMAGES = Path(__file__).parent / "images"
STEPS, FEATURES = 1500, 8
CNEMC_UTC_OFFSET = 8.0
KNOWN = 350.0  # km from a station, as far as the picture shows the field
OPENAQ_HOURS = 6  # that a day's mean needs; 19 leave 40 stations


def simulate(folder: Path, name: str, start: str, count: int) -> None:
    """UTC days of the nature run from `start` on, as `training.days` reads them."""
    out = folder / "days" / name
    if (out / "index.json").exists():
        return
    first = np.datetime64(start, "s")
    run = NatureRun(1, first - 4 * DAY, REGION, 6.0, 15)
    ground, inner = Ground(run), refine(coarse_grid(REGION))
    rows, columns = locate(inner, run.grid)
    run.run_until(first)
    fields = {variable: np.zeros((count, *inner.shape), np.float32) for variable in ("pm25", *VARIABLES)}
    for hour in range(24 * count):
        near = ground.at(first + hour * HOUR)
        for _ in range(4):
            run.advance()
        hourly_fields = {
            "pm25": run.field(),
            "relative_humidity": near.relative_humidity,
            "wind_speed": near.wind_speed,
        }
        for variable, field in hourly_fields.items():
            fields[variable][hour // 24] += field[rows][:, columns] / 24
    out.mkdir(parents=True)
    for variable, values in fields.items():
        np.save(out / f"{variable}.npy", values)
    index = {
        "pollutant": "pm25",
        "source": name,
        "day": "utc",
        "synthetic": synthetic_label(1),
        "variables": list(fields),
        "dates": [str(date) for date in np.datetime64(start, "D") + np.arange(count)],
        "grid": grid_entry(inner),
        "sha256": dict.fromkeys(fields, name),
    }
    (out / "index.json").write_text(json.dumps(index))


def learn(folder: Path, background: str) -> None:
    """Teach a network on the days of `SPANS`."""
    settings = {
        "network": "pointconv_unetpp",
        "recipe": "corrected",
        "background": background,
        "reading": "corrected",
        "variables": list(VARIABLES),
        "static": STATIC,
        "features": FEATURES,
        "training": {
            "steps": STEPS,
            "batch_size": 6,
            "patch": 128,
            "learning_rate": 0.002,
            "seed": 1,
            "precision": "bfloat16",
            "threads": 1,
            "ema": None,
            "latitude_weights": True,
        },
    }
    indices = [folder / "days" / name / "index.json" for name in SPANS]
    out = folder / f"{background}.safetensors"
    train("fusion", settings, indices, out, code="study", curves=out.with_suffix(".csv"), state=out.with_suffix(".pt"))


def nature(folder: Path) -> pd.DataFrame:
    """R², RMSE and NME of whole fields of unseen days from random cells, all methods from the same ones."""
    means = climatology([read_days(folder / "days" / name) for name in SPANS])
    parts = []
    for span in UNSEEN:
        days = read_days(folder / "days" / span)
        fields = np.asarray(days.fields["pm25"][:])
        for density, per_area in DENSITIES.items():
            random = np.random.default_rng(7)
            cells = [_scattered(days.grid, per_area, random) for _ in days.dates]
            weather = {name: [_scattered(days.grid, per_area, random) for _ in days.dates] for name in VARIABLES}
            chosen = random.choice(fields[0].size, NODES, replace=False)
            nodes = np.unravel_index(np.sort(chosen), days.grid.shape)
            seasons = [of_season(means, date) for date in days.dates]
            backgrounds = {"climatology": seasons, "product": [erring(field, random) for field in fields], "none": None}
            methods, _ = competitors(days.grid, lambda step, seasons=seasons: seasons[step])
            methods = {f"{name}*" if name in ABOUT_BACKGROUND else name: m for name, m in methods.items()}
            for name, background in backgrounds.items():
                model = folder / f"{name}.safetensors"
                if model.exists():
                    methods[NAMES[name]] = _network(network_of(model), days, weather, background)
            table = reproduce(fields, days.grid, lambda step, cells=cells: cells[step], methods, nodes)
            table.insert(0, "stations", int(np.mean([len(row) for row, _ in cells])))
            table.insert(0, "density", density)
            table.insert(0, "days", span)
            parts.append(table)
    return pd.concat(parts, ignore_index=True)


ABOUT_BACKGROUND = ("optimal interpolation", "residual kriging", "background")  # * : from the climatology


def real(folder: Path, samples: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Scores of hours of stations that were left out, by sample and scheme; PM2.5 alone is known."""
    for name, observed in (("CNEMC", _cnemc(samples)), ("OpenAQ", _openaq(samples))):
        grid = _grid_of(observed)
        methods, _ = competitors(grid)
        for background in ("none", "product"):
            model = folder / f"{background}.safetensors"
            if model.exists():
                words = {"none": "network", "product": "network of innovations on the mean"}[background]
                methods[words] = _alone(network_of(model), grid)
        for scheme, split in (("stations", stations_out), ("cities", cities_out)):
            table = cross_validate(observed, methods, split(observed, 10), label=f"{name}, {scheme} out")
            yield f"{name}, {scheme} left out", score_table(table, list(methods), "ordinary kriging")


def speed() -> Iterator[str]:
    """Seconds a field with 3,000 stations, by area, features and precision; the shortest of three."""
    for area, grid in (("globe", fine_globe()), ("region", refine(coarse_grid(REGION)))):
        random = np.random.default_rng(1)
        chosen = np.unravel_index(random.choice(np.prod(grid.shape), 3000, replace=False), grid.shape)
        known = Cells(*chosen, random.gamma(2.0, 10.0, 3000))
        background = np.full(grid.shape, 10.0, np.float32)
        for features, precision in ((8, "float32"), (16, "float32"), (16, "bfloat16")):
            settings = {"variables": list(VARIABLES), "static": STATIC, "features": features, "recipe": "corrected"}
            settings |= {"background": "product", "reading": "corrected"}
            network = build("fusion", "pointconv_unetpp", None, settings, precision)
            static = covariates(STATIC, grid)
            taken = []
            for _ in range(3):
                begun = time.perf_counter()
                estimate(network, static, grid, known, dict.fromkeys(VARIABLES, known), background)
                taken.append(time.perf_counter() - begun)
            yield f"{area}, {features} features, {precision}: {min(taken):.2f} s"


def picture(folder: Path, samples: Path) -> None:
    """An hour of Chinese stations as a field, and the kernels that the network has learnt."""
    observed = _cnemc(samples)
    grid, network = refine(coarse_grid(REGION)), network_of(folder / "none.safetensors")
    known = cells_at(observed, 0)
    field = estimate(network, covariates(network.static, grid), grid, known, {}, None)
    stations = observed.stations.assign(value=observed.values[0]).dropna(subset="value")
    distance = distance_to_station(grid, known)
    middle = observed.times[0] - HALF_HOUR
    field[distance > KNOWN] = np.nan
    save_png(day_map(middle, field, distance, grid, stations, daily=False), IMAGES / "fusion.png", 110)
    with torch.no_grad():
        wide, narrow = (kernel[:, 0].numpy() for kernel in network.module.points.kernels())
    pairs = {name: (wide[k], narrow[k]) for k, name in enumerate(("PM2.5", "relative humidity", "wind speed"))}
    save_png(kernels(pairs), IMAGES / "fusion_kernels.png", 110)


def _cnemc(samples: Path) -> Observations:
    path = samples / "cnemc_20190718_pm25.csv.gz"
    table = with_cities(read_stations([path], utc_offset=CNEMC_UTC_OFFSET), [path])
    kept, _ = control_quality(table, QualitySettings())
    times = np.unique(kept["time"].to_numpy("datetime64[s]"))
    return hourly(kept, refine(coarse_grid(REGION)), times)[0]


def _openaq(samples: Path) -> Observations:
    table = read_stations([samples / "openaq_realtime_20180206"])
    kept, _ = control_quality(table, QualitySettings())
    # The fetches end before the day does everywhere.
    return daily(kept, fine_globe(), np.array(["2018-02-06"], "datetime64[D]"), minimum_hours=OPENAQ_HOURS)[0]


def _grid_of(observed: Observations) -> Grid:
    region = refine(coarse_grid(REGION))
    inside = observed.stations["row"].max() < region.shape[0] and observed.stations["column"].max() < region.shape[1]
    return region if inside else fine_globe()


def _network(
    network: FusionFrames, days: Days, weather: dict, background: list[np.ndarray] | None
) -> Callable[..., np.ndarray]:
    static = covariates(network.static, days.grid)

    def method(known: Cells, at: tuple[np.ndarray, np.ndarray], step: int) -> np.ndarray:
        others = {n: Cells(*cells[step], days.fields[n][step][cells[step]]) for n, cells in weather.items()}
        there = None if background is None else background[step]
        return estimate(network, static, days.grid, known, others, there)[at].astype(np.float64)

    return method


def _alone(network: FusionFrames, grid: Grid) -> Callable[..., np.ndarray]:
    """A network that is given PM2.5 alone; one with a background gets the mean of the known cells."""
    static = covariates(network.static, grid)

    def method(known: Cells, at: tuple[np.ndarray, np.ndarray], step: int) -> np.ndarray:
        mean = None if network.background == "none" else np.full(grid.shape, known.value.mean(), np.float32)
        return estimate(network, static, grid, known, {}, mean)[at].astype(np.float64)

    return method


def _scattered(grid: Grid, per_area: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of cells drawn by area."""
    areas = (row_weights(grid) * EARTH**2 * np.radians(grid.step))[:, None]
    return np.nonzero(random.random(grid.shape) < per_area * areas)


def main(folder: str, command: str, *more: str) -> None:
    """Run one of the steps above."""
    torch.set_num_threads(2)
    root = Path(folder)
    if command == "simulate":
        for name, (start, count) in {**SPANS, **UNSEEN}.items():
            if not more or name in more:
                simulate(root, name, start, count)
    elif command == "train":
        for background in more:
            learn(root, background)
    elif command == "nature":
        table = nature(root)
        table.to_csv(root / "nature.csv", index=False, float_format="%.6g")
        whole = table[table["of"] == "mean of steps"]
        print(whole[["days", "density", "stations", "method", "r2", "rmse", "nme"]].to_string(index=False))
    elif command == "real":
        for title, table in real(root, Path(more[0])):
            table.to_csv(root / f"{title.replace(', ', '_').replace(' ', '_')}.csv", index=False, float_format="%.6g")
            shown = ["method", "n", "boxes", "r2", "rmse", "rmse_low", "rmse_high", "nme", "bias", "verdict"]
            print(f"\n{title}\n{table[shown].round(3).to_string(index=False)}", flush=True)
    elif command == "picture":
        picture(root, Path(more[0]))
    elif command == "speed":
        for line in speed():
            print(line, flush=True)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
