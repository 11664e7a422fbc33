"""`deepcams score`: what its table and its JSON say, under one degradation or under each."""

import json

import numpy as np
import pytest

from deepcams.cli.main import main
from deepcams.degrade.operators import OPERATORS
from deepcams.models import pretrained
from tests.unit.test_cli import geoscf_file

HOURS = np.random.default_rng(8).gamma(2, 10, (7, 31, 37)).astype("f4")
STAGES = ("temporal", "spatial", "joint")
BASELINES = {"temporal": "linear", "spatial": "bicubic+closure", "joint": "linear+bicubic+closure"}


@pytest.fixture
def geoscf(tmp_path):
    return geoscf_file(tmp_path / "fine.nc", HOURS)


@pytest.fixture
def scored(capsys):
    """What a command prints, JSON read."""

    def run(*words):
        assert main(["score", *map(str, words)]) == 0
        text = capsys.readouterr().out
        return json.loads(text) if "--json" in words else text

    return run


@pytest.mark.parametrize("stage", STAGES)
def test_the_table_says_what_json_says_and_how_far_from_the_main_baseline(geoscf, scored, stage):
    result = scored(stage, geoscf, "--json")
    head, table = scored(stage, geoscf).split("\n\n")
    assert head.splitlines()[-1] == f"diff.: from {BASELINES[stage]}"
    lines = table.splitlines()
    assert lines[1].split() == ["R", "RMSE", "diff.", "MAE", "diff."] * 2
    assert len(lines) == 2 + len(result["methods"])
    reference = result["methods"][BASELINES[stage]]
    for line, (name, scores) in zip(lines[2:], result["methods"].items(), strict=True):
        expected = []
        for own, other in ((scores, reference), (scores["weighted"], reference["weighted"])):
            expected.append(f"{own['r']:.4f}")
            for key in ("rmse", "mae"):
                per_cent = [f"{100 * (own[key] - other[key]) / other[key]:+.1f}", "%"] if own is not other else []
                expected += [f"{own[key]:.3f}", *per_cent]
        assert line.startswith(name)
        assert line[len(name) :].split() == expected


def test_no_line_is_wider_than_120_characters_and_the_columns_stand_below_their_headings(tmp_path, geoscf, scored):
    deep = tmp_path.joinpath(*["folder"] * 9)
    deep.mkdir(parents=True)
    model = deep / "network.safetensors"
    model.write_bytes(pretrained.path("spatial").read_bytes())
    for stage, models in (("temporal", []), ("spatial", [model]), ("joint", ["linear", model])):
        table = scored(stage, geoscf, *(word for name in models for word in ("--model", name))).split("\n\n")[1]
        lines = table.splitlines()
        assert max(map(len, lines)) <= 120
        end = lines[1].index("R") + 1
        assert {line[end - 7 : end].strip().lstrip("-").replace(".", "").isdecimal() for line in lines[2:]} <= {True}
    assert "…" in lines[-1] and "network.safetensors " in lines[-1]


def test_json_keeps_its_keys_and_names_baseline_and_networks(geoscf, scored):
    result = scored("joint", geoscf, "--json")
    old = {"stage", "degradation", "region", "nodes", "step", "frames", "margin", "methods", "days", "units"}
    assert set(result) == old | {"baseline", "pretrained"}
    assert result["baseline"] == "linear+bicubic+closure"
    assert set(result["pretrained"]) == {"temporal", "spatial"}
    scores = result["methods"]["linear+bicubic"]
    assert {"n", "r", "rmse", "mae", "weighted", "mean_of_frames", "difference_percent"} <= set(scores)
    assert set(scores["difference_percent"]) == {"rmse", "mae"}
    assert "pretrained" not in scored("joint", geoscf, "--json", "--no-pretrained")


@pytest.mark.parametrize("stage", STAGES)
def test_each_degradation_gives_what_it_gives_alone(geoscf, scored, stage):
    results = scored(stage, geoscf, "--degradation", "each", "--sigma", "1.3", "--json")
    operators = [result["degradation"] and result["degradation"]["operator"] for result in results]
    different = [name for name in OPERATORS if name != "bicubic"]  # which is point under another name
    assert sorted(operators, key=str) == sorted([None, *different] if stage == "temporal" else different, key=str)
    for result, operator in zip(results, operators, strict=True):
        words = ["--degradation", operator] if operator else []
        words += ["--sigma", "1.3"] if operator == "gaussian" else []
        assert scored(stage, geoscf, *words, "--json") == result


def test_each_degradation_has_a_table_of_its_own(geoscf, scored):
    text = scored("spatial", geoscf, "--degradation", "each", "--no-pretrained")
    named = [line for line in text.splitlines() if line.startswith("degradation: ")]
    assert named == [f"degradation: {name}" for name in ("block_mean", "imresize", "gaussian", "point")]
    assert text.count("bicubic+closure ") == 4


def test_fields_without_variance_or_error_have_no_correlation_and_no_difference(tmp_path, scored):
    values = np.zeros((4, 31, 37))
    values[:, 0, 0] = 20
    flat = [geoscf_file(tmp_path / "flat.nc", values), "--region", "27", "77", "22", "82"]
    scores = scored("temporal", *flat, "--json")["methods"]["linear"]
    assert scores["r"] is None
    assert scores["difference_percent"] == {"rmse": None, "mae": None}
    row = next(line for line in scored("temporal", *flat).splitlines() if line.startswith("nearest"))
    assert row.split()[1:] == ["-", "0.000", "0.000"] * 2
