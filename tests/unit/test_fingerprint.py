"""What tells the workflow that the user's own files are others: enough, cheaply, and nothing else."""

import os
import time

import pytest

from deepcams.sources import fingerprint as module
from deepcams.sources.fingerprint import fingerprint

MONTH = "2018-01"


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Each look is that of a new planning, in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def look(source, path, month=MONTH):
    module._stations.cache_clear()
    module._fetches.cache_clear()
    return fingerprint(source, str(path), month)


def put(path, content="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def touch(path):
    os.utime(path, (time.time() + 100, time.time() + 100))


def test_cams_is_told_by_content_of_the_month_and_the_next(tmp_path):
    pattern = tmp_path / "{year}-{month}.nc"
    assert look("cams", pattern) is None
    own, following, other = (put(tmp_path / f"2018-0{number}.nc", str(number)) for number in (1, 2, 3))
    first = look("cams", pattern)
    touch(own)
    touch(following)
    assert look("cams", pattern) == first
    put(other, "changed")
    assert look("cams", pattern) == first
    put(own, "7")  # as long as before
    second = look("cams", pattern)
    assert second != first
    put(following, "8")
    assert look("cams", pattern) not in (first, second)


def hour(root, stamp, collection="aqc_tavg_1hr_g1440x721_v1", tree="geos-cf/v1/ana"):
    date = stamp[:8]
    name = f"GEOS-CF.v01.rpl.{collection}.{stamp}z.nc4"
    return root / tree / f"Y{date[:4]}" / f"M{date[4:6]}" / f"D{date[6:]}" / name


@pytest.mark.parametrize("tree", ["geos-cf/v1/ana", "datashare/gmao/geos-cf/v1/das", "v1/ana", "ana", ""])
def test_geoscf_is_told_by_names_and_sizes_of_the_month_and_the_next_first_hour(tmp_path, tree):
    assert look("geoscf", tmp_path) is None
    own = put(hour(tmp_path, "20180131_2330", tree=tree))
    first = look("geoscf", tmp_path)
    assert first is not None
    touch(own)
    for other in ("20171231_2330", "20180201_0130", "20180215_0030", "20190101_0030"):
        put(hour(tmp_path, other, tree=tree))
    assert look("geoscf", tmp_path) == first
    put(own, "longer")
    second = look("geoscf", tmp_path)
    put(hour(tmp_path, "20180201_0030", tree=tree))
    third = look("geoscf", tmp_path)
    put(hour(tmp_path, "20180102_0030", tree=tree))
    assert len({first, second, third, look("geoscf", tmp_path)}) == 4


def test_geoscf_of_version_2_and_the_months_own_file_count(tmp_path):
    folder = tmp_path / "geos-cf/v2/ana/Y2018/M01/D31"
    put(folder / "GEOS.cf.ana.aqc_tavg_1hr_glo_L1440x721_slv.20180131_2330z.R0.nc4")
    first = look("geoscf", tmp_path)
    assert first is not None
    put(tmp_path / "2018-02.nc")
    assert look("geoscf", tmp_path) == first
    whole = put(tmp_path / "2018-01.nc")
    second = look("geoscf", tmp_path)
    put(whole, "longer")
    assert len({first, second, look("geoscf", tmp_path)}) == 3


def day(root, station, date):
    folder = root / f"locationid={station}" / f"year={date[:4]}" / f"month={date[4:6]}"
    return folder / f"location-{station}-{date}.csv.gz"


@pytest.mark.parametrize("below", ["records/csv.gz", "csv.gz", ""])
def test_openaq_is_told_by_names_and_sizes_of_the_month_and_the_days_around(tmp_path, below):
    records = tmp_path / below
    assert look("openaq", tmp_path) is None
    places = put(tmp_path / "locations.json", '{"results": []}')
    assert look("openaq", tmp_path) is None
    own = put(day(records, 1, "20180115"))
    looks = [look("openaq", tmp_path)]
    assert looks[0] is not None
    touch(own)
    touch(places)
    for date in ("20171230", "20180202", "20180301", "20170115"):
        put(day(records, 1, date))
    assert look("openaq", tmp_path) == looks[0]
    put(own, "longer")
    looks.append(look("openaq", tmp_path))
    for station, date in ((1, "20171231"), (1, "20180201"), (2, "20180103")):
        put(day(records, station, date))
        looks.append(look("openaq", tmp_path))
    put(places, '{"results": [1]}')
    looks.append(look("openaq", tmp_path))
    assert len(set(looks)) == len(looks)


def test_openaq_fetches_count_for_the_months_they_may_hold(tmp_path):
    own = put(tmp_path / "realtime" / "2018-01-15" / "1.ndjson.gz")
    first = look("openaq", tmp_path)
    assert first is not None
    touch(own)
    put(tmp_path / "realtime" / "2018-03-15" / "1.ndjson")
    assert look("openaq", tmp_path) == first
    put(tmp_path / "realtime" / "2018-02-03" / "1.ndjson")  # fetches come up to days afterwards
    second = look("openaq", tmp_path)
    put(tmp_path / "all.ndjson")
    assert len({first, second, look("openaq", tmp_path)}) == 3


def test_planning_three_years_of_stations_takes_moments(tmp_path):
    """40 stations and 36 months; the time grows with their product, and 300 stations may take 3 s."""
    stations, days = 40, (1, 8, 15, 22)
    months = [f"{year}-{month:02d}" for year in (2018, 2019, 2020) for month in range(1, 13)]
    for station in range(stations):
        for month in months:
            for number in days:
                put(day(tmp_path / "records/csv.gz", station, f"{month.replace('-', '')}{number:02d}"))
    module._stations.cache_clear()
    start = time.process_time()
    found = {fingerprint("openaq", str(tmp_path), month) for month in months}
    assert time.process_time() - start < 3 * stations / 300
    assert len(found) == len(months)


def test_weather_is_told_by_the_years_files_and_the_list_of_stations(tmp_path):
    assert fingerprint("weather_stations", str(tmp_path), "2018-02") is None
    folder = tmp_path / "isd-lite/2018"
    folder.mkdir(parents=True)
    (folder / "724940-23234-2018.gz").write_bytes(b"one")
    first = fingerprint("weather_stations", str(tmp_path), "2018-02")
    assert first == fingerprint("weather_stations", str(tmp_path), "2018-03")
    assert fingerprint("weather_stations", str(tmp_path), "2019-02") is None
    (tmp_path / "isd-history.csv").write_text("stations")
    second = fingerprint("weather_stations", str(tmp_path), "2018-02")
    (folder / "724940-23234-2018.gz").write_bytes(b"other")
    assert len({first, second, fingerprint("weather_stations", str(tmp_path), "2018-02")}) == 3
