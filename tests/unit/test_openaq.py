"""Reading OpenAQ's archive and its older real-time fetches into one table."""

import gzip
import json
import logging
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region
from deepcams.pollutants import POLLUTANTS
from deepcams.sources.openaq import is_synthetic, link_month, read_realtime, read_table, retrieve_month, write_table

MONTH = Month(2018, 2)
NEW = ["location_id", "sensors_id", "location", "datetime", "lat", "lon", "parameter", "units", "value"]
OLD = ["location_id", "sensor_id", "location", "datetime", "lat", "lon", "parameter", "unit", "value"]


def metadata(number, name="Punjabi Bagh", **changes):
    return {
        "id": number,
        "name": name,
        "timezone": "Asia/Kolkata",
        "country": {"id": 9, "code": "IN", "name": "India"},
        "provider": {"id": 168, "name": "CPCB"},
        "isMobile": False,
        "isMonitor": True,
        "sensors": [{"id": 10 * number, "name": "pm25 µg/m³", "parameter": {"id": 2, "name": "pm25"}}],
        "coordinates": {"latitude": 28.67, "longitude": 77.13},
        **changes,
    }


def rows_of(number, day, offset, values, *, step=1.0, parameter="pm25", sensor=None, lat="28.67", lon="77.13"):
    """The records of a local day: stamps (day 00:00, next day 00:00]."""
    zone = timezone(timedelta(hours=offset))
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    stamps = [(start + timedelta(hours=step * (k + 1))).isoformat() for k in range(len(values))]
    sensor = 10 * number if sensor is None else sensor
    return [
        [number, sensor, f"Punjabi Bagh-{number}", stamp, lat, lon, parameter, "µg/m³", value]
        for stamp, value in zip(stamps, values, strict=True)
    ]


def write_day(root, number, day, rows, header=NEW):
    path = root / "records" / "csv.gz" / f"locationid={number}" / f"year={day[:4]}" / f"month={day[5:7]}"
    path.mkdir(parents=True, exist_ok=True)
    path /= f"location-{number}-{day.replace('-', '')}.csv.gz"
    lines = [",".join(f'"{cell}"' if isinstance(cell, str) else str(cell) for cell in row) for row in [header, *rows]]
    path.write_bytes(gzip.compress(("\r\n".join(lines) + "\r\n").encode()))
    return path


def write_locations(root, *locations, wrapped=True):
    content = {"meta": {"found": len(locations)}, "results": list(locations)} if wrapped else list(locations)
    (root / "locations.json").write_text(json.dumps(content))


def one_day(root, number=5, day="2018-02-10", offset=0.0, values=range(24), header=NEW, **options):
    write_locations(root, metadata(number))
    return write_day(root, number, day, rows_of(number, day, offset, list(values), **options), header)


@pytest.mark.parametrize("header", [NEW, OLD])
@pytest.mark.parametrize("wrapped", [True, False])
def test_columns_and_types(tmp_path, header, wrapped):
    one_day(tmp_path, header=header)
    write_locations(tmp_path, metadata(5), wrapped=wrapped)
    table = retrieve_month("local", MONTH, path=tmp_path)
    assert list(table.columns) == [
        "station", "name", "country", "latitude", "longitude", "time", "averaging_hours", "parameter", "value", "units",
        "provider", "reference_grade",
    ]  # fmt: skip
    first = table.iloc[0]
    assert (first.station, first["name"], first.country, first.provider) == ("5", "Punjabi Bagh", "IN", "CPCB")
    assert (first.latitude, first.longitude, first.value, first.units) == (28.67, 77.13, 0.0, "µg/m³")
    assert first.averaging_hours == 1.0 and table.reference_grade.all() and set(table.parameter) == {"pm25"}
    assert table.time.dtype == "datetime64[s]" and first.time == pd.Timestamp("2018-02-10T01:00")
    np.testing.assert_array_equal(table.value, np.arange(24.0))


@pytest.mark.parametrize("offset", [0.0, 5.5, -7.0, 14.0, -12.0, 5.75])
def test_utc_month_from_files_of_local_days(tmp_path, offset):
    """Local days around the month are read; what is cut is [February 1 00:00, March 1 00:00) UTC, each hour once."""
    write_locations(tmp_path, metadata(5))
    utc = datetime(2018, 1, 30, tzinfo=UTC)
    for number in range(33):
        day = (utc + timedelta(days=number)).date().isoformat()
        write_day(tmp_path, 5, day, rows_of(5, day, offset, [1000.0 * number + k for k in range(24)]))
    table = retrieve_month("local", MONTH, path=tmp_path)
    fraction = timedelta(hours=offset % 1)
    start = pd.Timestamp("2018-02-01") + (timedelta(hours=1) - fraction if fraction else timedelta(0))
    expected = pd.date_range(start, pd.Timestamp("2018-03-01"), freq="h", unit="s", inclusive="left")
    np.testing.assert_array_equal(table.time.to_numpy(), expected.to_numpy())
    value = table.set_index("time").value[start]
    local = start.to_pydatetime() + timedelta(hours=offset)  # the end of its hour there
    began = local - timedelta(hours=1)
    assert value == 1000.0 * (began.date() - utc.date()).days + began.hour


def test_raw_values_and_duplicates_stay(tmp_path):
    rows = rows_of(5, "2018-02-10", 0, [-999.0, -1.0, 0.0, 985.0, ""])
    write_locations(tmp_path, metadata(5))
    write_day(tmp_path, 5, "2018-02-10", rows + rows[:2] + rows_of(5, "2018-02-10", 0, [9.0] * 5, parameter="pm10"))
    table = retrieve_month("local", MONTH, path=tmp_path)
    np.testing.assert_array_equal(table.value, [-999, -999, -1, -1, 0, 985, np.nan])


@pytest.mark.parametrize(("step", "count"), [(0.25, 96), (1.0, 24), (24.0, 1)])
def test_averaging_period_is_the_usual_distance_of_stamps(tmp_path, step, count):
    write_locations(tmp_path, metadata(5))
    for day in ("2018-02-09", "2018-02-10", "2018-02-11"):
        write_day(tmp_path, 5, day, rows_of(5, day, 0, [5.0] * count, step=step))
    assert (retrieve_month("local", MONTH, path=tmp_path).averaging_hours == step).all()


@pytest.mark.parametrize(
    ("coverage", "hours"),
    [
        ({"observedInterval": "66563:00:00", "observedCount": 66563}, 1.0),
        ({"observedInterval": "2400:00:00", "observedCount": 100}, 24.0),
        ({"observedInterval": "00:45:00", "observedCount": 3}, 0.25),
        ({"observedInterval": "00:00:00", "observedCount": 0}, 3.0),
        ({"observedInterval": None, "observedCount": None}, 3.0),
        ({}, 3.0),
        (None, 3.0),
    ],
)
def test_averaging_period_from_the_metadata_goes_first(tmp_path, coverage, hours):
    """What the sensor has observed; the expected interval is an hour whatever it averages over, and tells nothing."""
    one_day(tmp_path, values=[1.0, 2.0], step=3.0)
    coverage = coverage and {"expectedCount": 1, "expectedInterval": "01:00:00", **coverage}
    sensors = [{"id": 50, "parameter": {"name": "pm25"}, "coverage": coverage}]
    write_locations(tmp_path, metadata(5, sensors=sensors))
    assert (retrieve_month("local", MONTH, path=tmp_path).averaging_hours == hours).all()


def test_order_does_not_depend_on_the_disk(tmp_path):
    write_locations(tmp_path, metadata(70), metadata(8), metadata(9))
    for number in (9, 70, 8):
        for day in ("2018-02-11", "2018-02-10"):
            write_day(tmp_path, number, day, rows_of(number, day, 0, [1.0, 2.0]))
    table = retrieve_month("local", MONTH, path=tmp_path)
    assert table.station.tolist() == ["70"] * 4 + ["8"] * 4 + ["9"] * 4
    assert all(part.time.is_monotonic_increasing for _, part in table.groupby("station"))


def test_missing_days_are_counted(tmp_path, caplog):
    one_day(tmp_path)
    with caplog.at_level(logging.INFO):
        table = retrieve_month("local", MONTH, path=tmp_path)
    assert table.attrs["missing_day_files"] == 29 and "29 day files" in caplog.text


def test_station_without_metadata(tmp_path, caplog):
    one_day(tmp_path, lat="", lon="")
    (tmp_path / "locations.json").unlink()
    with caplog.at_level(logging.WARNING):
        table = retrieve_month("local", MONTH, path=tmp_path)
    assert "locations.json is not there" in caplog.text
    assert table.name[0] == "Punjabi Bagh-5" and table.country[0] == "" and table.reference_grade.isna().all()
    assert table.latitude.isna().all()


def test_coordinates_missing_in_the_file_come_from_the_metadata(tmp_path):
    one_day(tmp_path, lat="", lon="")
    table = retrieve_month("local", MONTH, path=tmp_path)
    assert (table.latitude == 28.67).all() and (table.longitude == 77.13).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("2018-02-10T03:00:00+00:00", "yesterday"), "line 4: 'yesterday' is no time"),
        (lambda text: text.replace("T03:00:00+00:00", "T03:00:00"), "line 4: the time .* has no offset"),
        (lambda text: text.replace(",2\r\n", ",two\r\n"), "line 4: value 'two' is no number"),
        (lambda text: text.replace(",2\r\n", "\r\n"), "line 4: 8 columns where the header has 9"),
        (lambda text: text.replace('"value"', '"wert"'), "line 1: there is no column 'value'"),
        (lambda text: text.replace('"parameter"', '"p"'), "line 1: there is no column 'parameter'"),
        (lambda text: "", "line 1: there is no column 'datetime'"),
        (lambda text: text.replace("µ", "\udcff"), "truncated or damaged"),
        (lambda text: text.replace(",2\r\n", ',2,"' + 140_000 * "x\n"), "line 4: field larger than field limit"),
    ],
)
def test_broken_lines_are_named(tmp_path, change, words):
    path = one_day(tmp_path)
    text = change(gzip.decompress(path.read_bytes()).decode())
    path.write_bytes(gzip.compress(text.encode(errors="surrogateescape")))
    with pytest.raises(DeepcamsError, match=words) as caught:
        retrieve_month("local", MONTH, path=tmp_path)
    assert str(path) in str(caught.value)


def test_lines_are_counted_and_names_may_have_several(tmp_path):
    path = one_day(tmp_path)
    text = gzip.decompress(path.read_bytes()).decode().replace("Punjabi Bagh-5", 'Punjabi\r\n\n"" Bagh, old')
    path.write_bytes(gzip.compress(text.encode()))
    (tmp_path / "locations.json").unlink()
    table = retrieve_month("local", MONTH, path=tmp_path)
    assert len(table) == 24 and set(table["name"]) == {'Punjabi\r\n\n" Bagh, old'}
    write_table(table, tmp_path / "t.csv.gz")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv.gz"), table, check_exact=True)
    path.write_bytes(gzip.compress(text.replace(",2\r\n", ",two\r\n").encode()))
    with pytest.raises(DeepcamsError, match="line 8: value 'two' is no number"):  # it begins there
        retrieve_month("local", MONTH, path=tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9, 1.0])
def test_truncated_files(tmp_path, share):
    path = one_day(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(int(len(whole) * share), len(whole) - 1)])
    with pytest.raises(DeepcamsError, match=path.name):
        retrieve_month("local", MONTH, path=tmp_path)


@pytest.mark.parametrize("content", ["{", '{"results": 3}', '[{"name": "no id"}]', "<html></html>"])
def test_broken_metadata(tmp_path, content):
    one_day(tmp_path)
    (tmp_path / "locations.json").write_text(content)
    with pytest.raises(DeepcamsError, match=r"locations\.json is not a list"):
        retrieve_month("local", MONTH, path=tmp_path)


def test_months_and_folders_without_anything(tmp_path):
    with pytest.raises(DeepcamsError, match="holds neither"):
        retrieve_month("local", MONTH, path=tmp_path)
    with pytest.raises(DeepcamsError, match="is not a folder"):
        retrieve_month("local", MONTH, path=tmp_path / "nowhere")
    one_day(tmp_path)
    with pytest.raises(DeepcamsError, match=r"not one PM2\.5 measurement of 2019-05"):
        retrieve_month("local", Month(2019, 5), path=tmp_path)
    with pytest.raises(DeepcamsError, match="not a kind of local files"):
        retrieve_month("archive", MONTH, path=tmp_path)


def test_synthetic_stations(tmp_path):
    one_day(tmp_path)
    assert not is_synthetic(retrieve_month("local", MONTH, path=tmp_path))
    write_locations(tmp_path, metadata(5, name="SYNTHETIC 0005"))
    assert is_synthetic(retrieve_month("nature_run", MONTH, path=tmp_path))
    write_day(tmp_path, 6, "2018-02-10", rows_of(6, "2018-02-10", 0, [1.0]))
    with pytest.raises(DeepcamsError, match="must not be mixed: SYNTHETIC 0005 with Punjabi Bagh-6"):
        retrieve_month("local", MONTH, path=tmp_path)


def test_region_across_the_date_line(tmp_path):
    """Stations by their metadata where these have a place, then every row by its own."""
    places = {1: (-17.0, 178.5), 2: (-17.0, -179.0), 3: (-17.0, 170.0), 4: (10.0, 179.0), 5: (None, None)}
    write_locations(
        tmp_path,
        *(metadata(n, coordinates={"latitude": lat, "longitude": lon}) for n, (lat, lon) in places.items() if n < 5),
    )
    for number, (lat, lon) in places.items():
        lat, lon = ("", "") if lat is None else (str(lat), str(lon))
        rows = rows_of(number, "2018-02-10", 0, [1.0, 2.0], lat=lat, lon=lon)
        rows += rows_of(number, "2018-02-10", 0, [3.0], lat="0", lon="0")
        write_day(tmp_path, number, "2018-02-10", rows)
    region = Region(-9.0, 177.0, -21.0, 183.0)
    table = retrieve_month("local", MONTH, path=tmp_path, region=region)
    assert table.station.tolist() == ["1", "1", "2", "2"] and set(table.value) == {1.0, 2.0}
    assert len(retrieve_month("local", MONTH, path=tmp_path)) == 15
    assert retrieve_month("local", MONTH, path=tmp_path, region=Region(60.0, 0.0, 45.0, 15.0)).empty


def awkward_table(tmp_path):
    """Namibia's code is NA, values have 17 digits, a grade is unknown, names have commas, quotes and letters."""
    write_locations(
        tmp_path,
        metadata(5, name='Walvis Bay, "port"', country={"code": "NA"}, isMonitor=None, provider=None),
        metadata(6, name="Δελφοί", isMonitor=False),
        metadata(7, name="null", coordinates=None),
    )
    values = [0.1 + 0.2, 1 / 3, 1e-12, -999.0, "", 5e300, 123456.789012345]
    for number in (5, 6, 7):
        rows = rows_of(number, "2018-02-10", 5.5, values, lat="28.123456789012345" if number < 7 else "")
        write_day(tmp_path, number, "2018-02-10", rows)
    return retrieve_month("local", MONTH, path=tmp_path)


def test_table_survives_writing_and_reading(tmp_path):
    table = awkward_table(tmp_path)
    write_table(table, tmp_path / "out" / "2018-02.csv.gz")
    again = read_table(tmp_path / "out" / "2018-02.csv.gz")
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    assert again.country[0] == "NA" and again.name.iloc[-1] == "null" and again.reference_grade.isna().sum() == 7
    write_table(again, tmp_path / "twice.csv.gz")
    content = (tmp_path / "twice.csv.gz").read_bytes()
    assert content == (tmp_path / "out" / "2018-02.csv.gz").read_bytes()
    assert content[4:8] == bytes(4)  # no time of writing
    text = gzip.decompress(content).decode()
    assert text.startswith("station,name,country,") and ",2018-02-09T19:30:00Z," in text


def test_a_table_written_in_parts_has_the_same_text(tmp_path, monkeypatch):
    table = awkward_table(tmp_path)
    write_table(table, tmp_path / "whole.csv.gz")
    monkeypatch.setattr("deepcams.sources.stations._PART", 4)
    write_table(table, tmp_path / "parts.csv.gz")
    whole, parts = (gzip.decompress((tmp_path / f"{name}.csv.gz").read_bytes()) for name in ("whole", "parts"))
    assert len(table) > 12 and parts == whole
    write_table(table[:0], tmp_path / "none.csv.gz")
    assert gzip.decompress((tmp_path / "none.csv.gz").read_bytes()).decode() == ",".join(table.columns) + "\n"


def test_other_pollutants_are_read_by_their_names(tmp_path):
    """Each in the units it came in; "co" is in other names, too."""
    (tmp_path / "archive").mkdir()
    for day, parameter in (("2018-02-10", "co"), ("2018-02-11", "o3"), ("2018-02-12", "co_x")):
        one_day(tmp_path / "archive", day=day, parameter=parameter)
    table = retrieve_month("local", MONTH, path=tmp_path / "archive", pollutant=POLLUTANTS["co"])
    assert len(table) == 24 and set(table.parameter) == {"co"}
    with pytest.raises(DeepcamsError, match=r"not one SO₂ measurement of 2018-02"):
        retrieve_month("local", MONTH, path=tmp_path / "archive", pollutant=POLLUTANTS["so2"])
    gas = RECORD | {"parameter": "no2", "unit": "ppm", "value": 0.02}
    write_fetch(tmp_path / "fetches" / "1.ndjson.gz", RECORD, gas)
    table = retrieve_month("local", MONTH, path=tmp_path / "fetches", pollutant=POLLUTANTS["no2"])
    assert table.units.tolist() == ["ppm"] and table.value.tolist() == [0.02] and table.parameter[0] == "no2"
    elsewhere = Region(60.0, 0.0, 45.0, 15.0)
    assert retrieve_month("local", MONTH, path=tmp_path / "archive", region=elsewhere, pollutant=POLLUTANTS["co"]).empty


def test_stations_are_ordered_by_name_whatever_came_first(tmp_path):
    write_fetch(tmp_path / "1.ndjson", *(RECORD | {"country": country} for country in ("PL", "IN", "NA", "IN")))
    assert retrieve_month("local", MONTH, path=tmp_path).country.tolist() == ["IN", "IN", "NA", "PL"]


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_truncated_table(tmp_path, share):
    path = tmp_path / "t.csv.gz"
    write_table(awkward_table(tmp_path), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(int(len(whole) * share), len(whole) - 1)])
    with pytest.raises(DeepcamsError, match="no whole table"):
        read_table(path)


@pytest.mark.parametrize(
    "content", [b"station,time\n1,2\n", gzip.compress(b"a,b\n1,2\n", mtime=0), gzip.compress(b"", mtime=0)]
)
def test_other_tables_are_refused(tmp_path, content):
    (tmp_path / "t.csv.gz").write_bytes(content)
    with pytest.raises(DeepcamsError, match="no whole table"):
        read_table(tmp_path / "t.csv.gz")


def test_tables_of_another_pollutant_and_of_older_versions_are_refused(tmp_path):
    """Their names are the same, and so were their columns."""
    one_day(tmp_path)
    own, out, ozone = tmp_path / "own" / "2018-02.csv.gz", tmp_path / "out.csv.gz", POLLUTANTS["o3"]
    table = retrieve_month("local", MONTH, path=tmp_path)
    write_table(table, own)
    with pytest.raises(DeepcamsError, match="holds pm25 and not o3"):
        retrieve_month("local", MONTH, path=own.parent, pollutant=ozone)
    with pytest.raises(DeepcamsError, match="holds pm25 and not o3"):
        link_month(MONTH, own.parent, out, pollutant=ozone)
    assert not out.exists() and link_month(MONTH, own.parent, out)
    write_table(table.assign(parameter="o3"), own)
    assert link_month(MONTH, own.parent, tmp_path / "o3.csv.gz", pollutant=ozone)
    lines = gzip.decompress(own.read_bytes()).decode().replace("parameter,", "").replace(",o3,", ",")
    own.write_bytes(gzip.compress(lines.encode()))
    with pytest.raises(DeepcamsError, match="does not tell its pollutant, so an older version wrote it"):
        read_table(own)


RECORD = {
    "date": {"utc": "2018-02-06T09:00:00.000Z", "local": "2018-02-06T14:30:00+05:30"},
    "parameter": "pm25",
    "location": "Punjabi Bagh",
    "value": 312,
    "unit": "µg/m³",
    "city": "Delhi",
    "averagingPeriod": {"value": 15, "unit": "minutes"},
    "coordinates": {"latitude": 28.67, "longitude": 77.13},
    "country": "IN",
    "sourceName": "CPCB",
    "sourceType": "government",
    "mobile": False,
}


def write_fetch(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_realtime_records(tmp_path):
    bare = {name: RECORD[name] for name in ("date", "parameter", "location", "unit")} | {"value": -999, "country": "NA"}
    late = RECORD | {"date": {"utc": "2018-02-28T23:00:00Z"}}
    after = RECORD | {"date": {"utc": "2018-03-01T00:00:00Z"}}
    write_fetch(tmp_path / "2018-02-06" / "1.ndjson.gz", RECORD, RECORD | {"parameter": "pm10"}, bare)
    write_fetch(tmp_path / "2018-02-07" / "2.ndjson", RECORD, late, after)
    write_fetch(tmp_path / "2019-02-07" / "3.ndjson", RECORD)  # too late to be looked at
    table = retrieve_month("local", MONTH, path=tmp_path)
    assert table.station.tolist() == ["IN/Delhi/Punjabi Bagh"] * 3 + ["NA//Punjabi Bagh"]
    assert table.averaging_hours.tolist()[:3] == [0.25] * 3 and np.isnan(table.averaging_hours[3])
    assert table.value.tolist() == [312, 312, 312, -999]
    assert table.time.iloc[0] == pd.Timestamp("2018-02-06T09:00") and table.time.iloc[2] == pd.Timestamp(
        "2018-02-28T23:00"
    )
    assert table.reference_grade.iloc[0] and table.reference_grade.isna().iloc[3] and np.isnan(table.latitude[3])
    assert len(read_realtime(tmp_path)) == 6
    write_table(table, tmp_path / "t.csv.gz")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv.gz"), table, check_exact=True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"parameter": "pm25", "val', r"line 2: not a record of OpenAQ \(JSONDecodeError"),
        ('{"parameter": "o3", "val', r"line 2: not a record of OpenAQ \(JSONDecodeError"),
        ('{"parameter": "pm25", nonsense}', "line 2: not a record"),
        ('{"parameter": "pm25"}', r"line 2: not a record of OpenAQ \(KeyError: 'location'\)"),
        (json.dumps(RECORD | {"date": {"utc": "never"}}), r"line 2: not a record .*'never' is no time"),
        (json.dumps(RECORD | {"value": "much"}), "line 2: not a record"),
        (json.dumps(RECORD | {"value": 10**400}), "line 2: not a record"),
    ],
)
def test_broken_realtime_lines_are_named(tmp_path, line, words):
    path = write_fetch(tmp_path / "1.ndjson", RECORD)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DeepcamsError, match=words) as caught:
        read_realtime(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.real
def test_real_day(real_samples):
    folder = real_samples / "openaq_realtime_20180206"
    counted = 0
    for file in sorted(folder.glob("*.ndjson.gz")):
        with gzip.open(file, "rt") as stream:
            counted += sum(json.loads(line)["parameter"] == "pm25" for line in stream if '"pm25"' in line)
    table = read_realtime(folder)
    assert len(table) == counted == 16348
    assert table.station.nunique() == 1764 and table.country.nunique() == 43
    assert table.latitude.isna().sum() == 1108 and (table.value == -999).any()
    assert set(table.averaging_hours.dropna()) == {0.25, 1.0, 24.0} and set(table.units) == {"µg/m³"}
    month = retrieve_month("local", MONTH, path=folder)
    assert len(table) - len(month) == 2 and not is_synthetic(month)  # stamps in June: a wrong clock
