"""Scoring of downscaling: what is compared with what, margins, regions, and the figures of a real sample."""

import json

import numpy as np
import pytest

from deepcams.degrade.operators import OPERATORS, degrade
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, fine_globe, from_axes, refine, row_weights
from deepcams.grid.resample import upsample
from deepcams.inference.closure import close
from deepcams.models import spatial_interpolation, temporal_interpolation
from deepcams.validation.scores import Method, baselines, daily_rows, rows, score

GLOBE, FINE = coarse_globe(), fine_globe()
BOX = coarse_grid(Region(45.0, 165.0, 0.0, 210.0))  # across the date line
BOX_FINE = refine(BOX)


@pytest.fixture(scope="module")
def fields():
    """Seven hours on the box, smooth in space and time, positive."""
    rng = np.random.default_rng(0)
    nodes = rng.lognormal(1, 0.7, (7, *BOX.shape))
    nodes = np.cumsum(nodes, axis=0) / 3
    return np.maximum(upsample(nodes, BOX, "bicubic"), 0.01).astype(np.float32)


def rmse(estimate, truth):
    return np.sqrt(np.mean((estimate.astype(float) - truth) ** 2))


def test_temporal_scores_the_two_hours_inside_each_window(fields):
    result = score("temporal", fields, BOX_FINE)
    estimates = [2 / 3 * fields[0] + 1 / 3 * fields[3], 1 / 3 * fields[0] + 2 / 3 * fields[3]]
    estimates += [2 / 3 * fields[3] + 1 / 3 * fields[6], 1 / 3 * fields[3] + 2 / 3 * fields[6]]
    linear = result["methods"]["linear"]
    assert result["frames"] == 4
    assert linear["rmse"] == pytest.approx(rmse(np.stack(estimates), fields[[1, 2, 4, 5]]), rel=1e-5)
    assert result["methods"]["linear_as_printed"]["rmse"] > linear["rmse"]
    assert result["margin"] == {"nodes": 0, "degrees": 0.0}
    assert result["nodes"] == list(BOX_FINE.shape)
    assert result["degradation"] is None
    assert set(result["methods"]) == {"linear", "nearest", "linear_as_printed", "optical_flow"}


def test_temporal_after_degradation_is_scored_on_coarse_nodes(fields):
    result = score("temporal", fields[:4], BOX_FINE, operator="block_mean")
    coarse = degrade(fields[:4], BOX_FINE, "block_mean")[:, 1:-1, 1:-1]
    estimates = np.stack([2 / 3 * coarse[0] + 1 / 3 * coarse[3], 1 / 3 * coarse[0] + 2 / 3 * coarse[3]])
    assert result["step"] == 0.75
    assert result["methods"]["linear"]["rmse"] == pytest.approx(rmse(estimates, coarse[1:3]), rel=1e-5)


@pytest.mark.parametrize("operator", OPERATORS)
def test_spatial_degrades_all_and_scores_inside_the_margin(operator, fields):
    result = score("spatial", fields, BOX_FINE, operator=operator)
    fine = upsample(degrade(fields, BOX_FINE, operator), BOX)
    lost = {"imresize": 6, "gaussian": 6}.get(operator, 3)
    inside = (slice(None), slice(lost, -lost), slice(lost, -lost))
    assert result["margin"]["nodes"] == lost
    assert result["frames"] == 7
    assert result["methods"]["bicubic"]["rmse"] == pytest.approx(rmse(fine[inside], fields[inside]), rel=1e-6)
    closed = close(fine, degrade(fields, BOX_FINE, operator), BOX)
    assert result["methods"]["bicubic+closure"]["rmse"] == pytest.approx(rmse(closed[inside], fields[inside]), rel=1e-6)


def test_joint_goes_through_time_and_then_space(fields):
    result = score("joint", fields[:4], BOX_FINE, operator="point")
    coarse = degrade(fields[:4], BOX_FINE, "point")
    between = np.stack([2 / 3 * coarse[0] + 1 / 3 * coarse[3], 1 / 3 * coarse[0] + 2 / 3 * coarse[3]])
    inside = (slice(None), slice(3, -3), slice(3, -3))
    expected = rmse(upsample(between, BOX)[inside], fields[1:3][inside])
    assert result["frames"] == 2
    assert result["methods"]["linear+bicubic"]["rmse"] == pytest.approx(expected, rel=1e-5)


def test_weighted_scores_use_the_cells_areas_and_frame_means_are_means_of_frames(fields):
    result = score("spatial", fields, BOX_FINE, operator="point")["methods"]["bicubic"]
    inside = (slice(None), slice(3, -3), slice(3, -3))
    error = (upsample(fields[:, ::3, ::3], BOX).astype(float) - fields)[inside]
    weights = np.broadcast_to(row_weights(BOX_FINE)[3:-3, None], error.shape)
    assert result["weighted"]["rmse"] == pytest.approx(np.sqrt(np.average(error**2, weights=weights)), rel=1e-6)
    assert result["weighted"]["mae"] == pytest.approx(np.average(np.abs(error), weights=weights), rel=1e-6)
    per_frame = np.sqrt((error**2).mean(axis=(1, 2)))
    assert result["mean_of_frames"]["rmse"] == pytest.approx(per_frame.mean(), rel=1e-6)


def test_the_globe_loses_nothing_and_a_region_is_cut_after_degrading():
    rng = np.random.default_rng(1)
    field = np.maximum(upsample(rng.lognormal(1, 1, (1, 241, 480)), GLOBE), 0).astype(np.float32)
    whole = score("spatial", field, FINE, operator="gaussian")
    assert whole["nodes"] == [721, 1440]
    assert whole["margin"]["nodes"] == 6
    assert whole["region"] == {"north": 90.0, "west": -180.0, "south": -90.0, "east": 179.75}
    fine = upsample(degrade(field, FINE, "gaussian"), GLOBE)
    part = score("spatial", field, FINE, operator="gaussian", region=(20.0, 170.0, -10.0, 200.0))
    rows_, columns = slice(280, 401), np.arange(1400, 1521) % 1440
    assert part["region"] == {"north": 20.0, "west": 170.0, "south": -10.0, "east": 200.0}
    assert part["nodes"] == [121, 121]
    expected = rmse(fine[:, rows_][..., columns], field[:, rows_][..., columns])
    assert part["methods"]["bicubic"]["rmse"] == pytest.approx(expected, rel=1e-6)
    again = score("spatial", field, FINE, operator="gaussian", region=(20.0, 170.0, -10.0, -160.0))
    assert again["methods"] == part["methods"]


def test_region_edges_need_not_be_nodes_and_the_margin_wins(fields):
    result = score("spatial", fields, BOX_FINE, operator="block_mean", region=(40.1, -190.0, -5.0, -170.1))
    assert result["region"] == {"north": 40.0, "west": 170.0, "south": 0.75, "east": 189.75}
    with pytest.raises(DeepcamsError, match="Nothing is left to score"):
        score("spatial", fields, BOX_FINE, operator="block_mean", region=(40.0, 0.0, 0.0, 20.0))
    with pytest.raises(DeepcamsError, match="Nothing is left to score"):
        score("spatial", fields, BOX_FINE, operator="block_mean", region=(45.0, 165.0, 44.5, 210.0))


def test_a_file_off_the_coarse_nodes_is_widened_to_them(fields):
    off = Grid(BOX_FINE.latitude[1:-1], BOX_FINE.longitude[2:-1], 0.25)
    part = fields[:, 1:-1, 2:-1]
    widened = np.pad(part, ((0, 0), (1, 1), (2, 1)), mode="edge")
    fine = upsample(degrade(widened, BOX_FINE, "block_mean"), BOX)[:, 1:-1, 2:-1]
    inside = (slice(None), slice(3, -3), slice(3, -3))
    result = score("spatial", part, off, operator="block_mean")
    assert result["nodes"] == [part.shape[1] - 6, part.shape[2] - 6]
    assert result["methods"]["bicubic"]["rmse"] == pytest.approx(rmse(fine[inside], part[inside]), rel=1e-6)


def test_frames_may_come_one_by_one_or_from_disk(fields, tmp_path):
    np.save(tmp_path / "fields.npy", fields)
    mapped = np.load(tmp_path / "fields.npy", mmap_mode="r")
    for stage, operator in (("temporal", None), ("spatial", "point"), ("joint", "block_mean")):
        expected = score(stage, fields, BOX_FINE, operator=operator)
        assert score(stage, (frame for frame in fields), BOX_FINE, operator=operator) == expected
        assert score(stage, mapped, BOX_FINE, operator=operator) == expected


def test_memory_is_bounded_by_a_window():
    """Frames are asked for one at a time and dropped: no more than a window of them lives at once."""
    import weakref

    alive, most = [], 0
    rng = np.random.default_rng(2)

    def stream():
        nonlocal most
        for _ in range(31):
            frame = rng.random(BOX_FINE.shape).astype(np.float32)
            alive.append(weakref.ref(frame))
            most = max(most, sum(reference() is not None for reference in alive))
            yield frame
            del frame

    result = score("joint", stream(), BOX_FINE, operator="point")
    assert result["frames"] == 20
    assert most <= 6


def test_coarse_frames_can_be_given(fields):
    coarse = degrade(fields, BOX_FINE, "gaussian")
    for stage in ("spatial", "joint", "temporal"):
        given = score(stage, fields, BOX_FINE, operator="gaussian", coarse=coarse)
        assert given == score(stage, fields, BOX_FINE, operator="gaussian")
    with pytest.raises(DeepcamsError, match="needs its coarse one"):
        score("spatial", fields, BOX_FINE, operator="gaussian", coarse=coarse[:3])


def test_missing_values_are_left_out_of_the_pairs(fields):
    holed = fields.copy()
    holed[1, 60, 60] = np.nan
    result = score("temporal", holed[:4], BOX_FINE)["methods"]["linear"]
    assert result["n"] == 2 * np.prod(BOX_FINE.shape) - 1
    holed[3] = np.nan  # a missing hour: two windows without an end
    gone = score("temporal", holed, BOX_FINE)["methods"]["linear"]
    assert gone["n"] == 0
    assert gone["rmse"] is None
    json.dumps(gone, allow_nan=False)


def test_own_networks_stand_beside_the_baselines(fields):
    class Truth:
        halo = 0

        def between(self, first, last, fractions, grid, time):
            assert grid == BOX_FINE and time is None
            return fields[1:3].copy()

    result = score("temporal", fields[:4], BOX_FINE, methods=[*baselines("temporal"), Method("own", temporal=Truth())])
    assert result["methods"]["own"]["rmse"] == 0
    assert list(result["methods"])[-1] == "own"


def test_networks_are_told_the_grid_of_their_frames_and_the_time_of_the_first(fields):
    seen = []

    class Spy:
        halo = 0

        def between(self, first, last, fractions, grid, time):
            seen.append(((grid.shape, grid.latitude[0], grid.longitude[0], grid.step), time))
            return np.stack([first, last])

    times = np.datetime64("2018-07-01T21:30", "m") + np.arange(7) * np.timedelta64(60, "m")
    spy = Method("spy", temporal=Spy(), spatial=spatial_interpolation.bicubic())
    for stage, operator in (("temporal", None), ("temporal", "point"), ("joint", "point")):
        score(stage, fields, BOX_FINE, methods=[spy], operator=operator, times=times)
    starts = [np.datetime64("2018-07-01T21:30:00"), np.datetime64("2018-07-02T00:30:00")]
    assert [time for _, time in seen] == starts * 3
    grids = [(grid.shape, grid.latitude[0], grid.longitude[0], grid.step) for grid in (BOX_FINE, BOX)]
    assert [grid for grid, _ in seen] == grids[:1] * 2 + grids[1:] * 4


@pytest.mark.parametrize(
    ("stage", "operator", "frames"),
    [
        ("temporal", None, {"2018-07-01": [1, 2], "2018-07-02": [4, 5]}),
        ("joint", "point", {"2018-07-01": [1, 2], "2018-07-02": [4, 5]}),
        ("spatial", "point", {"2018-07-01": [0, 1, 2], "2018-07-02": [3, 4, 5, 6]}),
    ],
)
def test_sums_of_each_utc_day_are_those_of_its_scored_frames(stage, operator, frames, fields):
    times = np.datetime64("2018-07-01T21:30:00", "s") + np.arange(7) * np.timedelta64(3600, "s")
    holed = fields.copy()
    holed[1, 60, 60] = np.nan
    whole = score(stage, holed, BOX_FINE, operator=operator, times=times)
    assert set(whole["days"]) == set(whole["methods"])
    name = baselines(stage)[0].name
    for entry, (day, chosen) in zip(whole["days"][name], frames.items(), strict=True):
        assert entry["day"] == day
        first, last = (0, 3) if day == "2018-07-01" else (3, 6)
        part = holed[first : last + 1] if stage != "spatial" else holed[chosen]
        alone = score(stage, part, BOX_FINE, operator=operator)["methods"][name]
        assert entry["n"] == alone["n"]
        assert entry["squared_error"] == pytest.approx(alone["n"] * alone["rmse"] ** 2)
        assert entry["absolute_error"] == pytest.approx(alone["n"] * alone["mae"])
    assert [sum(entry["n"] for entry in days) for days in whole["days"].values()] == [
        scores["n"] for scores in whole["methods"].values()
    ]
    json.dumps(whole, allow_nan=False)


def test_daily_rows_are_flat_and_need_times(fields):
    times = np.datetime64("2018-07-01", "s") + np.arange(7) * np.timedelta64(3600, "s")
    result = score("temporal", fields, BOX_FINE, times=times)
    assert [(row["day"], row["method"]) for row in daily_rows(result)] == [
        ("2018-07-01", method.name) for method in baselines("temporal")
    ]
    assert list(daily_rows(result)[0]) == ["day", "method", "n", "squared_error", "absolute_error"]
    assert "days" not in score("temporal", fields, BOX_FINE)
    with pytest.raises(ValueError, match="more fields than the 5 times"):
        score("temporal", fields, BOX_FINE, times=times[:5])


def test_rows_are_flat(fields):
    table = rows(score("spatial", fields[:2], BOX_FINE, operator="point"))
    assert [row["method"] for row in table] == [method.name for method in baselines("spatial")]
    assert {"frames", "n", "r", "rmse", "mae", "rmse_weighted", "mae_weighted", "r_weighted"} <= set(table[0])
    assert "rmse_mean_of_frames" in table[0]
    assert not any(isinstance(value, dict) for row in table for value in row.values())


def test_mistakes_are_explained(fields):
    with pytest.raises(DeepcamsError, match="no stage 'space'"):
        score("space", fields, BOX_FINE, operator="point")
    with pytest.raises(DeepcamsError, match="needs a degradation"):
        score("spatial", fields, BOX_FINE)
    with pytest.raises(DeepcamsError, match="Unknown degradation"):
        score("spatial", fields, BOX_FINE, operator="blur")
    with pytest.raises(DeepcamsError, match="at least 4 consecutive"):
        score("temporal", fields[:3], BOX_FINE)
    with pytest.raises(DeepcamsError, match="at least one frame"):
        score("spatial", fields[:0], BOX_FINE, operator="point")
    with pytest.raises(DeepcamsError, match="is not on"):
        score("spatial", fields[:, 1:], BOX_FINE, operator="point")
    linear, bicubic = temporal_interpolation.linear(), spatial_interpolation.bicubic()
    with pytest.raises(DeepcamsError, match="has no spatial network"):
        score("joint", fields, BOX_FINE, operator="point", methods=[Method("half", temporal=linear)])
    with pytest.raises(DeepcamsError, match="a name of its own"):
        score("spatial", fields, BOX_FINE, operator="point", methods=[Method("a", spatial=bicubic)] * 2)


@pytest.fixture(scope="module")
def sample(real_samples):
    import xarray as xr

    with xr.open_dataset(real_samples / "geoscf_pm25_west_4h.nc") as data:
        grid, flip, _ = from_axes(data["lat"].values, data["lon"].values)
        assert flip
        return data["PM25_RH35_GCC"].values[:, 0, ::-1], grid


ATLANTIC = (90.0, -85.0, -90.0, -1.0)


@pytest.mark.real
def test_linear_in_time_on_geos_cf(sample):
    fields, grid = sample
    result = score("temporal", fields, grid, region=ATLANTIC)
    linear = result["methods"]["linear"]
    assert result["nodes"] == [721, 337]
    assert linear["rmse"] == pytest.approx(1.0685, abs=1e-4)
    assert linear["mae"] == pytest.approx(0.2028, abs=1e-4)
    # The paper's weights, the wrong way round, nearly treble the error.
    assert result["methods"]["linear_as_printed"]["rmse"] > 2.5 * linear["rmse"]


@pytest.mark.real
@pytest.mark.parametrize(
    ("stage", "operator", "method", "rmse_", "mae"),
    [
        ("spatial", "block_mean", "bicubic", 1.84, 0.354),
        ("spatial", "point", "bicubic", 1.85, 0.325),
        ("joint", "block_mean", "linear+bicubic", 2.14, 0.434),
    ],
)
def test_cubic_in_space_on_geos_cf(stage, operator, method, rmse_, mae, sample):
    fields, grid = sample
    result = score(stage, fields, grid, operator=operator, region=ATLANTIC)
    assert result["region"]["east"] == -1.0
    assert result["methods"][method]["rmse"] == pytest.approx(rmse_, rel=0.005)
    assert result["methods"][method]["mae"] == pytest.approx(mae, rel=0.005)


@pytest.mark.real
def test_closure_gains_on_geos_cf_when_the_input_is_a_block_mean(sample):
    fields, grid = sample
    methods = score("spatial", fields, grid, operator="block_mean", region=ATLANTIC)["methods"]
    assert methods["bicubic+closure"]["rmse"] < 0.87 * methods["bicubic"]["rmse"]
    assert methods["bicubic+closure"]["mae"] < 0.89 * methods["bicubic"]["mae"]


def test_all_methods_are_scored_on_the_same_nodes_where_values_are_missing():
    """Kernels spread a missing value over different supports; a fair comparison leaves out all of them."""
    grid = fine_globe()
    field = np.random.default_rng(2).gamma(2, 10, (1, *grid.shape)).astype(np.float32)
    field[:, [0, -1]] = 5.0
    field[0, 300:320, 700:730] = np.nan
    methods = score("spatial", field, grid, operator="block_mean")["methods"]
    assert len({scores["n"] for scores in methods.values()}) == 1
