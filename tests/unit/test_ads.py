"""Months of EAC4 from a stand-in for the Atmosphere Data Store, by the service's real client."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.pollutants import PM25, POLLUTANTS
from deepcams.sources.cams import retrieve_month
from deepcams.sources.services.ads import canonical_request, fetch_month
from tests.standins.ads import KEY, Ads
from tests.standins.eac4 import asked_times, concentrations, delivery, netcdf, zipped
from tests.standins.server import Answer

MONTH = Month(2019, 12)
ROOT = Path(__file__).resolve().parents[2]


def services(ads, **changes):
    return {"tries": 3, "wait": 0.01, "timeout": 5.0, "patience": 20.0, "ads": {"url": ads.api}} | changes


@pytest.fixture
def ads(monkeypatch):
    monkeypatch.setenv("ADSAPI_KEY", KEY)
    with Ads({str(MONTH): delivery(MONTH)}) as server:
        yield server


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_month_comes_whole_and_the_local_reader_takes_it(ads, tmp_path):
    pattern = fetch_month(MONTH, PM25, tmp_path, services(ads))
    field = retrieve_month("local", MONTH, path=pattern)
    np.testing.assert_array_equal(field.time.values.astype("datetime64[s]"), MONTH.analyses())
    np.testing.assert_allclose(field, concentrations(MONTH.analyses()), rtol=1e-6)
    assert field.attrs["source_files"].startswith("2019-12.nc sha256:")
    assert names(tmp_path) == ["2019-12.nc", "request.json"]
    assert len(ads.posts) == 1


def test_the_request_is_the_canonical_one(ads, tmp_path):
    fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert ads.posts == [
        {
            "data_format": "netcdf_zip",
            "date": ["2019-12-01/2020-01-01"],
            "time": ["00:00", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00"],
            "variable": ["particulate_matter_2.5um"],
        }
    ]
    assert list(ads.posts[0]) == sorted(ads.posts[0])
    assert canonical_request(Month(2020, 2), POLLUTANTS["o3"], with_next=False) | {"time": []} == {
        "data_format": "netcdf_zip",
        "date": ["2020-02-01/2020-02-29"],
        "model_level": ["60"],
        "time": [],
        "variable": ["ozone"],
    }


def test_a_gas_is_fetched_by_its_own_name(ads, tmp_path):
    times = asked_times(MONTH)
    ratio = netcdf(times, 40e-9 * concentrations(times), name="go3", units="kg kg**-1", scale=1.0)
    ads.files = {str(MONTH): zipped(ratio, "data_mlev.nc")}
    pattern = fetch_month(MONTH, POLLUTANTS["o3"], tmp_path, services(ads))
    field = retrieve_month("local", MONTH, path=pattern, pollutant=POLLUTANTS["o3"])
    assert field.name == "o3" and field.attrs["units"] == "nmol mol-1"
    np.testing.assert_allclose(field, 40 * concentrations(MONTH.analyses()) * 28.9644 / 47.9982, rtol=1e-6)


def test_what_is_there_is_not_asked_for_again(ads, tmp_path):
    fetch_month(MONTH, PM25, tmp_path, services(ads))
    ads.requests.clear()
    fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert ads.requests == []


@pytest.mark.parametrize("how", ["refused", "no data", "cut"])
def test_at_the_records_end_the_month_comes_alone(ads, tmp_path, how):
    if how == "refused":
        ads.record_end = "2019-12-31"
    if how == "no data":
        ads.ends = [("failed", "MARS returned no data, please check your selection. MarsNoDataError")]
    times = asked_times(MONTH, with_next=False)
    ads.files = {str(MONTH): zipped(netcdf(times, concentrations(times)))}
    pattern = fetch_month(MONTH, PM25, tmp_path, services(ads), ends_record=True)
    assert retrieve_month("local", MONTH, path=pattern, record_end=True).sizes["time"] == 248
    assert [post["date"] for post in ads.posts] == [["2019-12-01/2020-01-01"], ["2019-12-01/2019-12-31"]][
        : 1 if how == "cut" else 2
    ]


def test_without_the_next_day_inside_the_record_the_month_is_refused(ads, tmp_path):
    ads.record_end = "2019-12-31"
    with pytest.raises(DeepcamsError, match=r"has no CAMS 2019-12 \(pm25\): .*valid combination.*cams.last"):
        fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.posts) == 1 and names(tmp_path) == []


def test_another_process_goes_on_with_the_request_of_a_killed_one(ads, tmp_path):
    """A real SIGKILL while the service works; the second process submits nothing."""
    ads.polls = ["accepted"] + ["running"] * 100_000
    code = (
        "import json, sys\nfrom deepcams.calendar import Month\nfrom deepcams.pollutants import PM25\n"
        "from deepcams.sources.services.ads import fetch_month\n"
        "fetch_month(Month(2019, 12), PM25, sys.argv[1], json.loads(sys.argv[2]))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)}
    arguments = [sys.executable, "-c", code, str(tmp_path / "parts"), json.dumps(services(ads, patience=60.0))]
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while len(ads.asked("/jobs/")) < 3 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert names(tmp_path / "parts") == ["request.json"]
    next(iter(ads.jobs.values()))["states"] = ["successful"]
    fetch_month(MONTH, PM25, tmp_path / "parts", services(ads))
    assert len(ads.posts) == 1 and names(tmp_path / "parts") == ["2019-12.nc", "request.json"]


def test_a_transfer_that_was_killed_leaves_no_file_and_is_made_again(ads, tmp_path):
    ads.fail("/store/", Answer(200, bytes(1000), delay=60.0, length=5000), method="GET")
    code = (
        "import json, sys\nfrom deepcams.calendar import Month\nfrom deepcams.pollutants import PM25\n"
        "from deepcams.sources.services.ads import fetch_month\n"
        "fetch_month(Month(2019, 12), PM25, sys.argv[1], json.loads(sys.argv[2]))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)}
    arguments = [sys.executable, "-c", code, str(tmp_path / "parts"), json.dumps(services(ads, timeout=60.0))]
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not ads.asked("/store/") and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "2019-12.nc" not in names(tmp_path / "parts")
    ads.faults.clear()
    fetch_month(MONTH, PM25, tmp_path / "parts", services(ads))
    assert len(ads.posts) == 1 and names(tmp_path / "parts") == ["2019-12.nc", "request.json"]


def test_a_request_that_the_service_forgot_is_made_again(ads, tmp_path):
    request = canonical_request(MONTH, PM25)
    (tmp_path / "request.json").write_text(json.dumps({"id": "gone", "request": request}))
    fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.asked("/jobs/gone$")) == 1 and len(ads.posts) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "x"}', '{"id": "x", "request": {}}'])
def test_a_damaged_note_of_the_request_is_no_obstacle(ads, tmp_path, text):
    (tmp_path / "request.json").write_text(text)
    fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.posts) == 1


def test_patience_ends_and_the_request_is_kept(ads, tmp_path):
    ads.polls = ["accepted"] * 100_000
    with pytest.raises(DeepcamsError, match=r"longer than services.patience \(0.3 s\), and it is still accepted"):
        fetch_month(MONTH, PM25, tmp_path, services(ads, patience=0.3))
    assert names(tmp_path) == ["request.json"]
    next(iter(ads.jobs.values()))["states"] = ["successful"]
    fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.posts) == 1


def test_polls_become_rare(ads, tmp_path):
    ads.polls = ["accepted"] * 6
    fetch_month(MONTH, PM25, tmp_path, services(ads, wait=0.05))
    polls = [request.time for request in ads.asked("/jobs/") if "log" in request.query]
    gaps = np.diff(polls)
    assert gaps[-2] > 1.5 * gaps[0]


def test_without_a_checksum_size_and_content_decide(ads, tmp_path):
    ads.checksums = False
    ads.fail("/store/", lambda answer: Answer(200, answer.body[:-40] + bytes(40)), times=1, method="GET")
    fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.asked("/store/", "GET")) == 2


def test_a_checksum_that_is_told_without_its_leading_zeros_is_one(ads, tmp_path, caplog):
    """The stand-in writes it as the service does; one in sixteen files has one that begins with a zero."""
    for number in range(1000):
        stream = io.BytesIO(ads.files[str(MONTH)])
        with zipfile.ZipFile(stream, "a") as archive:
            archive.comment = str(number).encode()
        if hashlib.md5(stream.getvalue()).hexdigest().startswith("00"):
            break
    ads.files = {str(MONTH): stream.getvalue()}
    fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.asked("/store/", "GET")) == 1 and "MD5" not in caplog.text


def test_what_was_stored_in_parts_is_taken_when_it_comes_the_same_twice(ads, tmp_path, caplog):
    """Its checksum is not of its content."""
    ads.checksums = "parts"
    fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.asked("/store/", "GET")) == 2 and len(ads.posts) == 1
    assert "twice; their size and content are right" in caplog.text
    assert (tmp_path / "2019-12.nc").read_bytes() == ads.files[str(MONTH)]


def test_a_month_that_ended_the_record_is_fetched_again_when_it_ends_it_no_more(ads, tmp_path):
    whole, times = ads.files, asked_times(MONTH, with_next=False)
    ads.record_end = "2019-12-31"
    ads.files = {str(MONTH): zipped(netcdf(times, concentrations(times)))}
    fetch_month(MONTH, PM25, tmp_path, services(ads), ends_record=True)
    ads.files, ads.record_end = whole, "2099-12-31"
    ads.requests.clear()
    pattern = fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.posts) == 1
    assert retrieve_month("local", MONTH, path=pattern).sizes["time"] == 249


@pytest.mark.parametrize("place", ["services", "ADSAPI_URL", "CDSAPI_URL", "file"])
def test_an_address_with_a_password_is_refused_and_not_shown(ads, tmp_path, monkeypatch, place):
    address = ads.api.replace("//", "//me:pass-word@")
    settings = services(ads) | {"ads": {"url": address if place == "services" else None}}
    if place != "services":
        monkeypatch.delenv("ADSAPI_KEY")
        monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "rc"))
        monkeypatch.delenv("CDSAPI_KEY", raising=False)
    if place == "file":
        (tmp_path / "rc").write_text(f"url: {address}\nkey: {KEY}\n")
    elif place != "services":
        monkeypatch.setenv(place, address)
        monkeypatch.setenv(place.replace("URL", "KEY"), KEY)
    with pytest.raises(DeepcamsError, match="holds a user name or a password") as caught:
        fetch_month(MONTH, PM25, tmp_path / "parts", settings)
    assert "pass-word" not in str(caught.value) and ads.requests == []


def test_a_key_that_is_none_is_told_before_anything_is_asked(ads, tmp_path, monkeypatch):
    monkeypatch.setenv("ADSAPI_KEY", "1234:abcd-ef")
    with pytest.raises(DeepcamsError, match=r"ADSAPI_KEY is not a personal access token.*UID:KEY") as caught:
        fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert "abcd" not in str(caught.value)
    monkeypatch.delenv("ADSAPI_KEY")
    for name in ("CDSAPI_KEY", "CDSAPI_RC"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "none"))
    with pytest.raises(DeepcamsError, match="No key for the Atmosphere Data Store was found"):
        fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert ads.requests == []


def test_the_key_does_not_follow_a_redirect_to_another_host(ads, tmp_path):
    with Ads({}) as other:
        answer = Answer(302, headers={"Location": other.url.replace("127.0.0.1", "localhost") + "/api/x"}, body=b" ")
        ads.fail("/processes/", answer)
        with pytest.raises(DeepcamsError, match="401"):
            fetch_month(MONTH, PM25, tmp_path, services(ads))
        assert other.requests and not any(KEY in str(request.headers) for request in other.requests)
