"""The simulation experiment: what each job scores, how jobs' scores become tables, and the moments that are shown."""

import numpy as np
import pandas as pd
import pytest

from deepcams.degrade.operators import degrade
from deepcams.errors import DeepcamsError
from deepcams.grid.cut import Cut
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, locate, refine
from deepcams.inference import closure
from deepcams.models import pretrained, spatial_interpolation
from deepcams.models.catalogue import build, make
from deepcams.models.checkpoint import load, save
from deepcams.report.zoom_figure import read_zoom
from deepcams.training.shards import ShardWriter
from deepcams.validation import evaluation, zoom
from deepcams.validation.evaluation import NearRegion, evaluate_month
from deepcams.validation.methods import baselines
from deepcams.validation.published import printed_beside, published
from deepcams.validation.skill import MAIN_BASELINES, compare
from deepcams.validation.tables import configured_method, join, read_days, write_tables

AROUND = coarse_grid(Region(north=45.0, west=0.0, south=25.5, east=24.0))
REGION = Region(north=39.0, west=6.0, south=31.5, east=18.0)
HOURS = 6 * 24 + 1


@pytest.fixture(scope="module", autouse=True)
def shipped(tmp_path_factory):
    """Small stand-ins for the networks that come with the package."""
    folder = tmp_path_factory.mktemp("pretrained")
    for stage, network in (("temporal", "flow_residual"), ("spatial", "pixel_shuffle")):
        settings = {"network": network, "recipe": "corrected", "features": 4}
        weights = {name: value.numpy() for name, value in make(stage, network, settings).state_dict().items()}
        save(folder / f"{stage}.safetensors", stage, network, settings=settings, weights=weights, provenance={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "path", lambda stage: folder / f"{stage}.safetensors")
        yield


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Six days of January over the Mediterranean and a halo: a missing hour, and in another one a missing value."""
    fine_grid = refine(AROUND)
    rng = np.random.default_rng(7)
    fine = 30 + np.cumsum(rng.normal(size=(HOURS, *fine_grid.shape)), axis=0).astype(np.float32)
    fine[31] = np.nan
    fine[60, 40, 48] = np.nan
    coarse = degrade(fine, fine_grid, "block_mean")
    times = np.datetime64("2020-01-26T00:30:00", "s") + np.arange(HOURS) * np.timedelta64(3600, "s")
    root = tmp_path_factory.mktemp("experiment")
    folder = root / "shards" / "2020-01"
    with ShardWriter(folder, times, fine_grid, AROUND, {"operator": "block_mean", "sigma": 1.0}) as writer:
        writer.write(0, fine, coarse)
    for stage, network in (("temporal", "nearest"), ("spatial", "lanczos3")):
        save(root / f"{stage}.safetensors", stage, network, settings={"network": network}, weights={}, provenance={})
    return folder, fine, coarse


def models(shard, *stages):
    return {stage: shard[0].parents[1] / f"{stage}.safetensors" for stage in stages}


def scored(shard, stage, name, networks, root, **options):
    """The two files of a job."""
    folder = root / stage / name
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "2020-01.csv", folder / "2020-01-days.csv"
    options = {"region": REGION, "halo": 8, **options}
    evaluate_month(stage, shard[0] / "index.json", networks, files[0], days=files[1], name=name, **options)
    return files


def test_a_month_is_scored_in_time_where_networks_are_used_and_as_in_the_paper(shard, tmp_path):
    _, fine, coarse = shard
    scores, sums = map(pd.read_csv, scored(shard, "temporal", "baselines", {}, tmp_path, region=None))
    assert list(scores)[:4] == ["month", "step", "method", "frames"]
    assert list(sums) == ["step", "day", "method", "n", "squared_error", "absolute_error"]
    names = [method.name for method in baselines("temporal")]
    assert list(zip(scores["step"], scores["method"], strict=True)) == [(s, n) for s in (0.75, 0.25) for n in names]
    for step, field in ((0.75, coarse[:, 1:-1, 1:-1].astype(float)), (0.25, fine.astype(float))):
        expected = {}
        for k in range(0, 144, 3):
            for j in (1, 2):
                error = ((3 - j) * field[k] + j * field[k + 3]) / 3 - field[k + j]
                expected.setdefault((k + j) // 24, []).append(error[np.isfinite(error)])
        linear = scores[(scores["step"] == step) & (scores["method"] == "linear")].iloc[0]
        errors = np.concatenate([part for parts in expected.values() for part in parts])
        assert linear["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
        daily = sums[(sums["step"] == step) & (sums["method"] == "linear")]
        assert list(daily["day"]) == [f"2020-01-{day}" for day in range(26, 32)]
        squares = [sum(np.sum(error**2) for error in expected[day]) for day in range(6)]
        assert daily["squared_error"].to_numpy() == pytest.approx(np.array(squares), rel=1e-4)
        assert daily["n"].iloc[1] == daily["n"].iloc[0] * 15 // 16  # the missing hour


def test_so_many_intervals_and_hours_are_scored_as_are_asked_for(shard, tmp_path):
    whole, part = (
        pd.read_csv(scored(shard, "temporal", "baselines", {}, tmp_path, every=every)[1]) for every in (1, 5)
    )
    linear = part[(part["method"] == "linear") & (part["step"] == 0.75)]
    assert list(linear["day"].str[-2:]) == [str(day) for day in range(26, 32)]
    full = whole[(whole["method"] == "linear") & (whole["step"] == 0.75)]
    # Of 48 windows those numbered 0, 5, ..., of which day 0 has two, and so on; the tenth has the missing hour.
    assert list((16 * linear["n"].to_numpy() / full["n"].iloc[0]).round()) == [4, 3, 2, 4, 2, 4]
    assert pd.read_csv(scored(shard, "spatial", "baselines", {}, tmp_path, every=7)[0])["frames"].iloc[0] == 21


def test_in_space_every_operator_is_scored_the_configured_one_first(shard, tmp_path):
    scores, sums = map(pd.read_csv, scored(shard, "spatial", "lanczos3", models(shard, "spatial"), tmp_path))
    assert list(scores[["degradation", "frames"]].itertuples(index=False, name=None)) == [
        ("block_mean", 144), ("imresize", 24), ("gaussian", 24), ("point", 24),
    ]  # fmt: skip
    assert list(sums)[:4] == ["step", "degradation", "day", "method"]
    _, fine, _ = shard
    rows, columns = locate(refine(coarse_grid(REGION)), refine(AROUND))
    hours = [hour for hour in range(0, 144, 6) if hour != 60]  # where the point is taken there is no value then
    points = degrade(fine[hours], refine(AROUND), "point")
    found = spatial_interpolation.lanczos3().refine(points, AROUND)
    errors = (found.astype(float) - fine[hours])[:, rows][:, :, columns]
    daily = sums[(sums["degradation"] == "point") & (sums["day"] == "2020-01-26")].iloc[0]
    assert daily["squared_error"] == pytest.approx(np.sum(errors[:4] ** 2), rel=1e-4)
    shard_of_points = {"operator": "bicubic", "sigma": 1.0}
    times = np.datetime64("2020-01-26T00:30:00", "s") + np.arange(24) * np.timedelta64(3600, "s")
    folder = tmp_path / "2020-01"
    with ShardWriter(folder, times, refine(AROUND), AROUND, shard_of_points) as writer:
        writer.write(0, fine[:24], degrade(fine[:24], refine(AROUND), "bicubic"))
    evaluate_month("spatial", folder / "index.json", {}, tmp_path / "s.csv")
    assert list(pd.read_csv(tmp_path / "s.csv")["degradation"].unique()) == [
        "bicubic", "block_mean", "imresize", "gaussian",
    ]  # fmt: skip


def test_a_pair_is_scored_in_both_orders_and_closed_as_configured(shard, tmp_path):
    pair = models(shard, "temporal", "spatial")
    names = {
        ("own", "block_mean"): ["nearest+lanczos3+closure", "lanczos3+closure+nearest"],
        ("own", "none"): ["nearest+lanczos3", "lanczos3+nearest"],
        ("pretrained", "block_mean"): ["pretrained+closure", "pretrained+closure, space first"],
    }
    for (name, closed), expected in names.items():
        files = scored(shard, "joint", name, pair if name == "own" else {}, tmp_path, closure=closed)
        assert list(pd.read_csv(files[0])["method"]) == expected
    first = pd.read_csv(scored(shard, "joint", "own", pair, tmp_path, closure="none")[0])
    assert first["rmse"].iloc[0] == pytest.approx(first["rmse"].iloc[1], rel=1e-5)  # nearest in time commutes


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_a_network_gives_the_same_in_a_region_whether_the_rest_is_computed_or_not(stage):
    rng = np.random.default_rng(3)
    shipped = {"temporal": {"features": 8, "recipe": "corrected"}, "spatial": {"features": 8, "recipe": "corrected"}}
    name = {"temporal": "flow_residual", "spatial": "pixel_shuffle"}[stage]
    module = make(stage, name, shipped[stage])
    weights = {
        key: 0.1 * rng.standard_normal(value.shape).astype(np.float32) for key, value in module.state_dict().items()
    }
    network = build(stage, name, weights, shipped[stage])
    grid = coarse_grid(REGION, 40)
    near = NearRegion(network, REGION, network.halo)
    first, last = rng.gamma(2, 5, (2, *grid.shape)).astype(np.float32)
    if stage == "temporal":
        time = np.datetime64("2020-01-01T00:30:00", "s")
        whole, part = (n.between(first, last, (1 / 3, 2 / 3), grid, time) for n in (network, near))
        rows, columns = locate(coarse_grid(REGION), grid)
    else:
        whole, part = (n.refine(first[None], grid) for n in (network, near))
        rows, columns = locate(refine(coarse_grid(REGION)), refine(grid))
    np.testing.assert_allclose(part[:, rows, columns], whole[:, rows, columns], rtol=1e-4, atol=1e-4)
    assert np.isnan(part).mean() > 0.3


@pytest.mark.parametrize(("west", "halo"), [(-180.0, 5), (170.25, 5), (0.0, 300)])
def test_a_box_is_cut_out_across_the_date_line_too(west, halo):
    globe = coarse_globe()
    box = coarse_grid(Region(north=60.0, west=west, south=51.0, east=west + 15.0))
    cut = Cut(box, globe, halo)
    field = np.add.outer(globe.latitude, 1000 * (globe.longitude % 360.0))
    found = cut.of(field)
    assert found.shape == cut.grid.shape
    np.testing.assert_allclose(found, np.add.outer(cut.grid.latitude, 1000 * (cut.grid.longitude % 360.0)))
    rows, columns = locate(box, cut.grid)
    inside = locate(box, globe)
    np.testing.assert_array_equal(found[rows][:, columns], field[inside[0]][:, inside[1]])
    assert cut.grid.is_periodic == (halo == 300)


@pytest.mark.parametrize(("north", "south"), [(87.0, 78.0), (-78.0, -87.0)])
def test_a_box_that_reaches_a_pole_is_cut_out_with_all_that_is_around_the_pole(north, south):
    globe = coarse_globe()
    box = coarse_grid(Region(north=north, west=0.0, south=south, east=15.0))
    assert Cut(box, globe, 3).grid.shape == (19, 27)
    cut = Cut(box, globe, 4)
    assert cut.grid.is_periodic and cut.grid.shape == (21, 480)
    assert cut.grid.has_north_pole == (north > 0) and cut.grid.has_south_pole == (south < 0)


def test_a_box_is_cut_out_of_a_box_as_far_as_that_goes():
    grid, box = coarse_grid(REGION, 4), coarse_grid(REGION)
    near, wide = Cut(box, grid, 2), Cut(box, grid, 9)
    np.testing.assert_allclose(near.grid.latitude, coarse_grid(REGION, 2).latitude)
    np.testing.assert_allclose(near.grid.longitude, coarse_grid(REGION, 2).longitude)
    assert wide.grid.shape == grid.shape
    field = np.random.default_rng(0).normal(size=grid.shape)
    np.testing.assert_array_equal(near.of(field), field[2:-2, 2:-2])
    np.testing.assert_array_equal(wide.of(field), field)


@pytest.fixture(scope="module")
def jobs(shard, tmp_path_factory):
    """All jobs of a month, and what their configured one is called."""
    root = tmp_path_factory.mktemp("evaluation")
    for stage in ("temporal", "spatial", "joint"):
        networks = models(shard, *(("temporal", "spatial") if stage == "joint" else (stage,)))
        for name, files in (("baselines", {}), ("pretrained", {}), ("own", networks)):
            scored(shard, stage, name, files, root, closure="block_mean")
    return root


def files_of(jobs, stage, kind=""):
    return [jobs / stage / name / f"2020-01{kind}.csv" for name in ("baselines", "pretrained", "own")]


@pytest.mark.parametrize("stage", ["temporal", "spatial", "joint"])
def test_methods_that_are_scored_apart_are_scored_on_the_same_nodes(stage, jobs):
    """A missing value spreads differently in each; what a job scores must not depend on what else it scores."""
    counts = []
    for path in files_of(jobs, stage, "-days"):
        table = pd.read_csv(path)
        keys = [key for key in ("step", "degradation", "day") if key in table]
        counts.append(table.groupby(keys)["n"].agg(["min", "max"]))
        assert (counts[-1]["min"] == counts[-1]["max"]).all()
        assert counts[-1].equals(counts[0])


def test_jobs_are_joined_and_a_configured_interpolation_remains_a_baseline(jobs):
    table = join(files_of(jobs, "temporal"), "own")
    assert list(table["method"])[:5] == ["linear", "linear_as_printed", "optical_flow", "pretrained", "nearest"]
    assert list(table["step"]) == [0.75] * 5 + [0.25] * 5
    nearest = table[table["method"] == "nearest"]
    assert nearest["configured"].all() and nearest["baseline"].all() and set(nearest["group"]) == {"own"}
    assert not table.loc[table["method"] != "nearest", "configured"].any()
    assert set(table.loc[~table["baseline"], "method"]) == {"pretrained"}
    pair = join(files_of(jobs, "joint"), "own")
    assert list(pair.loc[pair["configured"], "method"]) == ["nearest+lanczos3+closure"]
    assert list(pair["method"])[-2:] == ["nearest+lanczos3+closure", "lanczos3+closure+nearest"]


def test_months_follow_one_another_in_a_joined_table(jobs, tmp_path):
    months = ("2019-12", "2020-01")
    paths = []
    for name in ("baselines", "own"):
        for month in months:
            (tmp_path / name).mkdir(exist_ok=True)
            part = pd.read_csv(jobs / "spatial" / name / "2020-01.csv", dtype=str).assign(month=month)
            part.to_csv(tmp_path / name / f"{month}.csv", index=False)
            paths.append(tmp_path / name / f"{month}.csv")
    table = join(paths, "own")
    places = list(table[["month", "degradation"]].drop_duplicates().itertuples(index=False, name=None))
    operators = ["block_mean", "imresize", "gaussian", "point"]
    assert places == [(month, operator) for month in months for operator in operators]


@pytest.mark.parametrize("stage", ["temporal", "spatial", "joint"])
def test_tables_have_the_papers_layout_with_what_it_prints_beside_ours(stage, jobs, tmp_path):
    table = join(files_of(jobs, stage), "own")
    write_tables(stage, table, tmp_path / "t.csv", tmp_path / "l.csv", tmp_path / "t.md", {(0.25, ""): "A note.\n"})
    assert configured_method(tmp_path / "t.csv") == table.loc[table["configured"], "method"].iloc[0]
    layout = pd.read_csv(tmp_path / "l.csv")
    assert list(layout["month"]) == ["2020-01", "average"] * (2 if stage == "temporal" else 1)
    text = (tmp_path / "t.md").read_text()
    main = MAIN_BASELINES[stage]
    ours = table[(table["step"] == layout["step"].iloc[-1]) & (table["method"] == main)]["rmse_mean_of_frames"].iloc[0]
    assert layout[f"rmse {main}"].iloc[-1] == pytest.approx(ours, rel=1e-5)
    assert f" {ours:.2f} |" in text
    first = text.splitlines()[4]
    expected = {
        "temporal": ("linear_as_printed", "linear", "nearest"),
        "spatial": ("bicubic", "bicubic+closure", "lanczos3+closure"),
        "joint": ("linear_as_printed+bicubic", "linear+bicubic", "linear+bicubic+closure", "nearest+lanczos3+closure"),
    }[stage]
    assert first.startswith("| month | " + " | ".join(f"R {name}" for name in expected))
    if stage == "joint":
        assert "DeepCAMS, printed |" not in text
        return
    beside = [line for line in text.splitlines() if "R DeepCAMS, printed |" in line]
    assert len(beside) == 1  # in time only at 0.25°
    names = {"temporal": "Linear", "spatial": "Bicubic"}
    row = layout.iloc[-2]
    january = {"temporal": (0.9541, 8.63, 0.35), "spatial": (0.96, 8.42, 0.44)}[stage]
    assert row[f"r {names[stage]}, printed"] == january[0]
    assert (row["rmse DeepCAMS, printed"], row["mae DeepCAMS, printed"]) == january[1:]
    assert ("repeats Table 2" in text, "Under other degradations" in text) == ((stage == "spatial",) * 2)
    assert ("A note." in text) == (stage == "temporal")


def test_what_the_paper_prints_agrees_with_its_own_averages():
    for stage, baseline in (("temporal", "Linear"), ("spatial", "Bicubic")):
        table = published(stage)
        assert list(table["method"].unique()) == [baseline, "DeepCAMS"]
        months = table[table["month"] != "average"]
        assert len(months) == 24
        for score, rounding in (("r", 1e-4), ("rmse", 0.01), ("mae", 0.01)):
            means = months.groupby("method")[score].mean()
            printed = table[table["month"] == "average"].set_index("method")[score]
            assert (means - printed).abs().max() <= rounding
    assert published("joint") is None


def test_printed_scores_stand_beside_the_same_calendar_months():
    found = printed_beside("spatial", ["2018-07", "2018-08"]).set_index(["month", "method"])
    assert found.loc[("2018-07", "Bicubic"), "r"] == 0.9735
    assert found.loc[("average", "DeepCAMS"), "mae"] == pytest.approx(0.315)
    year = printed_beside("temporal", [f"2020-{month:02d}" for month in range(1, 13)])
    assert list(year[year["month"] == "average"]["rmse"]) == [5.30, 4.46]
    assert printed_beside("joint", ["2020-01"]) is None


def test_daily_sums_are_read_as_they_were_joined_and_compared(jobs, tmp_path):
    days = join(files_of(jobs, "joint", "-days"), "own")
    days.to_csv(tmp_path / "joint_days.csv", index=False)
    rows = compare("joint", read_days(tmp_path / "joint_days.csv"))
    networks = ["nearest+lanczos3+closure", "pretrained+closure", "pretrained+closure, space first"]
    networks.append("lanczos3+closure+nearest")
    assert list(dict.fromkeys(row.configured for row in rows if row.kind != "order")) == networks
    orders = {(row.configured, row.baseline) for row in rows if row.kind == "order"}
    assert orders == {(networks[0], networks[3]), (networks[1], networks[2])}


def test_a_month_without_any_value_has_no_days_and_no_scores(shard, tmp_path):
    times = np.datetime64("2020-01-26T00:30:00", "s") + np.arange(24) * np.timedelta64(3600, "s")
    empty = np.full((24, *refine(AROUND).shape), np.nan, dtype=np.float32)
    with ShardWriter(
        tmp_path / "2020-01", times, refine(AROUND), AROUND, {"operator": "block_mean", "sigma": 1.0}
    ) as writer:
        writer.write(0, empty, empty[:, ::3, ::3])
    evaluate_month(
        "spatial", tmp_path / "2020-01/index.json", models(shard, "spatial"), tmp_path / "s.csv",
        days=tmp_path / "d.csv",
    )  # fmt: skip
    assert pd.read_csv(tmp_path / "d.csv").empty
    assert pd.read_csv(tmp_path / "s.csv")["rmse"].isna().all()
    assert compare("spatial", join([tmp_path / "d.csv"], "x")) == []


def test_only_the_region_and_the_months_own_hours_are_scored_in_space(shard, tmp_path):
    """A shard has a halo around the region and the next month's first hour; neither belongs to the score."""
    nearest = pd.read_csv(scored(shard, "spatial", "baselines", {}, tmp_path)[0]).query("degradation == 'block_mean'")
    nearest = nearest.set_index("method").loc["conservative"]
    rows, columns = locate(refine(coarse_grid(REGION)), refine(AROUND))
    _, fine, coarse = shard
    blocks = np.repeat(np.repeat(coarse, 3, axis=1), 3, axis=2)[:, 1:-1, 1:-1]
    hours = [hour for hour in range(144) if hour not in (31, 60)]
    error = (blocks - fine)[hours][:, rows][:, :, columns].astype(float)
    assert nearest["frames"] == 144
    assert nearest["n"] == pytest.approx(error.size, rel=0.01)  # but around the missing value
    assert nearest["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-3)


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_a_zoom_shows_truth_input_baseline_and_network_of_a_moment_in_the_region(stage, shard, tmp_path):
    folder, fine, coarse = shard
    options = {"region": REGION, "halo": 8, "closure": "none"}
    model = models(shard, stage)[stage]
    moment = "2020-01-27T16:30"  # hour 40: between 39 and 42
    asked = [moment, "2019-01-01T00:30"]
    zoom.cut_zoom(stage, [folder / "index.json"], model, tmp_path / "z.npz", moments=asked, **options)
    read_zoom(tmp_path / "z.npz")  # as it is drawn
    with np.load(tmp_path / "z.npz") as file:
        assert str(file["stage"]) == stage
        network = {"temporal": "nearest", "spatial": "lanczos3"}[stage]
        assert list(file["names"]) == [MAIN_BASELINES[stage], network]
        assert list(file["time"]) == [np.datetime64(moment)]
        shown = {key: file[key][0] for key in file.files if key not in ("stage", "names")}
    box = Grid(shown["latitude"], shown["longitude"], 0.25)
    rows, columns = locate(box, refine(AROUND))
    locate(box, refine(coarse_grid(REGION)))  # raises if it were not inside
    np.testing.assert_array_equal(shown["truth"], fine[40, rows][:, columns])
    if stage == "temporal":
        linear = (2 * fine[39].astype(float) + fine[42]) / 3
        np.testing.assert_allclose(shown["baseline"], linear[rows][:, columns], rtol=1e-5)
        np.testing.assert_array_equal(shown["network"], fine[39, rows][:, columns])
        np.testing.assert_array_equal(shown["input"][1], fine[42, rows][:, columns])
        assert list(shown["input_time"]) == [np.datetime64("2020-01-27T15:30"), np.datetime64("2020-01-27T18:30")]
    else:
        refined = spatial_interpolation.lanczos3().refine(coarse[40][None], AROUND)[0]
        np.testing.assert_allclose(shown["network"], np.maximum(refined[rows][:, columns], 0), rtol=1e-4)
        nodes = locate(Grid(box.latitude[::3], box.longitude[::3], 0.75), AROUND)
        np.testing.assert_array_equal(shown["input"], coarse[40][nodes[0]][:, nodes[1]])


def test_a_zoom_without_moments_shows_the_middle_of_the_month(shard, tmp_path):
    arguments = [shard[0] / "index.json"], models(shard, "temporal")["temporal"], tmp_path / "z.npz"
    zoom.cut_zoom("temporal", *arguments, region=REGION, halo=8)
    with np.load(tmp_path / "z.npz") as file:
        assert list(file["time"]) == [np.datetime64("2020-01-28T23:30")]  # hour 71; 72 is an analysis


def test_the_halo_in_space_is_what_networks_closure_and_a_network_after_them_reach():
    halos = {stage: load(pretrained.path(stage), stage).halo for stage in ("temporal", "spatial")}
    assert halos["spatial"] + closure.HALO["block_mean"] + np.ceil(halos["temporal"] / 3) <= evaluation.HALO_IN_SPACE


def test_tables_of_nothing_are_refused(tmp_path):
    with pytest.raises(DeepcamsError, match="no scores"):
        write_tables("joint", pd.DataFrame(), tmp_path / "a", tmp_path / "b", tmp_path / "c")
