"""Measurements from any files: what each kind becomes, and what is said of those that cannot be read."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.pollutants import PM25, POLLUTANTS
from deepcams.sources.openaq import read_realtime
from deepcams.sources.station_files import read_stations
from deepcams.sources.stations import COLUMNS, read_table, write_table
from tests.unit.test_openaq import RECORD, metadata, rows_of, write_day, write_locations

PLAIN = "station,lat,lon,time,value\nA,48.9,2.4,2018-02-06T01:00:00Z,12.5\nA,48.9,2.4,2018-02-06T02:00:00Z,13\n"


@pytest.fixture
def written(tmp_path):
    """Writes text or bytes as a file, compressed if its name says so, and reads it as stations."""

    def write(content, name="stations.csv", **options):
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
        return read_stations([path], **options)

    return write


def times(table):
    return table["time"].dt.strftime("%d %H:%M").tolist()


# Plain tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stations.csv", "stations.csv.gz", "stations.txt"])
def test_a_plain_table_has_all_columns_of_the_tidy_one(written, name):
    table = written(PLAIN, name)
    assert list(table.columns) == COLUMNS and times(table) == ["06 01:00", "06 02:00"]
    row = table.iloc[0].to_dict()
    assert pd.isna(row.pop("reference_grade"))
    assert row == {
        "station": "A", "name": "A", "country": "", "latitude": 48.9, "longitude": 2.4,
        "time": pd.Timestamp("2018-02-06T01:00:00"), "averaging_hours": 1.0, "parameter": "pm25", "value": 12.5,
        "units": "µg/m³", "provider": "",
    }  # fmt: skip


def test_the_types_are_those_of_the_workflows_own_tables(written, tmp_path):
    table = written(PLAIN)
    write_table(table, tmp_path / "own.csv.gz")
    pd.testing.assert_frame_equal(read_stations([tmp_path / "own.csv.gz"]), table)
    pd.testing.assert_series_equal(read_table(tmp_path / "own.csv.gz").dtypes, table.dtypes)
    unpacked = gzip.decompress((tmp_path / "own.csv.gz").read_bytes())
    pd.testing.assert_frame_equal(written(unpacked, "own.csv"), table)


@pytest.mark.parametrize(
    "header",
    [
        "Station ID,Latitude,Longitude,datetime_utc,PM2.5",
        "code,LAT,LON,Date,pm2_5",
        "site_id;lat;long;timestamp;pm2p5",
        "id\tlatitude\tlng\tDateTime\tPM2.5 (ug/m3)",
        '"station","latitude","longitude","time","PM25"',
        "\ufeffstation,latitude,longitude,time,concentration",
    ],
)
def test_usual_names_and_separators_are_understood(written, header):
    separator = next((sign for sign in ";\t" if sign in header), ",")
    line = separator.join(["A", "48.9", "2.4", "2018-02-06 01:00:00+00:00", "12.5"])
    table = written(f"{header}\n{line}\n")
    assert table[["station", "latitude", "longitude", "value"]].iloc[0].tolist() == ["A", 48.9, 2.4, 12.5]
    assert times(table) == ["06 01:00"]


def test_optional_columns_are_kept(written):
    table = written(
        "id,name,country,lat,lon,time,value,unit,averaging_hours,network,isMonitor,parameter\n"
        "7,Windhoek,NA,-22.5,17.1,2018-02-06T01:00Z,80,ug/m3,24,X,TRUE,PM2.5\n"
        "7,Windhoek,NA,-22.5,17.1,2018-02-06T01:00Z,1,ppb,1,X,,o3\n"
        "8,Paris,France,48.9,2.4,2018-02-06T01:00Z,,µg/m³,,Y,0,pm25\n"
    )
    assert table["name"].tolist() == ["Windhoek", "Paris"] and table["country"].tolist() == ["NA", ""]
    assert table["reference_grade"].tolist() == [True, False] and table["provider"].tolist() == ["X", "Y"]
    assert table["averaging_hours"].tolist() == [24.0, 1.0]
    assert table["units"].tolist() == ["ug/m3", "µg/m³"] and np.isnan(table["value"].tolist()[1])


def test_stations_without_a_name_are_their_places(written):
    table = written("lat,lon,time,value\n48.9,2.4,2018-02-06T01:00Z,1\n-33.4,-70.7,2018-02-06T01:00Z,2\n")
    assert table["station"].tolist() == ["-33.4000 -70.7000", "48.9000 2.4000"]


@pytest.mark.parametrize(
    ("stamp", "read"),
    [
        ("2018-02-06T01:00:00Z", "06 01:00"),
        ("2018-02-06T01:00:00+05:30", "05 19:30"),
        ("2018-02-06 01:00:00-03", "06 04:00"),
        ("2018-02-06 01:00 UTC", "06 01:00"),
    ],
)
def test_times_with_a_zone_become_utc_whatever_the_option_says(written, stamp, read):
    for offset in (None, 8):
        assert times(written(PLAIN.replace("2018-02-06T01:00:00Z", stamp), utc_offset=offset))[0] in (read, "06 02:00")
    table = written(PLAIN.replace("2018-02-06T01:00:00Z", stamp), utc_offset=8)
    assert set(times(table)) == {read, "06 02:00"}


def test_times_without_a_zone_need_an_offset(written):
    naive = PLAIN.replace("Z,", ",")
    with pytest.raises(DeepcamsError, match=r"stations.csv.*'time'.*2018-02-06T01:00:00.*--utc-offset"):
        written(naive)
    assert times(written(naive, utc_offset=8)) == ["05 17:00", "05 18:00"]
    assert times(written(naive, utc_offset=5.5)) == ["05 19:30", "05 20:30"]
    assert times(written(naive.replace("time", "datetime_utc"), utc_offset=8)) == ["06 01:00", "06 02:00"]
    with pytest.raises(DeepcamsError, match="480 h ahead"):
        written(naive, utc_offset=480)


def test_date_and_time_may_be_in_two_columns(written):
    table = written("lat,lon,date,time,value\n48.9,2.4,2018-02-06,13:00,1\n", utc_offset=0)
    assert times(table) == ["06 13:00"] and table["averaging_hours"].tolist() == [1.0]


def test_a_date_alone_is_that_whole_day(written):
    table = written("lat,lon,date,value\n48.9,2.4,2018-02-06,1\n", utc_offset=0)
    assert times(table) == ["07 00:00"] and table["averaging_hours"].tolist() == [24.0]
    with pytest.raises(DeepcamsError, match="--utc-offset"):
        written("lat,lon,date,value\n48.9,2.4,2018-02-06,1\n")


def test_single_values_and_times_that_cannot_be_read_stay_for_the_quality_control(written):
    table = written(PLAIN + "A,48.9,2.4,noon,9\nA,x,2.4,2018-02-06T03:00:00Z,n/a\n")
    assert len(table) == 4 and table["time"].isna().sum() == 1
    assert table["value"].isna().sum() == 1 and table["latitude"].isna().sum() == 1


def test_units_are_the_usual_ones_or_in_brackets_but_gases_must_tell_them(written):
    ozone = POLLUTANTS["o3"]
    text = PLAIN.replace("value", "O3 [ppb]")
    table = written(text, pollutant=ozone)
    assert set(table["units"]) == {"ppb"} and set(table["parameter"]) == {"o3"}
    with pytest.raises(DeepcamsError, match="does not tell the units of O₃"):
        written(PLAIN, pollutant=ozone)


def test_blank_cells_are_as_if_nothing_were_said(written):
    """The same rows with columns that are blank, and without these columns."""
    header, *rows = PLAIN.replace("06T02:00:00Z", "07").splitlines()
    options = {"utc_offset": 0}
    bare = written("\n".join([header, *rows]), **options)
    assert bare["averaging_hours"].tolist() == [1.0, 24.0]
    extra = ",name,country,units,averaging_hours,provider,reference_grade,parameter"
    blank = written("\n".join([header + extra, *(row + "," * 7 for row in rows)]), **options)
    pd.testing.assert_frame_equal(blank, bare)
    half = written("\n".join([header + extra, rows[0] + ",,,ug/m3,8,,,pm25", rows[1] + "," * 7]), **options)
    assert half["averaging_hours"].tolist() == [8.0, 24.0] and half["units"].tolist() == ["ug/m3", "µg/m³"]
    some_have_no_id = written(PLAIN + ",1,2,2018-02-06T01:00Z,3\n,3,4,2018-02-06T01:00Z,3\n")
    assert some_have_no_id["station"].tolist() == ["1.0000 2.0000", "3.0000 4.0000", "A", "A"]


def test_blank_units_of_gases_are_refused_unless_the_header_tells_them(written):
    ozone, text = POLLUTANTS["o3"], "lat,lon,time,O3,units\n1,2,2018-02-06T01Z,40,ppb\n1,2,2018-02-06T02Z,41,\n"
    with pytest.raises(DeepcamsError, match=r"stations\.csv does not tell the units of O₃, or not in all rows"):
        written(text, pollutant=ozone)
    told = written(text.replace("O3", "O3 (µg/m³)"), pollutant=ozone)
    assert told["units"].tolist() == ["ppb", "µg/m³"]
    no_value = written(text.replace("41", ""), pollutant=ozone)
    assert no_value["units"].tolist() == ["ppb", ""]


def test_rows_without_a_pollutant_are_left_out_where_others_are_of_several(written, caplog):
    text = "lat,lon,time,value,parameter\n" + "".join(f"1,2,2018-02-06T0{i}Z,{i},{{}}\n" for i in range(3))
    assert len(written(text.format("pm25", "", "pm25"))) == 3 and not caplog.messages
    assert written(text.format("pm25", "", "o3"))["value"].tolist() == [0.0]
    assert "rows left out that do not tell their pollutant: 1" in caplog.text


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("A,Paris, Nord,48.9,2.4,2018-02-06T01Z,1,x", "line 4: 8 cells where the header has 7. Put texts"),
        ("A,Paris,48.9,2.4,2018-02-06T01Z,1,x,", "line 4: 8 cells where the header has 7. Put texts"),
        ("A,Paris,48.9,2.4,2018-02-06T01Z", "line 4: 5 cells where the header has 7 and 6 are needed. Is the row cut"),
        ("A", "line 4: 1 cells where the header has 7 and 6 are needed"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_rows_of_too_many_or_too_few_cells_are_told_by_their_line(written, row, words, separator, first):
    good = 'A,"Paris,\nNord",48.9,2.4,2018-02-06T00Z,1,x\n'  # two lines
    header, blank = "station,name,lat,lon,time,value,provider\n", "\n"
    text = (header + blank * 2 + row + "\n" + good) if first else (header + good + row + "\n")
    with pytest.raises(DeepcamsError, match=r"stations\.csv, line 4") as caught:
        written(text.replace(",", separator))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    fine = written((header + good + "A,Paris,48.9,2.4,2018-02-06T01Z,1\n \n").replace(",", separator))
    assert fine["provider"].tolist() == ["x", ""]  # what is lacking at the end was optional


def test_a_quotation_mark_that_stays_open_is_told_by_its_line(written):
    for rest in (1, 10_000):
        with pytest.raises(DeepcamsError, match=r"stations\.csv, line 4: .*(cut short|quotation mark open)"):
            written(PLAIN + '"' + PLAIN * rest)


# Ids of several files ------------------------------------------------------------------------------------------------


def network(path, rows, provider=""):
    """Writes (id, latitude, longitude, hour) as a plain table, a value for each row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{i},{lat},{lon},2018-02-06T{hour:02d}:00Z,{provider},{n + 1}" for n, (i, lat, lon, hour) in enumerate(rows)
    ]
    path.write_text("\n".join(["id,lat,lon,time,provider,value", *lines]) + "\n")
    return path


def places(table):
    """For each id its latitudes."""
    return {station: sorted(set(rows["latitude"])) for station, rows in table.groupby("station")}


def test_an_id_of_two_networks_begins_with_the_file_whatever_their_order(tmp_path):
    one = network(tmp_path / "n1.csv", [("1", 42, 5, 1), ("1", 42, 5, 2), ("2", 50, 5, 1)])
    two = network(tmp_path / "n2.csv", [("1", 43, 5, 1), ("1", 43, 5, 2), ("3", 51, 5, 1)])
    more = network(tmp_path / "n1_later.csv", [("1", 42.001, 5, 3), ("2", 50, 5, 2)])  # the same station goes on
    table = read_stations([one, two, more])
    assert places(table) == {"n1:1": [42, 42.001], "n2:1": [43], "2": [50], "3": [51]}
    assert not table.duplicated(["station", "time"]).any() and set(table["name"]) == {"1", "2", "3"}
    pd.testing.assert_frame_equal(read_stations([more, two, one]), table)
    pd.testing.assert_series_equal(table.dtypes, read_stations([one]).dtypes)
    assert set(read_stations([one, more])["station"]) == {"1", "2"} and set(read_stations([one])["station"]) == {
        "1",
        "2",
    }


@pytest.mark.parametrize(("east", "same"), [(0.0179, True), (0.0185, False), (-359.99, True)])
def test_places_of_an_id_are_one_within_a_kilometre(tmp_path, east, same):
    """At 60°N a degree of longitude is 55.6 km."""
    files = [network(tmp_path / "a.csv", [("1", 60, 5, 1)]), network(tmp_path / "b.csv", [("1", 60, 5 + east, 2)])]
    assert read_stations(files)["station"].tolist() == (["1", "1"] if same else ["a:1", "b:1"])


def test_ids_that_share_places_are_judged_each_by_itself(tmp_path):
    one = network(tmp_path / "a.csv", [("1", 42, 5, 1), ("2", 43, 5, 1)])
    two = network(tmp_path / "b.csv", [("1", 43, 5, 1), ("2", 42, 5, 1)])
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(two.read_bytes()))
    for files in ([one, two], [packed, one]):
        assert places(read_stations(files)) == {"a:1": [42], "a:2": [43], "b:1": [43], "b:2": [42]}


def test_an_id_begins_with_the_provider_or_the_folder_where_these_tell(tmp_path):
    one, two = network(tmp_path / "x/18.csv", [("1", 42, 5, 1)], "P"), network(tmp_path / "y/18.csv", [("1", 43, 5, 1)])
    assert places(read_stations([one, two])) == {"x/18.csv P:1": [42], "y/18.csv:1": [43]}
    two = network(two, [("1", 43, 5, 1)], "Q")
    assert places(read_stations([one, two])) == {"P:1": [42], "Q:1": [43]}
    (tmp_path / "both.csv").write_text(one.read_text() + two.read_text().splitlines()[1] + "\n")
    assert places(read_stations([tmp_path / "both.csv"])) == {"P:1": [42], "Q:1": [43]}


def test_ids_of_openaq_and_of_own_tables_stay(tmp_path):
    write_day(tmp_path, 5, "2018-02-10", rows_of(5, "2018-02-10", 2, [1.0, 2.0]))
    far, lost = network(tmp_path / "n1.csv", [("5", -42, 5, 1)]), network(tmp_path / "n2.csv", [("5", 999, 5, 1)])
    assert read_stations([tmp_path])["station"].tolist() == ["5", "5", "5", "n1:5"]
    lost.unlink()
    own = read_stations([far])
    write_table(own, tmp_path / "own.csv.gz")
    assert read_stations([tmp_path])["station"].tolist() == ["5", "5", "5", "5"]  # as the plain one is one of the own's
    write_table(own.assign(latitude=10.0), tmp_path / "own.csv.gz")
    (tmp_path / "unpacked.csv").write_bytes(gzip.decompress((tmp_path / "own.csv.gz").read_bytes()))
    (tmp_path / "unpacked.csv").write_text((tmp_path / "unpacked.csv").read_text().replace("10.0", "20.0"))
    assert read_stations([tmp_path])["station"].tolist() == ["5", "5", "5", "5", "n1:5"]


# OpenAQ's files ------------------------------------------------------------------------------------------------------


def test_a_file_of_the_archive_is_described_by_its_locations(tmp_path):
    write_day(tmp_path, 5, "2018-02-10", rows_of(5, "2018-02-10", 2, [1.0, 2.0, 3.0]))
    write_day(tmp_path, 6, "2018-02-10", rows_of(6, "2018-02-10", 2, [9.0]))
    bare = read_stations([tmp_path])
    assert bare["station"].tolist() == ["5", "5", "5", "6"] and set(bare["averaging_hours"]) == {1.0}
    assert set(bare["country"]) == {""} and bare["value"].tolist() == [1.0, 2.0, 3.0, 9.0]
    write_locations(tmp_path, metadata(5))
    table = read_stations([tmp_path])
    known = json.loads((tmp_path / "locations.json").read_text())["results"][0]
    assert set(table["country"]) == {known["country"]["code"], ""}
    assert table["name"].tolist()[0] == known["name"]
    one = next(tmp_path.rglob("location-5-*.csv.gz"))
    pd.testing.assert_frame_equal(read_stations([one]), table[table["station"] == "5"])


def test_real_time_fetches_are_read_as_ever(tmp_path):
    lines = "".join(json.dumps(RECORD | {"value": value}) + "\n" for value in (5, 6))
    (tmp_path / "1.ndjson").write_text(lines)
    (tmp_path / "2.ndjson.gz").write_bytes(gzip.compress(lines.encode()))
    pd.testing.assert_frame_equal(read_stations([tmp_path]), read_realtime(tmp_path))


def test_all_kinds_may_be_mixed_and_a_file_counts_once(tmp_path):
    (tmp_path / "in" / "depth").mkdir(parents=True)
    plain, fetch = tmp_path / "in" / "depth" / "plain.csv", tmp_path / "in" / "1.ndjson"
    plain.write_text(PLAIN)
    fetch.write_text(json.dumps(RECORD) + "\n")
    (tmp_path / "in" / "README.md").write_text("not looked at")
    write_day(tmp_path / "in", 5, "2018-02-10", rows_of(5, "2018-02-10", 2, [1.0, 2.0]))
    write_table(read_stations([plain]), tmp_path / "own.csv.gz")
    table = read_stations([tmp_path / "in", tmp_path / "own.csv.gz", plain])
    assert len(table) == 2 + 1 + 2 + 2 and set(table["parameter"]) == {"pm25"}
    assert table["station"].is_monotonic_increasing


@pytest.mark.real
def test_the_real_day_and_the_real_hours_of_china(real_samples):
    day = real_samples / "openaq_realtime_20180206"
    pd.testing.assert_frame_equal(read_stations([day]), read_realtime(day))
    china = real_samples / "cnemc_20190718_pm25.csv.gz"
    with pytest.raises(DeepcamsError, match="--utc-offset"):
        read_stations([china])
    table = read_stations([china], utc_offset=8)
    assert len(table) == 8933 and table["value"].isna().sum() == 511
    assert table["time"].min() == pd.Timestamp("2019-07-18T04:00:00")
    assert read_stations([china], POLLUTANTS["pm10"], 8)["value"].max() > table["value"].max()


# What cannot be read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "a.csv", "a.csv is empty"),
        (b"", "a.csv.gz", "a.csv.gz is empty"),
        (b"\n", "a.csv", "a.csv is empty"),
        (b"<!DOCTYPE html><html>", "a.csv", "a.csv holds an HTML page"),
        (b"<html>login", "a.csv.gz", "a.csv.gz holds an HTML page"),
        (b"PK\x03\x04rest", "a.csv", "a.csv is a ZIP archive"),
        (b"\x89HDF\r\n\x1a\nrest", "a.nc", "a.nc is a NetCDF file"),
        (b"\xff\xfe\x00\x01binary", "a.csv", "a.csv is no text in UTF-8"),
        ("läßt;grüßen\n1;2\n".encode("latin-1"), "a.csv", "a.csv is no text in UTF-8"),
        (b"lat,lon\0,time,value\n", "a.csv", "a.csv is no text"),
        ("lat,lon,time,value\n1,2,ä".encode("latin-1"), "a.csv", "a.csv is truncated or damaged after line 1"),
        (b"lat,lon,time,value\n", "a.csv", "not one PM2.5 measurement in "),
        (
            b"lat,time,value\n1,2,3\n",
            "a.csv",
            "lacks a column of longitude (longitude, lon). Its columns are: lat, time, v",
        ),
        (b"a,b\n1,2\n", "a.csv", "latitude (latitude, lat) and one of longitude (longitude, lon) and one of time"),
        (b"lat,lon,time,pm10\n1,2,3,4\n", "a.csv", "lacks a column of values (value, pm25)"),
        (
            b"lat,lon,time,value\n1,2,06/02/2018 01:00,4\n",
            "a.csv",
            "not one time in column 'time', but '06/02/2018 01:00'",
        ),
        (b"lat;lon;time;value\n1;2;2018-02-06T01Z;4,5\n", "a.csv", "not one number in column 'value', but '4,5'"),
        (b"lat,lon,time,value,parameter\n1,2,2018-02-06T01Z,4,no2\n", "a.csv", "not one PM2.5 measurement"),
        (b'{"date": 1', "a.ndjson", "a.ndjson, line 1: not a record of OpenAQ"),
        (b'[{"date": 1}]', "a.ndjson", "lacks a column"),
        (b"location_id,datetime,parameter,units,value\n1,x,pm25,ug/m3,4\n", "a.csv", "a.csv, line 2: 'x' is no time"),
    ],
)
def test_bad_files_are_named_with_what_is_wrong(written, content, name, words):
    with pytest.raises(DeepcamsError) as caught:
        written(content, name, utc_offset=0)
    assert name in str(caught.value) and words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [PLAIN * 400, (json.dumps(RECORD) + "\n") * 400])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_files_that_are_cut_short_are_named(tmp_path, text, share):
    noise = np.random.default_rng(1).integers(0, 10**9, 2000).astype(str)
    head, *lines = text.splitlines()
    data = gzip.compress(
        "\n".join([head, *(a.replace("48.9", f"48.{b}") for a, b in zip(lines, noise, strict=False))]).encode()
    )
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DeepcamsError, match=r"cut\.csv\.gz"):
        read_stations([path])


def test_missing_paths_and_folders_without_files_are_told(tmp_path):
    with pytest.raises(DeepcamsError, match=r"nowhere\.csv does not exist"):
        read_stations([tmp_path / "nowhere.csv"])
    with pytest.raises(DeepcamsError, match=r"there is no file \*\.csv, \*\.csv\.gz"):
        read_stations([tmp_path])


def test_synthetic_and_real_stations_are_not_mixed(written, tmp_path):
    (tmp_path / "real.csv").write_text(PLAIN)
    (tmp_path / "synthetic.csv").write_text(PLAIN.replace("A,", "SYNTHETIC 1,"))
    with pytest.raises(DeepcamsError, match="must not be mixed"):
        read_stations([tmp_path / "real.csv", tmp_path / "synthetic.csv"], PM25)
