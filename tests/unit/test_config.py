"""The configuration: the three files, how mistakes are found and told, the README, digests."""

import copy
import datetime
import random
import shutil
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from deepcams.calendar import Month, months_between
from deepcams.config.check import load_schema, problems, require_valid, resolve, restore_types
from deepcams.config.digest import digest
from deepcams.config.document import documented, main
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid

CONFIG = Path(__file__).resolve().parents[2] / "config"
SCHEMA = load_schema(CONFIG / "config.schema.yaml")
FILES = ("config", "demo", "tiny")


def read(name: str) -> dict:
    """A configuration as Snakemake merges it."""
    config = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
    if name != "config":
        update_config(config, yaml.safe_load((CONFIG / f"{name}.yaml").read_text(encoding="utf-8")))
    return config


def changed(change: str, name: str = "config") -> dict:
    config = read(name)
    update_config(config, yaml.safe_load(change))
    return config


def leaves(properties: dict, path: tuple = ()):
    for key, part in properties.items():
        full = resolve(part, SCHEMA)
        if "properties" in full:
            yield from leaves(full["properties"], (*path, key))
        yield (*path, key), full


# The files


@pytest.mark.parametrize("name", FILES)
def test_file_is_valid(name):
    config = read(name)
    assert problems(config, SCHEMA) == []
    require_valid(config)


@pytest.mark.parametrize("name", ["demo", "tiny"])
def test_overrides_hold_only_what_differs(name):
    base = read("config")
    overrides = yaml.safe_load((CONFIG / f"{name}.yaml").read_text(encoding="utf-8"))

    def same(change, below):
        for key, value in change.items():
            if isinstance(value, dict) and isinstance(below[key], dict):
                yield from same(value, below[key])
            elif value == below[key] and key not in ("first", "last"):  # a period reads better whole
                yield key

    assert list(same(overrides, base)) == []


@pytest.mark.parametrize(("name", "count"), [("demo", 3), ("tiny", 2)])
def test_synthetic_months_are_contiguous_and_few(name, count):
    config = read(name)
    months = set()
    assert all(config[source]["source"] == "nature_run" for source in ("meteorology", "weather_stations"))
    for source in ("cams", "geoscf", "openaq"):
        assert config[source]["source"] == "nature_run"
        months |= set(months_between(Month.parse(config[source]["first"]), Month.parse(config[source]["last"])))
    assert sorted(months) == months_between(min(months), max(months))
    assert len(months) == count


def test_tiny_spans_a_new_year_on_a_small_box():
    config = read("tiny")
    assert coarse_grid(Region(**config["region"])).shape == (10, 12)
    assert config["cams"]["first"][:4] != config["cams"]["last"][:4]


def test_production_is_the_paper():
    config = read("config")
    assert (config["cams"]["first"], config["cams"]["last"]) == ("2003-01", "2020-12")
    assert (config["openaq"]["first"], config["openaq"]["last"]) == ("2017-01", "2019-12")
    assert config["experiments"] == {
        "simulation": {
            "train": {"first": "2018-01", "last": "2019-12"},
            "test": {"first": "2020-01", "last": "2020-12"},
            "every": 1,
            "compare": {"temporal": [], "spatial": []},
        },
        "real": {"train": {"first": "2018-01", "last": "2020-12"}},
    }


# The schema and the README


def test_every_key_is_described_required_and_set():
    config = read("config")
    seen = 0
    for path, part in leaves(SCHEMA["properties"]):
        assert len(part["description"]) > 10, path
        if part.get("type") == "object" or "properties" in part:
            assert part["additionalProperties"] is False, path
            assert set(part["required"]) == set(part["properties"]), path
        value = config
        for key in path:
            if value is None:
                break  # the edges of the region, which is the globe
            assert key in value, path
            value = value[key]
        seen += 1
    assert SCHEMA["additionalProperties"] is False
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"])
    assert seen > 60


def test_readme_is_what_schema_and_defaults_say():
    text = (CONFIG / "README.md").read_text(encoding="utf-8")
    renewed = documented(text, SCHEMA, read("config"))
    assert text == renewed, "run: python -m deepcams.config.document"
    for path, part in leaves(SCHEMA["properties"]):
        key = ".".join(path)
        marks = (f"| `{key}` |", f"### {key}")
        assert any(line.startswith(marks) for line in text.splitlines()), key
        assert part["description"] in text, key
    assert "| `encoding.mantissa_bits` | a whole number from 1 to 23 | `7` |" in text


def test_document_renews_a_stale_readme(tmp_path):
    for file in CONFIG.iterdir():
        shutil.copy(file, tmp_path)
    right = (tmp_path / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(right.replace("from 1 to 23", "from 1 to 52"), encoding="utf-8")
    main(str(tmp_path))
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == right
    (tmp_path / "README.md").write_text("no marks", encoding="utf-8")
    with pytest.raises(DeepcamsError, match="put them back"):
        main(str(tmp_path))


def test_schema_that_is_missing_or_broken(tmp_path):
    with pytest.raises(DeepcamsError, match="not there"):
        load_schema(tmp_path / "absent.yaml")
    for text in ("type: [", "type: nonsense"):
        broken = tmp_path / f"{len(text)}.yaml"
        broken.write_text(text)
        with pytest.raises(DeepcamsError, match="is no schema"):
            load_schema(broken)


def test_schema_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_schema() == SCHEMA


# Mistakes in single values


SINGLE = [
    ("cams: {sorce: ads}", 'cams.sorce: this key is not known; did you mean "source"?'),
    ("regoin: null", 'regoin: this key is not known; did you mean "region"?'),
    ("Report: {dpi: 100}", 'Report: this key is not known; did you mean "report"?'),
    ("encoding: {xyz: 1}", "encoding.xyz: this key is not known; take it out. (encoding has: mantissa_bits, compres"),
    ("experiments: {real: {test: {first: 2018-01}}}", "experiments.real.test: this key is not known"),
    ("pollutant: ozone", 'pollutant: "ozone" given; allowed: pm25, pm10, o3, no2, co or so2.'),
    ('pollutant: "one\\ntwo"', 'pollutant: "one two" given'),
    ("pollutant: PM2.5", 'pollutant: "PM2.5" given; allowed: pm25, pm10, o3, no2, co or so2. Did you mean "pm25"?'),
    ("geoscf: {source: Portal}", 'allowed: portal, opendap, local or nature_run. Did you mean "portal"?'),
    ("degradation: {operator: block-mean}", 'Did you mean "block_mean"?'),
    ("spatial: {network: bicubik}", 'Did you mean "bicubic"?'),
    ("spatial: {closure: blockmean}", 'allowed: block_mean, none or null. Did you mean "block_mean"?'),
    ("encoding: {mantissa_bits: 0}", "encoding.mantissa_bits: 0 given; allowed: a whole number from 1 to 23."),
    ("encoding: {mantissa_bits: 24}", "encoding.mantissa_bits: 24 given"),
    ("encoding: {mantissa_bits: 8.0}", "8.0 given; allowed: a whole number from 1 to 23. Write 8."),
    ("encoding: {compression: 4}", "encoding.compression: 4 given; allowed: a whole number from 0 to 3."),
    ("encoding: {compression: true}", "encoding.compression: true given"),
    ("encoding: 7", "encoding: 7 given; allowed: a group of keys (mantissa_bits, compression)."),
    ("cams: {first: 2003-01-01}", 'cams.first: the day 2003-01-01 given; allowed: a month, "YYYY-MM".'),
    ("cams: {first: 2003-13}", 'cams.first: "2003-13" given; allowed: a month, "YYYY-MM".'),
    ("cams: {first: 2003}", "cams.first: 2003 given"),
    ('cams: {last: "2020-12\\n"}', "cams.last: "),
    ('results: "results/a\\n"', "results: "),
    ("results: results/", 'results: "results/" given; allowed: a folder'),
    ("results: my results", 'results: "my results" given'),
    ("geoscf: {max_missing: 5}", "geoscf.max_missing: 5 given; allowed: a number from 0 to 1."),
    ("geoscf: {max_missing: .nan}", "geoscf.max_missing: nan given"),
    ("validation: {maximum: .inf}", "validation.maximum: inf given"),
    ("validation: {sentinels: [985, x]}", 'validation.sentinels[1]: "x" given; allowed: a number in the list.'),
    (
        "validation: {sentinels: [985, 985]}",
        "validation.sentinels: a list of 2 values given; allowed: a list of",
    ),
    ("validation: {reference_grade_only: 1}", "validation.reference_grade_only: 1 given; allowed: true or false."),
    ("nature_run: {time_step: 7}", "nature_run.time_step: 7 given; allowed: 1, 2, 3, 4, 5, 6, 10, 12 or 15."),
    ("nature_run: {time_step: 30}", "nature_run.time_step: 30 given"),
    ("nature_run: {margin: 6.1}", "allowed: a multiple of 0.75 from 23.25 to 45."),
    (
        "nature_run: {margin: 25}",
        "nature_run.margin: 25 given; allowed: a multiple of 0.75 from 23.25 to 45. The nearest is 24.75.",
    ),
    ("degradation: {sigma: 0}", "degradation.sigma: 0 given; allowed: a number from 0.1 to 10."),
    (
        "temporal: {training: {learning_rate: 1e-4}}",
        '"1e-4" (text, not a number) given; allowed: a number above 0',
    ),
    ("temporal: {training: {learning_rate: 1e-4}}", "Write 0.0001, without quotes."),
    ("spatial: {training: {learning_rate: 0}}", "spatial.training.learning_rate: 0 given"),
    (
        "spatial: {training: {patch: 2}}",
        "spatial.training.patch: 2 given; allowed: a whole number from 4 to 704 or null.",
    ),
    ("report: {dpi: 1200}", "report.dpi: 1200 given; allowed: a whole number from 30 to 600."),
]


@pytest.mark.parametrize(("change", "expected"), SINGLE)
def test_single_mistake(change, expected):
    found = problems(changed(change), SCHEMA)
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize("place", ["cams", "experiments.real.train.first", "report.dpi"])
def test_missing_key(place):
    config = read("config")
    *above, last = place.split(".")
    part = config
    for key in above:
        part = part[key]
    del part[last]
    found = problems(config, SCHEMA)
    assert len(found) == 1
    assert found[0].startswith(f"{place}: missing; add it (allowed: ")


def test_renamed_key_is_one_mistake():
    config = read("config")
    config["encoding"]["compresion"] = config["encoding"].pop("compression")
    found = problems(config, SCHEMA)
    assert len(found) == 1
    assert 'encoding.compresion: this key is not known; did you mean "compression"?' in found[0]


# Values that do not fit together


BOX = "region: {north: 49.5, west: 65.25, south: 5.25, east: 125.25}"
CROSSED = [
    ('author: {date: "2021-02-31"}', 'author.date: the calendar has no "2021-02-31".'),
    (
        "experiments: {simulation: {test: {first: 2019-12, last: 2020-12}}}",
        "experiments.simulation.test: 2019-12 to 2020-12 given; allowed: months that are not among the training months",
    ),
    ("cams: {last: 2002-12}", 'cams: first "2003-01" is after last "2002-12"'),
    ("geoscf: {last: 2017-12}", 'geoscf: first "2018-01" is after last "2017-12"'),
    ("openaq: {first: 2020-01}", 'openaq: first "2020-01" is after last "2019-12"'),
    (
        "experiments: {real: {train: {first: 2020-12, last: 2020-11}}}",
        'experiments.real.train: first "2020-12" is after',
    ),
    (
        "experiments: {simulation: {train: {first: 2019-12, last: 2019-11}}}",
        'experiments.simulation.train: first "2019-12" is after',
    ),
    (
        "experiments: {simulation: {test: {first: 2020-02, last: 2020-01}}}",
        'experiments.simulation.test: first "2020-02" is after',
    ),
    (
        "experiments: {real: {train: {last: 2021-01}}}",
        "experiments.real.train: 2018-01 to 2021-01 given; allowed: months within geoscf, 2018-01 to 2020-12.",
    ),
    ("experiments: {simulation: {train: {first: 2017-12}}}", "experiments.simulation.train: 2017-12 to 2019-12 given"),
    ("experiments: {simulation: {test: {last: 2021-01}}}", "experiments.simulation.test: 2020-01 to 2021-01 given"),
    ("cams: {first: 2002-12}", 'cams.first: "2002-12" given; allowed: 2003-01 or later'),
    ("geoscf: {first: 2017-12}", 'geoscf.first: "2017-12" given; allowed: 2018-01 or later'),
    ("{pollutant: co, recipe: published}", "allowed for the pollutant co: corrected."),
    ("geoscf: {last: 2026-01}", 'geoscf.last: "2026-01" given; allowed: 2025-12 or earlier'),
    (
        "openaq: {first: 2021-01, last: 2021-12}",
        "openaq: measurements of 2021-01 to 2021-12 given; allowed: at least one month of the product's",
    ),
    ("openaq: {first: 2002-12, last: 2002-12}", "openaq: measurements of 2002-12 given"),
    (BOX.replace("49.5", "50"), "region: north 50 is not on a 0.75° node (the nearest is 50.25)."),
    (BOX.replace("5.25, east", "60, east"), "region: south 60 must be below north 49.5"),
    (BOX.replace("65.25", "123.75"), "region: it has 60 × 3 coarse nodes; at least 4 × 4 are needed."),
    (BOX.replace("5.25, east", "48, east"), "region: it has 3 × 81 coarse nodes; at least 4 × 4 are needed."),
    (BOX.replace("125.25", "425.25"), "region: west 65.25 must be in -180 … 179.25 and east 425.25 above it by less"),
    ("cams: {source: local}", "cams.path: nothing (null) given; allowed for source local: a pattern such as"),
    (
        "cams: {source: local, path: 'data/{year}.nc'}",
        'cams.path: "data/{year}.nc" given; allowed: a pattern',
    ),
    ("cams: {source: local, path: 'data/{month}.nc'}", 'cams.path: "data/{month}.nc" given'),
    ("cams: {source: local, path: '{year}-{month}-{day}.nc'}", "no other braces"),
    ("cams: {path: '{year}-{month}.nc'}", "allowed for source ads: null. Only source local reads files."),
    ("geoscf: {source: local}", "geoscf.path: nothing (null) given; allowed for source local: a folder."),
    ("pollutant: pm10", "allowed with geoscf.collection aqc_tavg_1hr_g1440x721_v1: pm25, o3, no2, co, so2."),
    ("{pollutant: co, recipe: published}", "allowed for the pollutant co: corrected."),
    ("geoscf: {last: 2026-01}", "allowed: 2025-12 or earlier, the last whole month of version 1."),
    (
        "{geoscf: {collection: aqc_tavg_1hr_glo_L1440x721_slv, first: 2018-01, last: 2020-12}}",
        "allowed for aqc_tavg_1hr_glo_L1440x721_slv: 2025-09 or later. Months before are of version 1",
    ),
    ("geoscf: {source: opendap}", "allowed for the whole globe: portal. OPeNDAP is for small regions."),
    (
        "{geoscf: {source: opendap}, region: {north: 45, west: -90, south: -45, east: 90}}",
        "allowed for a region of 496,129 fine nodes with its halo: portal.",
    ),
    ("meteorology: {source: local}", "meteorology.path: nothing (null) given; allowed for source local: a folder."),
    ("weather_stations: {path: data}", 'weather_stations.path: "data" given; allowed for source isd_lite: null.'),
    ("geoscf: {path: data}", 'geoscf.path: "data" given; allowed for source portal: null.'),
    ("openaq: {source: local}", "openaq.path: nothing (null) given; allowed for source local: a folder."),
    ("openaq: {path: data}", 'openaq.path: "data" given; allowed for source archive: null.'),
    (
        "cams: {source: nature_run}",
        "synthetic and real data mixed (cams nature_run, geoscf portal, openaq archive, meteorology portal, "
        "weather_stations isd_lite); allowed: nature_run for all five, or for none.",
    ),
    ("meteorology: {source: nature_run}", "synthetic and real data mixed"),
    ("weather_stations: {source: nature_run}", "synthetic and real data mixed"),
    ("{geoscf: {source: nature_run}, openaq: {source: nature_run}}", "synthetic and real data mixed"),
    ("results: results/demo", 'results: "results/demo" given, but results/demo is kept for synthetic runs'),
    ("results: results/asia/../demo", "results/demo is kept for synthetic runs"),
    ("results: ./results/tiny/new", "results/tiny is kept for synthetic runs"),
    ("validation: {minimum: 2000}", "validation.minimum: 2000 given; allowed: less than validation.maximum, 2000.0."),
]


@pytest.mark.parametrize("url", ["https://me:secret-word@host", "host/path", "https://host/", "https://host/?key=1"])
def test_addresses_hold_neither_passwords_nor_queries_and_none_is_shown(url):
    found = problems(changed(f"services: {{portal: {{url: '{url}'}}}}"), SCHEMA)
    assert len(found) == 1, found
    assert "allowed: an address that begins with https:// or http://" in found[0]
    assert "secret-word" not in found[0]


def test_the_nature_run_is_of_pm25_alone():
    found = problems(changed("pollutant: o3", "demo"), SCHEMA)
    assert found == ["pollutant: o3 given; allowed where the sources are nature_run: pm25. It simulates no other."]


@pytest.mark.parametrize(("change", "expected"), CROSSED)
def test_values_that_do_not_fit(change, expected):
    found = problems(changed(change), SCHEMA)
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize("root", ["results", "./results", "results/../results", ".", "..", "/scratch/me/results"])
def test_synthetic_run_keeps_out_of_the_production_folder(root):
    found = problems(changed(f"results: {root}", "demo"), SCHEMA)
    assert len(found) == 1, found
    assert "allowed for a synthetic run: a folder of its own" in found[0]


GOOD = [
    ("config", "cams: {source: local, path: '/data/{year}/cams_{year}-{month}.nc', first: 2001-01}"),
    ("config", "{geoscf: {source: local, path: data/portal}, openaq: {source: local, path: data/archive}}"),
    ("config", "geoscf: {source: local, path: data/portal, last: 2030-12}"),
    ("config", "{networks: light, region: {north: 33.0, west: 170.25, south: 26.25, east: 190.5}}"),
    ("config", "region: {north: 90, west: -180, south: -90, east: 179.25}"),
    ("config", "{networks: light, region: {north: 28.5, west: 75, south: 26.25, east: 77.25}}"),
    ("config", "openaq: {first: 2020-12, last: 2022-12}"),
    ("config", "cams: {first: 2019-05, last: 2019-05}"),
    ("config", "{results: /scratch/me/asia, validation: {sentinels: []}, encoding: {mantissa_bits: 23}}"),
    ("demo", "results: /scratch/me/demo"),
    ("demo", "region: null"),
]


@pytest.mark.parametrize(("name", "change"), GOOD)
def test_good_settings_are_let_through(name, change):
    assert problems(changed(change, name), SCHEMA) == []


# All mistakes together


def test_all_mistakes_are_told_at_once():
    config = changed(
        """
        colour: red
        results: "my results"
        region: {north: 50, west: 65.25, south: 5.25, east: 125.25}
        cams: {sorce: ads, first: "2003-1", source: nature_run}
        geoscf: {collection: aqc_tavg_1hr, max_missing: -1}
        openaq: {source: local}
        experiments: {simulation: {test: {first: "2019-06"}}, real: {train: {last: "2023-01"}}}
        encoding: {mantissa_bits: 40, compression: "1"}
        validation: {minimum: 3000.0}
        """
    )
    with pytest.raises(DeepcamsError) as caught:
        require_valid(config, SCHEMA)
    first, *lines, last = str(caught.value).splitlines()
    assert first == "The configuration has 13 mistakes:"
    assert last == "config/README.md explains every key."
    paths = [line.strip().partition(":")[0] for line in lines]
    assert paths == [
        "colour",
        "results",
        "region",
        "cams.sorce",
        "cams.first",
        "geoscf.collection",
        "geoscf.max_missing",
        "openaq.path",
        "experiments.simulation.test",
        "experiments.real.train",
        "encoding.mantissa_bits",
        "encoding.compression",
        "validation.minimum",
    ]


def test_a_broken_value_does_not_hide_conditions_on_others():
    config = changed("{cams: {first: yesterday}, validation: {minimum: 5000}, openaq: {first: 2019-02, last: 2019-01}}")
    found = problems(config, SCHEMA)
    assert [text.partition(":")[0] for text in found] == ["cams.first", "openaq", "validation.minimum"]


ODD = [
    None, True, -5, 0, 3.7, 1e300, float("nan"), "", "none", "x" * 500, "2018-01", "a: {b}", [], [1, "two"], {},
    {"first": 3}, {"north": 1}, {7: 8}, datetime.date(2018, 1, 1), "local", "nature_run", "{year}", 10**400,
]  # fmt: skip


def test_nothing_makes_the_check_stumble_or_chatter():
    """Odd values everywhere: plain short sentences come back, never another error, a traceback or the schema."""
    generator = random.Random(20)
    paths = [path for path, _ in leaves(SCHEMA["properties"])]
    told = 0
    for _ in range(400):
        config = copy.deepcopy(read_cached())
        for _ in range(generator.randint(1, 4)):
            *above, last = generator.choice(paths)
            part = config
            for key in above:
                part = part[key] if isinstance(part, dict) and isinstance(part.get(key), dict) else None
                if part is None:
                    break
            if part is not None:
                part[generator.choice([last, last, last, f"{last}x", 5])] = copy.deepcopy(generator.choice(ODD))
        found = problems(config, SCHEMA)
        assert restore_types(config, SCHEMA).keys() == config.keys()
        for text in found:
            told += 1
            assert "\n" not in text
            assert len(text) < 400, text
            for leak in ("Traceback", "additionalProperties", "$ref", "'type'", "jsonschema", "Error"):
                assert leak not in text
    assert told > 400


_CACHE = {}


def read_cached() -> dict:
    if not _CACHE:
        _CACHE.update(read("tiny"))
    return _CACHE


@pytest.mark.parametrize("config", [None, [], "config.yaml"])
def test_configuration_that_is_none(config):
    found = problems(config, SCHEMA)
    assert len(found) == 1
    assert "it must consist of keys and values" in found[0]


# Text from the command line


def test_text_from_the_command_line_becomes_what_the_schema_wants():
    config = changed(
        """
        encoding: {mantissa_bits: "9"}
        temporal: {training: {learning_rate: 1e-4}}
        validation: {reference_grade_only: "True", sentinels: ["-999", "985"]}
        cams: {path: "null", first: "2004-01"}
        """
    )
    before = copy.deepcopy(config)
    typed = restore_types(config, SCHEMA)
    assert config == before
    assert problems(typed, SCHEMA) == []
    assert typed["encoding"]["mantissa_bits"] == 9
    assert typed["temporal"]["training"]["learning_rate"] == 0.0001
    assert typed["validation"]["reference_grade_only"] is True
    assert typed["validation"]["sentinels"] == [-999, 985]
    assert typed["cams"]["path"] is None
    assert typed["cams"]["first"] == "2004-01"
    assert restore_types(changed("encoding: {mantissa_bits: '9.5'}"))["encoding"]["mantissa_bits"] == "9.5"


@pytest.mark.parametrize("name", FILES)
def test_right_types_stay(name):
    assert restore_types(read(name), SCHEMA) == read(name)


# Digests


def test_digest_is_stable():
    # SHA-256 of {"a":[1,null,true],"b":{"c":0.5}}: a change of the form would make every result stale
    assert digest({"b": {"c": 0.5}, "a": [1, None, True]}) == "3b2719623c431972"
    assert digest({"a": (1.0, None, True), "b": {"c": 0.5}}) == digest({"b": {"c": 0.5}, "a": [1, None, True]})


def test_digest_tells_settings_apart():
    slices = [{"a": 1}, {"a": 2}, {"a": "1"}, {"a": True}, {"a": None}, {"b": 1}, {"a": [1, 2]}, {"a": [2, 1]}, {}]
    assert len({digest(part) for part in slices}) == len(slices)


def test_digest_refuses_what_has_no_one_form():
    for value in (float("nan"), datetime.date(2018, 1, 1)):
        with pytest.raises(DeepcamsError, match="cannot be digested"):
            digest({"a": value})
