"""How much a configuration will fetch and store, and how long that takes at the services' limits, at the least.

Every figure below says whether it was measured or is assumed; what is assumed may be off by a factor of two or more.
"""

from dataclasses import dataclass

import numpy as np

from deepcams.calendar import Month, months_between
from deepcams.config.networks import HALO, LEARNING, network_name
from deepcams.grid.nodes import Grid, Region, coarse_grid, fine_globe, refine

# Measured.
CAMS_STORED = 193_000  # bytes a global frame: a month of raw/cams is 48 MB (README)
CAMS_SENT = 297_000  # bytes a global frame at most: the service's converter on random numbers (zlib 1)
GEOSCF_STORED = 1.32  # bytes a value: four hours of PM2.5, western hemisphere, deflated
PRODUCT = 1_620_000_000 / 744 / (721 * 1440)  # bytes a fine value and hour: temporal, spatial and yearly files (README)
# Known: a value of a training shard, and one that OPeNDAP sends, is a float32.
FLOAT = 4
# Assumed.
GEOSCF_FIELDS = 5  # in an hourly file, all as compressible as PM2.5
STATIONS = 10_000  # of the globe in a month; 25,852 reported PM2.5 in 2026, in 2018 far fewer
STATION_DAY = 4_300  # bytes: 1.5 MB a station and year (public reports), all its pollutants
STATION_STORED = 0.25  # of what is fetched: the rows of one pollutant
RATE = 5e6  # bytes a second, of the line
LATENCY = 0.2  # seconds an object
QUEUE = 900.0  # seconds that a request waits at the Atmosphere Data Store
AT_ONCE = 4  # requests there at the same time: the limit `ads_requests` of the profiles
ASSUMED = (
    f"At least: at the distances and connections of `services`, or a line of {RATE / 1e6:g} MB/s where that is slower. "
    f"Assumed: {QUEUE / 60:.0f} min in the queue for a CAMS month, {AT_ONCE} at a time; GEOS-CF files of "
    f"{GEOSCF_FIELDS} fields that compress alike; {STATIONS:,} stations on the globe; {LATENCY:g} s an object. "
    "Measured: bytes of CAMS frames, of a GEOS-CF field and of the product."
)


@dataclass(frozen=True)
class Estimate:
    """Of one source: months, requests, bytes to download and to store, seconds at the least."""

    name: str
    months: int
    requests: int
    download: float
    store: float
    seconds: float


def estimates(config: dict) -> list[Estimate]:
    """One for each data set that the configured run needs, and one for what the run itself writes.

    config : whole and valid.  A source nature_run is not estimated; of local files only what is stored of them is.
    """
    region = Region(**config["region"]) if config["region"] else None
    coarse = coarse_grid(region, HALO if region else 0)
    found = []
    for name, function in (("cams", _cams), ("geoscf", _geoscf), ("openaq", _openaq)):
        if config[name]["source"] != "nature_run":
            found.append(function(config, coarse))
    return [*found, _own(config, coarse)]


def geoscf_months(config: dict) -> list[Month]:
    """The months of GEOS-CF that the run reads: those scored, and those learnt from where anything learns."""
    simulation, real = config["experiments"]["simulation"], config["experiments"]["real"]
    months = set(period(simulation["test"]))
    if _learns(config):
        months |= {*period(simulation["train"]), *period(real["train"])}
    return sorted(months)


def period(section: dict) -> list[Month]:
    """Months from `first` to `last` of a part of the configuration."""
    return months_between(Month.parse(section["first"]), Month.parse(section["last"]))


def _learns(config: dict) -> bool:
    used = {stage: {network_name(config, stage)} for stage in ("temporal", "spatial")}
    for stage, further in config["experiments"]["simulation"]["compare"].items():
        used[stage] |= set(further)
    return any(network in LEARNING[stage] for stage, networks in used.items() for network in networks)


def _cams(config: dict, coarse: Grid) -> Estimate:
    months = period(config["cams"])
    frames = sum(8 * (month.days + 1) for month in months)  # requests are for the globe, so that caches can answer
    share = _size(coarse) / (241 * 480)
    remote = config["cams"]["source"] == "ads"
    download = frames * CAMS_SENT if remote else 0
    requests = len(months) if remote else 0
    seconds = max(requests * QUEUE / AT_ONCE, download / RATE)
    return Estimate("CAMS EAC4", len(months), requests, download, frames * CAMS_STORED * share, seconds)


def _geoscf(config: dict, coarse: Grid) -> Estimate:
    months, source, services = geoscf_months(config), config["geoscf"]["source"], config["services"]
    hours = sum(24 * month.days + 1 for month in months)
    box = _size(refine(coarse))
    if source == "portal":
        requests, download = hours, hours * GEOSCF_FIELDS * GEOSCF_STORED * _size(fine_globe())
        seconds = max(requests * services["portal"]["spacing"], download / RATE)
    elif source == "opendap":
        # Once a month what there is, and the axes; then a day at a time, in two pieces across the date line.
        runs = 1 + int((np.diff((refine(coarse).longitude + 180) % 360) < 0).sum())
        requests, download = sum(3 + runs * (month.days + 1) for month in months), hours * FLOAT * box
        seconds = max(requests * services["opendap"]["spacing"], download / RATE)
    else:
        requests, download, seconds = 0, 0, 0.0
    return Estimate("GEOS-CF", len(months), requests, download, hours * GEOSCF_STORED * box, seconds)


def _openaq(config: dict, coarse: Grid) -> Estimate:
    cams = set(period(config["cams"]))
    months = [month for month in period(config["openaq"]) if month in cams]
    stations = max(1.0, STATIONS * _size(coarse) / (241 * 480)) if config["region"] else STATIONS
    objects = round(sum(stations * (month.days + 2) for month in months))
    size = objects * STATION_DAY
    if config["openaq"]["source"] != "archive":  # of the fetches of before the archive nothing is known
        name = "OpenAQ" if config["openaq"]["source"] == "local" else "OpenAQ (unknown)"
        return Estimate(name, len(months), 0, 0, size * STATION_STORED, 0.0)
    connections = config["services"]["archive"]["connections"]
    seconds = max(objects * LATENCY / connections, size / RATE)
    return Estimate("OpenAQ", len(months), objects, size, size * STATION_STORED, seconds)


def _own(config: dict, coarse: Grid) -> Estimate:
    """What the run itself writes: the product with the files on the way to it, and shards to learn from."""
    months = period(config["cams"])
    fine = _size(refine(coarse))
    product = sum(24 * month.days for month in months) * fine * PRODUCT
    hours = sum(24 * month.days + 1 for month in geoscf_months(config))
    shards = hours * (fine + _size(coarse)) * FLOAT
    return Estimate("product, shards", len(months), 0, 0, product + shards, 0.0)


def _size(grid: Grid) -> int:
    rows, columns = grid.shape
    return rows * columns
