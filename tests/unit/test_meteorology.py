"""Humidity and wind of GEOS-CF: from the portal and from local files into one file a month."""

import netCDF4
import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.sources import geoscf_names
from deepcams.sources.geoscf_names import HOURLY_MEANS, METEOROLOGY, portal_path
from deepcams.sources.meteorology import fetch_month, retrieve_month
from tests.standins.portal import FIELDS, Portal, made, services
from tests.unit.test_geoscf import BOX, HOURS, MONTH, concentrations, hour, write_month

SMALL = refine(coarse_grid(Region(29.25, 90.75, 27.75, 93.0)))
COUNT = 30  # hours; a whole month takes long, for the stand-in above all
MISSING = (HOURS - COUNT + 1) / HOURS


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A record of a little more than a day."""
    monkeypatch.setitem(geoscf_names.RECORDS, "v1", (hour(0), hour(COUNT - 1)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """PM2.5 of a month; the stand-in makes meteorology out of it."""
    return write_month(tmp_path_factory.mktemp("portal"), count=COUNT, skip=(7,))


@pytest.fixture(scope="module")
def local(whole, tmp_path_factory):
    """The same as files of the portal's collection."""
    root = tmp_path_factory.mktemp("local")
    for number in range(COUNT):
        if number != 7:
            path = root / portal_path(hour(number), METEOROLOGY)
            path.parent.mkdir(parents=True, exist_ok=True)
            content = (whole / portal_path(hour(number), HOURLY_MEANS)).read_bytes()
            path.write_bytes(made(content, FIELDS[METEOROLOGY]))
    return root


def truth(number, rows=slice(None), columns=slice(None)):
    values = concentrations(number=number % 24).astype(float)[rows, columns]
    wind = np.sqrt((values / 50 - 2) ** 2 + (3 - values / 100) ** 2)
    return np.minimum(0.3 + values / 200, 1), wind


def test_a_month_from_the_portal_is_that_of_local_files(whole, local, tmp_path):
    with Portal(whole, others=True) as portal:
        root = fetch_month(MONTH, SMALL, tmp_path / "parts", services(portal.root), MISSING)
        assert portal.most_at_once <= 4 and all("met_tavg_1hr_g1440x721_x1" in r.path for r in portal.requests)
        portal.requests.clear()
        fetch_month(MONTH, SMALL, tmp_path / "parts", services(portal.root), MISSING)
        assert set(portal.hours()) == {"20180201_0730"}
    retrieve_month("local", MONTH, tmp_path / "fetched.nc", path=root, grid=SMALL, max_missing=MISSING)
    retrieve_month("local", MONTH, tmp_path / "local.nc", path=local, grid=SMALL, max_missing=MISSING)
    with netCDF4.Dataset(tmp_path / "fetched.nc") as one, netCDF4.Dataset(tmp_path / "local.nc") as two:
        for name in one.variables:
            np.testing.assert_array_equal(one[name][:], two[name][:])


def test_the_file_of_a_month(local, tmp_path):
    retrieve_month("local", MONTH, tmp_path / "m.nc", path=local, grid=None, max_missing=MISSING)
    with netCDF4.Dataset(tmp_path / "m.nc") as dataset:
        assert (
            dataset.missing_hours.startswith("2018-02-01T07:30:00 2018-02-02T06:30:00")
            and dataset.geoscf_version == "v1"
        )
        humidity, wind = (dataset[name][:].filled(np.nan) for name in ("relative_humidity", "wind_speed"))
        times = netCDF4.num2date(dataset["time"][:], dataset["time"].units)
        assert str(times[0]) == "2018-02-01 00:30:00" and len(times) == HOURS
        assert (dataset["relative_humidity"].units, dataset["wind_speed"].units) == ("1", "m s-1")
        np.testing.assert_array_equal(dataset["latitude"][:], BOX.latitude)
    assert np.isnan(humidity[7]).all() and np.isnan(wind[7]).all()
    assert np.isnan(humidity).sum() == (HOURS - COUNT + 1) * humidity[7].size
    for number in (0, 6, 23, 24, COUNT - 1):
        for values, right in zip((humidity, wind), truth(number), strict=True):
            np.testing.assert_allclose(values[number], right, rtol=1e-5)


def test_a_month_made_before_is_linked(local, tmp_path):
    own = tmp_path / "made" / "2018-02.nc"
    retrieve_month("local", MONTH, own, path=local, grid=SMALL, max_missing=MISSING)
    out = tmp_path / "out" / "2018-02.nc"
    retrieve_month("local", MONTH, out, path=own.parent, grid=SMALL, max_missing=MISSING)
    assert out.is_symlink() and out.samefile(own)
    with pytest.raises(DeepcamsError, match="another area"):
        retrieve_month("local", MONTH, out, path=own.parent, grid=BOX, max_missing=MISSING)
    (own.parent / "2018-03.nc").write_bytes(own.read_bytes())
    with pytest.raises(DeepcamsError, match="hours of 2018-03"):
        retrieve_month("local", MONTH.next(), out, path=own.parent, grid=SMALL, max_missing=MISSING)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"RH": (lambda v: 50 + v, "1")}, "cannot be relative humidity"),
        ({"RH": (lambda v: 0 * v, "1")}, "same value everywhere"),
        ({"RH": (lambda v: v, "K")}, "a fraction is expected"),
        ({"U10M": (lambda v: v * 100, "m s-1")}, "cannot be the eastward wind"),
        ({"V10M": (lambda v: v, "knots")}, "a speed is expected"),
    ],
)
def test_what_cannot_be_weather_is_refused(whole, tmp_path, changes, words):
    path = tmp_path / portal_path(hour(0), METEOROLOGY)
    path.parent.mkdir(parents=True)
    content = (whole / portal_path(hour(0), HOURLY_MEANS)).read_bytes()
    path.write_bytes(made(content, FIELDS[METEOROLOGY] | changes))
    with pytest.raises(DeepcamsError, match=words):
        retrieve_month("local", MONTH, tmp_path / "m.nc", path=tmp_path, grid=None, max_missing=1.0)
    assert not list(tmp_path.glob("*.nc")) and not list(tmp_path.glob(".*"))


def test_percent_is_understood(whole, tmp_path):
    path = tmp_path / portal_path(hour(0), METEOROLOGY)
    path.parent.mkdir(parents=True)
    content = (whole / portal_path(hour(0), HOURLY_MEANS)).read_bytes()
    path.write_bytes(made(content, FIELDS[METEOROLOGY] | {"RH": (lambda v: 30 + v / 2, "%")}))
    retrieve_month("local", MONTH, tmp_path / "m.nc", path=tmp_path, grid=None, max_missing=1.0)
    with netCDF4.Dataset(tmp_path / "m.nc") as dataset:
        np.testing.assert_allclose(dataset["relative_humidity"][0], truth(0)[0], rtol=1e-5)


def test_other_sources_and_lacking_hours(local, tmp_path):
    with pytest.raises(DeepcamsError, match="'archive' is not known"):
        retrieve_month("archive", MONTH, tmp_path / "m.nc", path=local, grid=None, max_missing=MISSING)
    with pytest.raises(DeepcamsError, match="643 of 672 hours are missing"):
        retrieve_month("local", MONTH, tmp_path / "m.nc", path=local, grid=None, max_missing=0.0)
