"""The networks that come with the package: they are carried along, are what their card says, and are the default."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from deepcams.cli.main import main
from deepcams.config.networks import NETWORKS
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.models import pretrained
from deepcams.models.checkpoint import load, read
from deepcams.sources.geoscf import open_geoscf
from deepcams.validation.methods import Method
from deepcams.validation.scores import score
from tests.conftest import ROOT
from tests.unit.test_cli import GEOSCF, cams_file, geoscf_file, product

STAGES = ("temporal", "spatial")


@pytest.fixture
def cams(tmp_path):
    return cams_file(tmp_path / "in.nc", np.random.default_rng(3).gamma(2, 10, (2, 6, 8)).astype("f4"))


@pytest.fixture
def geoscf(tmp_path):
    return geoscf_file(tmp_path / "fine.nc", np.random.default_rng(8).gamma(2, 10, (4, 31, 37)))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A copy of the networks' folder, which is looked into instead."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(pretrained.card().parent, folder)
    monkeypatch.setattr(pretrained, "_folder", lambda: folder)
    return folder


def card_table(name):
    """A table of the card between <!-- name --> and <!-- /name -->: a dictionary a row."""
    block = re.search(rf"^<!-- {name} -->\n(.*?)^<!-- /{name} -->$", pretrained.card().read_text(), re.M | re.S)
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block[1].splitlines())
    assert len(set(head)) == len(head)
    return [dict(zip(head, row, strict=True)) for row in rows]


def names(result):
    return [name for name in result["methods"] if name.startswith("pretrained")]


def test_an_installation_carries_the_networks_and_finding_them_needs_no_torch(tmp_path):
    """What pyproject says belongs to the package, and nothing else, is enough."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["deepcams"]
    source = ROOT / "src" / "deepcams"
    for path in {path for pattern in ("**/*.py", *patterns) for path in source.glob(pattern)}:
        copy = tmp_path / "deepcams" / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    code = (
        "import sys\n"
        "from deepcams.models import pretrained\n"
        "print(*(pretrained.path(stage) for stage in ('temporal', 'spatial')), pretrained.card(), sep='\\n')\n"
        "print('torch' in sys.modules)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    *found, torch = process.stdout.splitlines()
    files = [*(f"{stage}.safetensors" for stage in STAGES), "MODEL_CARD.md"]
    folder = tmp_path / "deepcams" / "pretrained"
    assert found == [str(folder / name) for name in files], process.stderr
    assert torch == "False"
    for name in files:
        assert (folder / name).read_bytes() == (source / "pretrained" / name).read_bytes()


@pytest.mark.parametrize("stage", STAGES)
def test_the_card_names_the_very_files(stage):
    (row,) = (row for row in card_table("files") if row["stage"] == stage)
    path = pretrained.path(stage)
    found = read(path, stage)
    assert row["file"] == path.name
    assert row["SHA-256"] == sha256(path)
    assert row["network"] == found.network == NETWORKS["light"][stage]
    assert int(row["parameters"].replace(",", "")) == sum(tensor.size for tensor in found.weights.values())
    assert path.stat().st_size < 5_000_000


def test_the_card_says_what_must_be_known():
    headings = re.findall(r"^## (.+)$", pretrained.card().read_text(), re.M)
    assert {"Files", "Data", "Training", "Scores", "Limits", "Licence"} <= set(headings)
    assert {row["stage"] for row in card_table("scores")} == {"temporal", "spatial", "joint"}


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("stage", ["temporal", "spatial", "joint"])
def test_the_card_has_the_scores_that_the_command_gives(real_samples, capsys, stage):
    assert main(["score", stage, str(real_samples / GEOSCF), "--degradation", "each", "--json"]) == 0
    results = {
        result["degradation"]["operator"] if result["degradation"] else "none": result
        for result in json.loads(capsys.readouterr().out)
    }
    rows = [row for row in card_table("scores") if row["stage"] == stage]
    said = [(row["degradation"], row["method"]) for row in rows]
    assert sorted(said) == sorted((operator, name) for operator, result in results.items() for name in names(result))
    for row in rows:
        scores = results[row["degradation"]]["methods"][row["method"]]
        for heading, key in (("RMSE", "rmse"), ("MAE", "mae")):
            for cell, value in (
                (row[heading], scores[key]),
                (row[f"{heading} diff."].removesuffix(" %"), scores["difference_percent"][key]),
            ):
                last_digit = 10.0 ** -len(cell.partition(".")[2])
                assert float(cell) == pytest.approx(value, abs=last_digit), row


def test_another_stage_and_a_file_that_lacks_are_told(elsewhere):
    with pytest.raises(DeepcamsError, match=r"no stage 'joint'.*temporal, spatial"):
        pretrained.path("joint")
    (elsewhere / "spatial.safetensors").unlink()
    assert pretrained.path("temporal").parent == elsewhere
    with pytest.raises(DeepcamsError, match=r"lacks its pretrained spatial network .*Install deepcams anew"):
        pretrained.path("spatial")


def test_the_pretrained_pair_is_the_default_and_the_product_says_so(tmp_path, cams, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").write_text("a file of that name changes nothing")
    time, space = (pretrained.path(stage) for stage in STAGES)
    outputs = {}
    for name, words in (
        ("default", []),
        ("by name", ["--temporal", "pretrained", "--spatial", "pretrained"]),
        ("by file", ["--temporal", str(time), "--spatial", str(space)]),
        ("interpolated", ["--temporal", "linear", "--spatial", "bicubic"]),
    ):
        assert main(["downscale", cams, f"{name}.nc", *words]) == 0
        outputs[name] = product(tmp_path / f"{name}.nc")
    fields = {name: output.pm25.values for name, output in outputs.items()}
    np.testing.assert_array_equal(fields["default"], fields["by file"])
    np.testing.assert_array_equal(fields["default"], fields["by name"])
    assert np.abs(fields["default"] - fields["interpolated"]).max() > 0.1
    assert [outputs[name].networks for name in ("default", "by name", "interpolated")] == [
        f"temporal pretrained(flow_residual,sha256:{sha256(time)[:16]}); "
        f"spatial pretrained(pixel_shuffle,sha256:{sha256(space)[:16]})"
    ] * 2 + ["temporal linear; spatial bicubic"]
    assert outputs["by file"].networks == f"temporal file:{sha256(time)[:16]}; spatial file:{sha256(space)[:16]}"


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("temporal", {"pretrained": {}}),
        ("spatial", {"pretrained": {"closure": "none"}, "pretrained+closure": {"closure": "block_mean"}}),
        (
            "joint",
            {
                "pretrained+closure": {"closure": "block_mean"},
                "pretrained+closure, space first": {"closure": "block_mean", "order": "space_first"},
            },
        ),
    ],
)
def test_the_pretrained_networks_are_scored_as_the_product_runs_them(geoscf, capsys, stage, expected):
    assert main(["score", stage, geoscf, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert names(result) == list(expected)
    networks = {part: load(pretrained.path(part), part) for part in (STAGES if stage == "joint" else (stage,))}
    operator = None if stage == "temporal" else "block_mean"
    with open_geoscf(geoscf) as file:
        methods = [Method(name, **networks, **options) for name, options in expected.items()]
        own = score(stage, list(file.frames), file.grid, methods=methods, operator=operator, times=file.times)
    for name, scores in own["methods"].items():
        for key in ("r", "rmse", "mae"):
            assert result["methods"][name][key] == scores[key]
    assert main(["score", stage, geoscf, "--json", "--no-pretrained"]) == 0
    assert names(json.loads(capsys.readouterr().out)) == []


def test_the_pretrained_networks_can_be_mixed_with_others(geoscf, capsys):
    assert main(["score", "joint", geoscf, "--json", "--model", "linear", "--model", "pretrained"]) == 0
    assert "model+linear+pretrained" in json.loads(capsys.readouterr().out)["methods"]


@pytest.mark.parametrize("harm", ["a changed weight", "half a file", "another stage", "no file"])
def test_a_damaged_installation_is_told_and_interpolations_do_without(tmp_path, cams, geoscf, elsewhere, capsys, harm):
    path = elsewhere / "spatial.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 64
    if harm == "no file":
        path.unlink()
    else:
        other = (elsewhere / "temporal.safetensors").read_bytes()
        path.write_bytes({"a changed weight": content, "half a file": content[:5000], "another stage": other}[harm])
    out = tmp_path / "out.nc"
    for words in (["downscale", cams, str(out)], ["score", "spatial", geoscf], ["score", "joint", geoscf]):
        assert main(words) == 1
        error = capsys.readouterr().err
        assert "pretrained spatial network" in error
        assert str(path) in error
        assert re.search(r"(?i)install(ing)? deepcams anew", error)
        assert "Traceback" not in error
        assert not out.exists()
    assert main(["downscale", cams, str(out), "--spatial", "bicubic"]) == 0
    assert main(["score", "spatial", geoscf, "--no-pretrained"]) == 0


@pytest.mark.parametrize("command", ["downscale", "score"])
def test_help_says_where_the_card_is(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert str(ROOT / "src" / "deepcams" / "pretrained" / "MODEL_CARD.md") in capsys.readouterr().out
