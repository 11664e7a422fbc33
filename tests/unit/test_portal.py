"""GEOS-CF from a stand-in of NASA's portal: what is asked for, how politely, and what is kept."""

import json
import logging
import os
import shutil

import netCDF4
import numpy as np
import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import read_field
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.pollutants import PM25, POLLUTANTS
from deepcams.sources import geoscf_names
from deepcams.sources.geoscf import read_hour, read_month, survey_month
from deepcams.sources.geoscf_month import retrieve_month
from deepcams.sources.geoscf_names import HOURLY_MEANS, HOURLY_MEANS_V2, INSTANTS, portal_path, portal_paths
from deepcams.sources.services.hours import Hour, write_hour
from deepcams.sources.services.http import NotThere, ServiceError
from deepcams.sources.services.portal import fetch_month
from tests.standins.portal import FIELDS, PREFIX, Portal, made, services
from tests.standins.server import Answer, Server
from tests.unit.test_geoscf import BOX, HOURS, MONTH, concentrations, hour, write_month
from tests.unit.test_geoscf import write_hour as put_hour

SMALL = refine(coarse_grid(Region(29.25, 90.75, 27.75, 93.0)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_month(tmp_path_factory.mktemp("portal"), count=HOURS + 1)


def begun(whole, folder, lacking, collection=HOURLY_MEANS):
    """A folder that an earlier job left, without the hours `lacking`; and the stamps of these."""
    shutil.copytree(whole, folder, copy_function=os.link)
    stamps = []
    for number in lacking:
        path = folder / portal_path(hour(number, collection), collection)
        path.unlink()
        stamps.append(path.name.split(".")[-2][:-1])
    return stamps


def test_a_month_arrives_as_the_portal_has_it(whole, tmp_path):
    with Portal(whole) as portal:
        root = fetch_month(MONTH, HOURLY_MEANS, PM25, SMALL, tmp_path / "parts", services(portal.root), 0.0)
        assert len(portal.requests) == HOURS + 1 and portal.most_at_once <= 4
        assert portal.requests[0].path.startswith("/datashare/gmao/geos-cf/v1/ana/Y2018/M02/D01/GEOS-CF.v01.rpl.aqc_")
    options = {"collection": HOURLY_MEANS, "grid": SMALL, "max_missing": 0.0}
    retrieve_month("local", MONTH, tmp_path / "fetched.nc", path=root, **options)
    retrieve_month("local", MONTH, tmp_path / "local.nc", path=whole, **options)
    assert (tmp_path / "fetched.nc").read_bytes() == (tmp_path / "local.nc").read_bytes()
    assert not (root / "incoming").exists()
    assert read_hour(root / portal_path(hour(3), HOURLY_MEANS), ("PM25_RH35_GCC",), PM25)[1].shape == SMALL.shape


def test_a_rerun_asks_for_nothing_that_is_there(whole, tmp_path):
    stamps = begun(whole, tmp_path / "parts", (7, 300))
    with Portal(whole) as portal:
        for _ in range(2):
            fetch_month(MONTH, HOURLY_MEANS, PM25, None, tmp_path / "parts", services(portal.root), 0.0)
            assert sorted(portal.hours()) == stamps


def test_no_more_than_four_at_once_and_at_a_distance(whole, tmp_path):
    begun(whole, tmp_path / "a", range(12))
    begun(whole, tmp_path / "b", range(8))
    with Portal(whole) as portal:
        portal.fail("", lambda answer: Answer(200, answer.body, delay=0.05))
        polite = services(portal.root, portal={"connections": 9})
        fetch_month(MONTH, HOURLY_MEANS, PM25, None, tmp_path / "a", polite, 0.0)
        assert 2 <= portal.most_at_once <= 4
        portal.requests.clear()
        polite = services(portal.root, portal={"spacing": 0.05})
        fetch_month(MONTH, HOURLY_MEANS, PM25, None, tmp_path / "b", polite, 0.0)
        times = [request.time for request in portal.requests]
        # The stand-in notes a request when it has read it, which may be late for one and not for the next.
        assert len(times) == 8 and times[-1] - times[0] > 0.9 * 7 * 0.05


def test_instants_are_those_of_whole_hours(tmp_path):
    write_month(tmp_path / "portal", collection=INSTANTS, count=HOURS)
    begun(tmp_path / "portal", tmp_path / "parts", (0, 1, 2), INSTANTS)
    with Portal(tmp_path / "portal") as portal:
        root = fetch_month(MONTH, INSTANTS, PM25, None, tmp_path / "parts", services(portal.root), 0.0)
        # The first hour of the next month is asked for in both trees; that nobody has it is no fault.
        assert set(portal.hours()) == {"20180201_0000", "20180201_0100", "20180201_0200", "20180301_0000"}
    assert survey_month(root, MONTH, INSTANTS, 0.0).missing == []


@pytest.mark.parametrize("name", ["pm25", "o3", "no2", "co", "so2"])
def test_pollutants_are_taken_from_the_same_files(whole, tmp_path, name):
    item = POLLUTANTS[name]
    begun(whole, tmp_path / "parts", range(3))
    with Portal(whole, others=True) as portal:
        root = fetch_month(MONTH, HOURLY_MEANS, item, SMALL, tmp_path / "parts", services(portal.root), 0.0)
    function, units = FIELDS[HOURLY_MEANS][item.geoscf_v1[0]]
    expected = function(concentrations(number=2)[3:10, 3:13].astype(float)) * (1e9 if units == "mol mol-1" else 1)
    frame, grid, _ = read_hour(root / portal_path(hour(2), HOURLY_MEANS), item.geoscf_v1, item)
    np.testing.assert_allclose(frame, expected, rtol=1e-6)
    assert grid.shape == SMALL.shape
    with netCDF4.Dataset(root / portal_path(hour(2), HOURLY_MEANS)) as dataset:
        assert set(dataset.variables) == {"time", "lat", "lon", item.geoscf_v1[0]}  # nothing else is kept
        assert dataset[item.geoscf_v1[0]].units == item.units


def test_a_pollutant_that_is_not_carried_is_not_asked_for(tmp_path):
    with Portal(tmp_path) as portal, pytest.raises(DeepcamsError, match="does not carry PM10"):
        fetch_month(MONTH, HOURLY_MEANS, POLLUTANTS["pm10"], None, tmp_path, services(portal.root), 0.0)
    assert portal.requests == []


def test_version_2_by_its_own_names_and_revisions(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(geoscf_names.RECORDS, "v2", (hour(0), hour(4)))
    item = POLLUTANTS["pm10"]
    folder = tmp_path / "portal"
    for number in range(3):  # .R0, .R1 and none; hour 3 is nowhere
        path = folder / portal_paths(hour(number), HOURLY_MEANS_V2)[number]
        path.parent.mkdir(parents=True, exist_ok=True)
        source = whole / portal_path(hour(number), HOURLY_MEANS)
        path.write_bytes(made(source.read_bytes(), FIELDS[HOURLY_MEANS_V2]))
    parts = tmp_path / "parts"
    there = Hour({"PM10_RH35": (concentrations(), "ug m-3")}, BOX)
    write_hour(parts / portal_path(hour(4), HOURLY_MEANS_V2), hour(4), there)
    with Portal(folder) as portal:
        root = fetch_month(MONTH, HOURLY_MEANS_V2, item, None, parts, services(portal.root), 1.0)
        assert len(portal.requests) == 1 + 2 + 3 + 3
        assert portal.requests[0].path.startswith(f"{PREFIX}/geos-cf/v2/ana/Y2018/M02/D01/GEOS.cf.ana.aqc_tavg_1hr_glo")
    options = {"collection": HOURLY_MEANS_V2, "grid": None, "max_missing": 1.0, "pollutant": item}
    retrieve_month("local", MONTH, tmp_path / "month.nc", path=root, **options)
    with netCDF4.Dataset(tmp_path / "month.nc") as dataset:
        assert dataset.geoscf_version == "v2" and dataset.missing_hours.startswith(
            "2018-02-01T03:30:00 2018-02-01T05:30:00"
        )
        np.testing.assert_allclose(dataset["pm10"][2], 1.5 * concentrations(number=2), rtol=1e-6)


@pytest.mark.parametrize(
    ("month", "collection"),
    [("2017-12", HOURLY_MEANS), ("2026-02", HOURLY_MEANS), ("2025-07", HOURLY_MEANS_V2)],
)
def test_months_outside_the_record_are_refused_at_once(tmp_path, month, collection):
    with Portal(tmp_path) as portal, pytest.raises(DeepcamsError, match=f"no files of {collection} for {month}"):
        fetch_month(Month.parse(month), collection, PM25, None, tmp_path, services(portal.root), 1.0)
    assert portal.requests == []


def test_a_month_in_which_the_record_begins_is_asked_for_from_there_on(tmp_path):
    month = Month(2025, 8)
    with Portal(tmp_path / "none") as portal, pytest.raises(NotThere, match="none of the first 48 hours"):
        fetch_month(month, HOURLY_MEANS_V2, PM25, None, tmp_path / "p", services(portal.root), 1.0)
    assert min(portal.hours()) == "20250804_0930"
    assert len(set(portal.hours())) < 72  # not all 662


def test_missing_hours_are_gaps_that_are_listed_and_asked_for_again(whole, tmp_path, caplog):
    stamps = begun(whole, tmp_path / "parts", (5, 9, 10))
    shutil.copytree(whole, tmp_path / "portal", copy_function=os.link)
    for number in (5, 9):
        (tmp_path / "portal" / portal_path(hour(number), HOURLY_MEANS)).unlink()
    with Portal(tmp_path / "portal") as portal:
        for allowed, asked in ((1 / HOURS, stamps), (2 / HOURS, stamps[:2])):
            arguments = MONTH, HOURLY_MEANS, PM25, None, tmp_path / "parts", services(portal.root), allowed
            portal.requests.clear()
            if allowed < 2 / HOURS:
                with pytest.raises(NotThere, match=r"lacks 2 of 672 hours.*02-01 05:30, 2018-02-01 09:30.*max_missing"):
                    fetch_month(*arguments)
            else:
                root = fetch_month(*arguments)
            assert sorted(set(portal.hours())) == asked
            trees = [request.path.split("/")[5] for request in portal.asked("0530z")]
            assert trees == ["ana", "das"]
    record = json.loads((root / "missing.json").read_text())
    assert record["hours"] == ["2018-02-01T05:30:00", "2018-02-01T09:30:00"] and record["asked"].endswith("+00:00")
    with caplog.at_level(logging.WARNING):
        retrieve_month(
            "local", MONTH, tmp_path / "m.nc", path=root, collection=HOURLY_MEANS, grid=None, max_missing=2 / HOURS
        )
    assert "2 of 672 hours are missing" in caplog.text
    with read_field(tmp_path / "m.nc") as field:
        assert list(np.flatnonzero(np.isnan(field.values).any(axis=(1, 2)))) == [5, 9]


def test_the_other_tree_serves_what_the_first_lacks(whole, tmp_path, caplog):
    begun(whole, tmp_path / "parts", (4, 6))
    shutil.copytree(whole, tmp_path / "portal", copy_function=os.link)
    first = tmp_path / "portal" / portal_path(hour(4), HOURLY_MEANS)
    second = tmp_path / "portal" / portal_path(hour(4), HOURLY_MEANS, "das")
    second.parent.mkdir(parents=True)
    first.rename(second)
    with Portal(tmp_path / "portal") as portal, caplog.at_level(logging.INFO):
        root = fetch_month(MONTH, HOURLY_MEANS, PM25, None, tmp_path / "parts", services(portal.root), 0.0)
    assert "ana: 1, das: 1" in caplog.text
    assert (root / portal_path(hour(4), HOURLY_MEANS, "das")).is_file()
    frames = dict(read_month(survey_month(root, MONTH, HOURLY_MEANS, 0.0)))
    np.testing.assert_array_equal(frames[hour(4)], concentrations(number=4))


TOKEN = "planted-earthdata-token-0123456789"


def test_the_token_goes_to_the_portal_alone_and_nowhere_else(whole, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    stamps = begun(whole, tmp_path / "parts", (0, 1, 2))
    with (
        Portal(whole) as portal,
        Server(lambda request: Answer(200, (whole / request.path.removeprefix(PREFIX + "/")).read_bytes())) as other,
        caplog.at_level(logging.DEBUG),
    ):
        elsewhere = other.url.replace("127.0.0.1", "localhost") + PREFIX
        away = f"{elsewhere}/{portal_path(hour(1), HOURLY_MEANS)}"
        portal.fail(stamps[1], Answer(302, headers={"Location": away}))
        portal.fail(stamps[2], Answer(503, f"no {TOKEN}".encode(), {"Content-Type": "text/plain"}))
        with pytest.raises(ServiceError) as caught:
            fetch_month(MONTH, HOURLY_MEANS, PM25, None, tmp_path / "parts", services(portal.root), 0.0)
        assert {request.headers["Authorization"] for request in portal.requests} == {f"Bearer {TOKEN}"}
        assert len(other.requests) == 1 and "Authorization" not in other.requests[0].headers
    assert "503" in str(caught.value) and TOKEN not in str(caught.value) + caplog.text
    files = [path for path in (tmp_path / "parts").rglob("*") if path.is_file()]
    assert files and not any(TOKEN.encode() in path.read_bytes() for path in files)


def test_without_a_token_none_is_sent(whole, tmp_path, monkeypatch):
    monkeypatch.delenv("EARTHDATA_TOKEN", raising=False)
    begun(whole, tmp_path / "parts", (0,))
    with Portal(whole) as portal:
        fetch_month(MONTH, HOURLY_MEANS, PM25, None, tmp_path / "parts", services(portal.root), 0.0)
        assert "Authorization" not in portal.requests[0].headers


def test_the_nature_runs_label_stays(whole, tmp_path):
    put_hour(tmp_path / "portal", 0, attributes={"synthetic": "made up"})
    begun(whole, tmp_path / "parts", (0,))
    with Portal(tmp_path / "portal") as portal:
        root = fetch_month(MONTH, HOURLY_MEANS, PM25, None, tmp_path / "parts", services(portal.root), 0.0)
    assert read_hour(root / portal_path(hour(0), HOURLY_MEANS), ("PM25_RH35_GCC",), PM25)[2] == "made up"
    with pytest.raises(DeepcamsError, match="must not be mixed"):
        list(read_month(survey_month(root, MONTH, HOURLY_MEANS, 0.0)))


@pytest.mark.real
def test_a_real_hour_survives_reducing_bit_by_bit(real_samples, tmp_path):
    with netCDF4.Dataset(real_samples / "geoscf_pm25_west_4h.nc") as dataset:
        raw = np.asarray(dataset["PM25_RH35_GCC"][1, 0])[::-1]
        axes = [np.asarray(dataset[name][:]) for name in ("lat", "lon")]
    grid = type(BOX)(axes[0][::-1], axes[1], 0.25)
    path = tmp_path / portal_path(hour(0), HOURLY_MEANS)
    write_hour(path, hour(0), Hour({"PM25_RH35_GCC": (raw, "ug m-3")}, grid))
    frame, there, _ = read_hour(path, ("PM25_RH35_GCC",), PM25)
    assert frame.tobytes() == np.ascontiguousarray(raw).tobytes() and there.shape == (721, 720)
