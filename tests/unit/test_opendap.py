"""GEOS-CF over OPeNDAP, from a stand-in of a GrADS server that speaks DAP2 by pydap's server code."""

import struct
import warnings

import netCDF4
import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, Region, coarse_grid, fine_globe, refine
from deepcams.pollutants import PM25, POLLUTANTS
from deepcams.sources import geoscf_names
from deepcams.sources.geoscf import read_hour
from deepcams.sources.geoscf_names import HOURLY_MEANS, HOURLY_MEANS_V2, portal_path
from deepcams.sources.services.dap import arrays, attributes, values
from deepcams.sources.services.http import Guest, Manner, NotThere, ServiceError
from deepcams.sources.services.opendap import fetch_month
from tests.standins.dap import Dap
from tests.standins.portal import services
from tests.standins.server import Answer
from tests.unit.test_geoscf import BOX, MONTH, concentrations, hour, write, write_hour

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap is built on, imports cgi
    from pydap.client import open_url

NAMES = PM25.geoscf_v1
SMALL = refine(coarse_grid(Region(30.0, 90.75, 28.5, 93.0)))
COUNT = 36  # hours of the record: a day and a half


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A record of a day and a half, so that a month is asked for in two calls."""
    for version in ("v1", "v2"):
        monkeypatch.setitem(geoscf_names.RECORDS, version, (hour(0), hour(COUNT - 1)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("portal")
    for number in range(COUNT):
        values = concentrations(number=number % 24)
        values[5, 6] = 1e15
        if number != 5:
            write_hour(root, number, values=values)
    return root


@pytest.fixture
def dap(folder):
    with Dap(folder, HOURLY_MEANS, NAMES[0]) as server:
        yield server


def fetch(dap, parts, grid=SMALL, max_missing=1.0, **changes):
    return fetch_month(MONTH, HOURLY_MEANS, PM25, grid, parts, services(dap.root, **changes), max_missing)


def expected(number, grid=SMALL):
    values = concentrations(number=number % 24)
    values[5, 6] = np.nan
    return values[:7, 3:13] if grid is SMALL else values


def require_right(root, numbers=range(COUNT), grid=SMALL):
    for number in numbers:
        path = root / portal_path(hour(number), HOURLY_MEANS)
        assert path.exists() == (number != 5)
        if number != 5:
            frame, there, _ = read_hour(path, NAMES, PM25)
            np.testing.assert_array_equal(frame, expected(number, grid))
            assert there.latitude[0] == grid.latitude[0] and there.longitude[0] == grid.longitude[0]


@pytest.mark.parametrize("fills", [True, False])
@pytest.mark.parametrize("units", [None, "ug m-3"])
def test_a_box_by_the_day(folder, tmp_path, fills, units):
    """Units are not given by these servers, and neither is what 1e15 means, now and then."""
    with Dap(folder, HOURLY_MEANS, NAMES[0], fills=fills, units=units) as dap:
        root = fetch(dap, tmp_path)
        boxes = [next(iter(call.query)) for call in dap.calls()]
    require_right(root)
    # Rows count from the south: 13 of them, and the box is the 7 northernmost.
    assert [box for box in boxes if "pm25" in box] == [
        "pm25_rh35_gcc.pm25_rh35_gcc[0:23][0:0][6:12][3:12]",
        f"pm25_rh35_gcc.pm25_rh35_gcc[24:{COUNT - 1}][0:0][6:12][3:12]",
    ]


def test_a_rerun_asks_for_the_missing_hours_alone(dap, tmp_path):
    root = fetch(dap, tmp_path)
    (root / portal_path(hour(30), HOURLY_MEANS)).unlink()
    dap.requests.clear()
    fetch(dap, tmp_path)
    asked = [next(iter(call.query)) for call in dap.calls()]
    assert [box for box in asked if "pm25" in box] == [
        "pm25_rh35_gcc.pm25_rh35_gcc[5:5][0:0][6:12][3:12]",  # the hour that is all fill values
        "pm25_rh35_gcc.pm25_rh35_gcc[30:30][0:0][6:12][3:12]",
    ]
    require_right(root)


def test_hours_of_nothing_but_fill_values_are_missing_and_listed(dap, tmp_path):
    with pytest.raises(NotThere, match=r"lacks 637 of 672 hours"):  # all but 36, and one of these
        fetch(dap, tmp_path, max_missing=0.1)
    require_right(tmp_path)


def test_a_box_across_the_date_line(tmp_path):
    """The server's axis begins at -180°: the box is two pieces of it."""
    globe = fine_globe()
    strip = Grid(BOX.latitude, globe.longitude, 0.25)
    values = concentrations(strip)
    for number in range(COUNT):
        write(tmp_path / "p" / portal_path(hour(number), HOURLY_MEANS), hour(number), values, grid=strip)
    box = Grid(BOX.latitude, 178 + 0.25 * np.arange(17), 0.25)
    with Dap(tmp_path / "p", HOURLY_MEANS, NAMES[0]) as dap:
        root = fetch(dap, tmp_path / "parts", box)
    frame, there, _ = read_hour(root / portal_path(hour(3), HOURLY_MEANS), NAMES, PM25)
    np.testing.assert_array_equal(frame, np.concatenate([values[:, -8:], values[:, :9]], axis=1))
    np.testing.assert_array_equal(there.longitude, box.longitude)


def test_version_2_has_its_own_address_and_names(tmp_path):
    item = POLLUTANTS["o3"]
    for number in range(COUNT):
        path = tmp_path / "p" / portal_path(hour(number), HOURLY_MEANS_V2)
        write(path, hour(number), concentrations() * 5e-9, name="O3", units="mol mol-1")
    with Dap(tmp_path / "p", HOURLY_MEANS_V2, "O3") as dap:
        root = fetch_month(MONTH, HOURLY_MEANS_V2, item, SMALL, tmp_path / "parts", services(dap.root), 1.0)
        assert "/v2/ana/aqc_tavg_1hr_glo_L1440x721_slv" in dap.requests[0].path
    frame, _, _ = read_hour(root / portal_path(hour(0), HOURLY_MEANS_V2), ("O3",), item)
    np.testing.assert_allclose(frame, 5 * concentrations()[:7, 3:13], rtol=1e-6)  # nmol mol-1


@pytest.mark.parametrize("grid", [None, fine_globe()])
def test_more_than_a_small_region_is_refused(dap, tmp_path, grid):
    with pytest.raises(DeepcamsError, match="at most 400,000 nodes"):
        fetch(dap, tmp_path, grid)
    assert dap.requests == []


def test_calls_keep_their_distance(dap, tmp_path):
    fetch(dap, tmp_path, opendap={"spacing": 0.1})
    times = [call.time for call in dap.calls() if "pm25" in str(call.query)]
    assert len(times) == 2 and min(np.diff(times)) > 0.09


def binary(answer, change):
    """The answer with other numbers; the description before them stays."""
    head, mark, numbers = answer.body.partition(b"\nData:\n")
    return Answer(200, head + mark + change(bytearray(numbers)), answer.headers)


def zeros(numbers):
    return numbers[:8] + bytes(len(numbers) - 8)


def sevens(numbers):
    return numbers[:8] + struct.pack(">f", 7.0) * ((len(numbers) - 8) // 4)


PASSING = {
    "500": lambda a: Answer(500),
    "503": lambda a: Answer(503),
    "cut": lambda a: Answer(200, a.body, a.headers, cut=len(a.body) // 2),
    "timed out": lambda a: Answer(200, a.body, a.headers, delay=2.0),
    "short, without a word": lambda a: Answer(200, a.body[: len(a.body) * 3 // 4], a.headers),
    "an error in words": lambda a: Answer(200, b'Error {\n code = 500;\n message = "subset failed";\n};', {}),
    "a page": lambda a: Answer(200, b"<!DOCTYPE html><html>login</html>", {"Content-Type": "text/html"}),
    "zeros": lambda a: binary(a, zeros),
    "one value": lambda a: binary(a, sevens),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes(dap, tmp_path, fault):
    dap.fail(r"\.dods$", PASSING[fault], times=1, skip=1)  # the first call is for the axes
    fetch(dap, tmp_path, timeout=1.0)
    require_right(tmp_path)
    assert len(dap.calls()) == 1 + 2 + 1  # axes, two days, and once more what failed


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_stays(dap, tmp_path, fault):
    dap.fail(r"\.dods$", PASSING[fault], skip=1)
    with pytest.raises(ServiceError, match=r"3 times in a row.*Try again later.*portal") as caught:
        fetch(dap, tmp_path, timeout=1.0)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert len(dap.calls()) == 1 + 3
    assert not list(tmp_path.rglob("*.nc4")) and not list(tmp_path.rglob(".*"))
    dap.faults.clear()
    fetch(dap, tmp_path)
    require_right(tmp_path)


def test_a_data_set_that_is_not_there_is_asked_for_once(dap, tmp_path):
    dap.fail(r"\.dds$", Answer(404))
    with pytest.raises(NotThere, match=r"answered 404.*geoscf.source: portal"):
        fetch(dap, tmp_path)
    assert len(dap.requests) == 1


@pytest.mark.parametrize("lost", [1, 4, 100])
def test_one_lost_byte_is_noticed(dap, tmp_path, lost):
    """Where the server does not say how many there are: the description does."""
    dap.fail(r"\.dods$", lambda a: Answer(200, a.body[:-lost], a.headers), times=1, skip=1)
    fetch(dap, tmp_path)
    require_right(tmp_path)
    assert len(dap.calls()) == 1 + 2 + 1


def test_nobody_listens(dap, tmp_path):
    root = dap.root
    dap.root = "http://127.0.0.1:9/dods/gmao/geos-cf"
    with pytest.raises(ServiceError, match="refused the connection, 3 times"):
        fetch(dap, tmp_path)
    dap.root = root


def test_numbers_are_those_that_other_clients_read(dap, folder):
    """The netCDF library's own client and pydap's, of the same box of the same data set."""
    url = f"{dap.root}/assim/{HOURLY_MEANS}"
    box = "pm25_rh35_gcc.pm25_rh35_gcc[3:7][0:0][6:12][3:12]"
    with Guest("The stand-in", Manner()) as guest:
        declared = dict(guest.read(f"{url}.dds", lambda content: arrays(content.decode())))
        about = guest.read(f"{url}.das", lambda content: attributes(content.decode()))
        ours = guest.read(f"{url}.dods?{box}", values)["pm25_rh35_gcc"]
        axes = guest.read(f"{url}.dods?time,lat,lon", values)
    with netCDF4.Dataset(url) as theirs:
        theirs.set_auto_maskandscale(False)
        variable = theirs["pm25_rh35_gcc"]
        np.testing.assert_array_equal(ours, variable[3:8, 0:1, 6:13, 3:13])
        for name in ("time", "lat", "lon"):
            np.testing.assert_array_equal(axes[name], theirs[name][:])
        assert declared["pm25_rh35_gcc"].shape == variable.shape
        assert declared["pm25_rh35_gcc"].dimensions == variable.dimensions
        assert about["time"]["units"] == theirs["time"].units
        assert np.float32(about["pm25_rh35_gcc"]["_FillValue"]) == np.float32(1e15)
    opened = open_url(url, protocol="dap2")
    np.testing.assert_array_equal(ours, np.asarray(opened["pm25_rh35_gcc"].array[3:8, 0:1, 6:13, 3:13].data))


def test_attributes_keep_what_stands_in_quotes():
    text = (
        'Attributes { x { String a "one; {two}"; Float32 _FillValue 1e15; Int32 n 1, 2; } NC_GLOBAL { String b "c"; } }'
    )
    assert attributes(text) == {"x": {"a": "one; {two}", "_FillValue": "1e15", "n": "1"}, "NC_GLOBAL": {"b": "c"}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 1e-9}, "the units cannot be 'ug m-3'"),
        ({"units": "kg m-3"}, "the units cannot be 'kg m-3'"),
        ({"units": "K"}, "is in units of 'K'"),
    ],
)
def test_numbers_that_do_not_fit_their_units_are_refused(folder, tmp_path, options, words):
    """Some months have been seen in kg m-3, without a word."""
    with (
        Dap(folder, HOURLY_MEANS, NAMES[0], **options) as dap,
        pytest.raises(ServiceError, match=f"gives what cannot be used: .*{words}"),
    ):
        fetch(dap, tmp_path)


def test_a_failure_is_followed_by_a_pause(dap, tmp_path):
    dap.fail(r"\.dods$", Answer(500), times=1, skip=1)
    fetch(dap, tmp_path, opendap={"pause": 0.4})
    gaps = np.diff([request.time for request in dap.requests])
    assert max(gaps) >= 0.4
