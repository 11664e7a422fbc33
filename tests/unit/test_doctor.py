"""`deepcams doctor`: what it finds at stand-ins of the services, and what it tells."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import yaml

from deepcams.cli import doctor
from deepcams.cli.main import main
from deepcams.sources.services import reach
from deepcams.sources.services.estimate import estimates, geoscf_months
from tests.standins.ads import DATASET, KEY, Ads, problem, reply
from tests.standins.server import Answer, Server

Usage = namedtuple("Usage", "total used free")
LISTING = Answer(
    200, b'<?xml version="1.0"?><ListBucketResult></ListBucketResult>', {"Content-Type": "application/xml"}
)
API_KEY = "openaq-planted-secret"


def other_services(request):
    """NASA's portal, OpenAQ's archive and its API at one address."""
    if request.path.startswith("/v3/"):
        given = {name.lower(): value for name, value in request.headers.items()}.get("x-api-key")
        return reply({"results": []}) if given == API_KEY else reply({"message": "Unauthorized"}, 401)
    return LISTING if request.query else Answer(200, b"<html>a folder</html>", {"Content-Type": "text/html"})


@pytest.fixture
def ads(monkeypatch, tmp_path):
    monkeypatch.setenv("ADSAPI_KEY", KEY)
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "none"))
    for name in ("CDSAPI_KEY", "OPENAQ_API_KEY", "EARTHDATA_TOKEN", "ADSAPI_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(reach, "_TIMEOUT", (0.5, 0.5))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**13, 0, 10**13))
    with Ads({}, record_end="2024-12-31") as server:
        yield server


@pytest.fixture
def others():
    with Server(other_services) as server:
        yield server


@pytest.fixture
def configuration(ads, others, tmp_path):
    """A file laid over config.yaml: everything from the stand-ins, two years of the globe."""

    def write(**changes):
        document = {
            "results": str(tmp_path / "results"),
            "cams": {"first": "2018-01", "last": "2019-12"},
            "openaq": {"first": "2018-01", "last": "2019-12"},
            "services": {
                "ads": {"url": ads.api},
                "portal": {"url": others.url},
                "opendap": {"url": others.url},
                "archive": {"url": others.url},
                "api": {"url": f"{others.url}/v3"},
            },
        }
        for key, value in changes.items():
            document[key] = {**document.get(key, {}), **value} if isinstance(value, dict) else value
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(document))
        return str(path)

    return write


def examined(capsys, *arguments):
    """Exit status, lines of the screen, and what is said at the end."""
    status = main(["doctor", *arguments])
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
    assert KEY not in output.out + output.err and API_KEY not in output.out + output.err
    assert "Traceback" not in output.err
    return status, lines, output.err


def line(lines, name):
    (found,) = [text for text in lines if text[8:].strip().startswith(name)]
    return found


def test_all_is_well(capsys, configuration, ads, others):
    status, lines, _ = examined(capsys, "--configfile", configuration())
    assert status == 0 and lines[-1] == "A run can start."
    assert line(lines, "Atmosphere Data Store").startswith("ok") and ads.api in line(lines, "Atmosphere Data Store")
    assert "found in the environment variable ADSAPI_KEY, accepted" in line(lines, "key")
    assert line(lines, "licence").split() == ["ok", "licence", "accepted"]
    assert "2003-01-01 to 2024-12-31; configured: 2018-01 to 2019-12" in line(lines, "record")
    assert others.url in line(lines, "NASA's portal") and line(lines, "OpenAQ's archive").startswith("ok")
    assert line(lines, "OpenAQ's API").startswith("note")  # no key: a run starts without
    assert [request.path for request in others.asked("geos-cf")] == ["/geos-cf/v1/ana/Y2018/M01/D01/"]
    assert not any("execution" in request.path for request in ads.requests)  # nothing is asked for


def test_offline_nothing_is_contacted(capsys, configuration, ads, others):
    status, lines, _ = examined(capsys, "--offline", "--configfile", configuration())
    assert status == 0 and ads.requests == [] and others.requests == []
    assert "not tried" in line(lines, "Atmosphere Data Store")


@pytest.mark.parametrize(
    ("arrange", "name", "words"),
    [
        (lambda ads: ads.licences.clear(), "licence", "Accept the licence at the end of http"),
        (lambda ads: setattr(ads, "key", "another"), "key", "is not accepted. Copy your token"),
        (lambda ads: setattr(ads, "record_end", "2019-11-30"), "record", "stay within the service's record"),
        (lambda ads: ads.fail("/messages", Answer(404, b"")), "Atmosphere Data Store", "answered 404"),
        (lambda ads: ads.fail(f"{DATASET}$", Answer(404, b"")), "data set", f"does not know {DATASET}"),
        (lambda ads: ads.fail("/messages", Answer(200, b" ", delay=1.5)), "Atmosphere Data Store", "did not answer"),
    ],
)
def test_what_is_missing_at_the_data_store(capsys, configuration, ads, arrange, name, words):
    arrange(ads)
    status, lines, error = examined(capsys, "--configfile", configuration())
    assert status == 1 and "A run cannot start yet: 1 point above is missing." in error
    assert line(lines, name).startswith("MISSING")
    assert words in " ".join(" ".join(lines[lines.index("To do:") :]).split())


@pytest.mark.parametrize("path", ["licences", DATASET + "$", "constraints.json"])
@pytest.mark.parametrize("answer", [reply([]), reply({"x": 1}), Answer(200, b"<html>"), Answer(500, b"")])
def test_answers_that_are_not_understood_are_notes(capsys, configuration, ads, path, answer):
    ads.fail(path, answer)
    status, lines, _ = examined(capsys, "--configfile", configuration())
    told = line(lines, {"licences": "key", "constraints.json": "record"}.get(path, "licence"))
    if path == "licences" and answer.status == 200 and answer.body == b'{"x": 1}':
        assert line(lines, "licence").startswith("MISSING")  # none is listed
    else:
        assert status == 0 and told.startswith("note")


def test_a_licence_that_cannot_be_told_from_others_is_a_note(capsys, configuration, ads):
    ads.licences = ["terms-of-use-of-something"]
    status, lines, _ = examined(capsys, "--configfile", configuration())
    assert status == 0 and line(lines, "licence").startswith("note")


def test_no_key(capsys, configuration, ads, monkeypatch):
    monkeypatch.delenv("ADSAPI_KEY")
    status, lines, _ = examined(capsys, "--configfile", configuration())
    assert status == 1 and line(lines, "key").split() == ["MISSING", "key", "none", "found"]


def test_a_server_that_repeats_the_key(capsys, configuration, ads):
    ads.fail("/profiles/", problem(401, "no", f"you sent {KEY}"))
    status, *_ = examined(capsys, "--configfile", configuration())
    assert status == 1


@pytest.mark.parametrize("key", [API_KEY, "wrong-openaq-key"])
def test_the_key_of_openaq(capsys, configuration, monkeypatch, key):
    monkeypatch.setenv("OPENAQ_API_KEY", key)
    status, lines, _ = examined(capsys, "--configfile", configuration())
    assert status == (key != API_KEY)
    assert line(lines, "OpenAQ's API").startswith("ok" if key == API_KEY else "MISSING")


def test_a_portal_that_wants_a_login(capsys, configuration, others):
    others.fail("geos-cf", Answer(401, b""))
    status, lines, _ = examined(capsys, "--configfile", configuration())
    assert status == 1 and line(lines, "NASA's portal").startswith("MISSING")
    assert any("EARTHDATA_TOKEN" in text for text in lines)


def test_everything_is_missing_and_still_one_screen(capsys, configuration, ads, others, monkeypatch):
    monkeypatch.delenv("ADSAPI_KEY")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 10**9))
    dead = {"url": "http://127.0.0.1:9/" + "long/" * 30 + "path"}
    path = configuration(services={"ads": dead, "portal": dead, "archive": dead, "api": dead})
    status, lines, _ = examined(capsys, "--configfile", path)
    assert status == 1 and "Free " in lines[-1]


def test_local_files_are_looked_for(capsys, configuration, tmp_path):
    (tmp_path / "portal").mkdir()
    path = configuration(
        geoscf={"source": "local", "path": str(tmp_path / "portal")},
        cams={"source": "local", "path": str(tmp_path / "none" / "{year}-{month}.nc"), "first": "2018-01"},
    )
    status, lines, _ = examined(capsys, "--configfile", path)
    assert status == 1
    assert line(lines, "geoscf files").startswith("ok") and line(lines, "cams files").startswith("MISSING")


@pytest.mark.parametrize("name", ["demo.yaml", "tiny.yaml"])
def test_a_synthetic_run_asks_nobody(capsys, name, ads, others):
    status, _, _ = examined(capsys, "--configfile", str(Path(__file__).parents[2] / "config" / name))
    assert status == 0 and ads.requests == others.requests == []


def test_mistakes_in_a_configuration_are_told(capsys, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("cams: {sorce: ads}\n")
    status, _, error = examined_error(capsys, str(path))
    assert status == 1 and "did you mean" in error
    path.write_text("cams: [\n")
    assert "is no YAML" in examined_error(capsys, str(path))[2]
    path.write_text("[]\n")
    assert "holds no keys" in examined_error(capsys, str(path))[2]
    assert "cannot be read" in examined_error(capsys, str(tmp_path / "none.yaml"))[2]


def examined_error(capsys, path):
    status = main(["doctor", "--configfile", path])
    output = capsys.readouterr()
    return status, output.out, output.err


def configured(**changes):
    config = doctor.read_configuration([])
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) and config[key] else value
    return config


def test_a_year_of_the_globe_is_estimated_as_documented():
    """Beside figures from elsewhere: raw CAMS of 0.7 GB a year, 57 MB a month of GRIB, 9 GB of product a year."""
    parts = {part.name: part for part in estimates(configured(cams={"first": "2019-01", "last": "2019-12"}))}
    cams = parts["CAMS EAC4"]
    assert cams.months == cams.requests == 12
    assert 0.5e9 < cams.store < 0.8e9 and 0.6e9 < cams.download < 1.0e9
    geoscf = parts["GEOS-CF"]
    assert geoscf.requests == sum(24 * days + 1 for days in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] * 3) + 24
    assert geoscf.download < 3 * 182e9 and geoscf.seconds >= geoscf.requests * 1.0
    assert parts["OpenAQ"].months == 12
    assert parts["product, shards"].store > 9e9


def test_months_that_nothing_learns_from_are_not_counted():
    assert len(geoscf_months(configured())) == 36
    months = geoscf_months(configured(networks="interpolation"))
    assert [str(month) for month in (months[0], months[-1])] == ["2020-01", "2020-12"]


def test_a_region_needs_less_disk_and_not_fewer_requests():
    box = {"north": 49.5, "west": 65.25, "south": 5.25, "east": 125.25}
    globe = {part.name: part for part in estimates(configured())}
    part = {item.name: item for item in estimates(configured(region=box))}
    assert part["CAMS EAC4"].download == globe["CAMS EAC4"].download
    assert part["GEOS-CF"].download == globe["GEOS-CF"].download
    for name in globe:
        assert part[name].store < 0.5 * globe[name].store
    served = {item.name: item for item in estimates(configured(region=box, geoscf={"source": "opendap"}))}
    assert served["GEOS-CF"].download < 0.5 * globe["GEOS-CF"].download


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (999, "999 B"), (1.5e6, "1.5 MB"), (2.34e12, "2.34 TB")])
def test_sizes(number, text):
    assert doctor.size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "-"), (90, "90 s"), (600, "10 min"), (36_000, "10 h"), (864_000, "10 days")]
)
def test_durations(seconds, text):
    assert doctor.duration(seconds) == text


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_a_note_and_no_keys_fault(capsys, configuration, ads, others, monkeypatch, status):
    monkeypatch.setenv("OPENAQ_API_KEY", API_KEY)
    for server in (ads, others):
        server.fail("/messages|/geos-cf|/v3/|/openaq", Answer(status, b""))
    code, lines, _ = examined(capsys, "--configfile", configuration())
    assert code == 0
    for name in ("Atmosphere Data Store", "NASA's portal", "OpenAQ's archive", "OpenAQ's API"):
        assert line(lines, name).startswith("note") and f"answered {status}, try again later" in line(lines, name)
    ads.faults.clear()
    ads.fail("/licences", Answer(status, b""))
    assert line(examined(capsys, "--configfile", configuration())[1], "key").startswith("note")


def test_a_service_that_drips_is_not_waited_for(capsys, configuration, others):
    others.fail("geos-cf", Answer(200, b"x" * 10_000, drip=0.02))
    status, lines, _ = examined(capsys, "--configfile", configuration())
    assert status == 1 and line(lines, "NASA's portal").startswith("MISSING")


def test_a_password_in_an_address_is_not_shown(capsys, configuration, ads, monkeypatch):
    monkeypatch.setenv("ADSAPI_URL", ads.api.replace("//", "//me:pass-word@"))
    path = configuration(services={"ads": {"url": None}})
    status, lines, error = examined(capsys, "--configfile", path)
    assert status == 1 and line(lines, "Atmosphere Data Store").startswith("MISSING")
    assert "pass-word" not in "".join(lines) + error and ads.requests == []


def test_grades_that_nobody_will_tell_are_missing(capsys, configuration, monkeypatch):
    path = configuration(validation={"reference_grade_only": True})
    status, lines, _ = examined(capsys, "--configfile", path)
    assert status == 1 and line(lines, "OpenAQ's API").startswith("MISSING")
    assert "reference_grade_only" in " ".join(lines)
    monkeypatch.setenv("OPENAQ_API_KEY", API_KEY)
    assert examined(capsys, "--configfile", path)[0] == 0


def test_what_lies_in_results_is_not_to_store_again(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000, 0, 1000))
    assert doctor.disk(str(tmp_path), 3000).state == "MISSING"
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/month.nc").write_bytes(bytes(2500))
    found = doctor.disk(str(tmp_path), 3000)
    assert found.state == "ok" and "500 B to store" in found.words


def test_of_the_fetches_before_the_archive_no_figures_are_made_up():
    parts = {part.name: part for part in estimates(configured(openaq={"source": "realtime"}))}
    assert parts["OpenAQ (unknown)"].requests == parts["OpenAQ (unknown)"].download == 0


def test_calls_of_opendap_are_counted_as_they_are_made():
    """Three a month, and one a day with the next month's first; two a day where a box crosses the date line."""
    box = {"north": 49.5, "west": 65.25, "south": 5.25, "east": 125.25}
    for region, pieces in ((box, 1), (box | {"west": 170.25, "east": 200.25}, 2)):
        config = configured(region=region, geoscf={"source": "opendap"}, networks="interpolation")
        part = {item.name: item for item in estimates(config)}["GEOS-CF"]
        assert part.months == 12 and part.requests == 12 * 3 + pieces * (366 + 12)  # 2020
