"""The kernels of least squares against solutions by other means, and on the real sample."""

import numpy as np
import pytest
import torch

from deepcams.degrade.operators import degrade
from deepcams.errors import DeepcamsError
from deepcams.grid.blocks import coarse_within
from deepcams.grid.nodes import Grid, Region, coarse_grid, from_axes, refine, row_weights
from deepcams.models import spatial_interpolation
from deepcams.models.catalogue import build
from deepcams.models.kernels import bicubic_kernels
from deepcams.models.least_squares import LeastSquares
from deepcams.training.least_squares import FLOOR, solve
from deepcams.training.shards import Shard
from deepcams.validation.scores import Method, score

BOX = coarse_grid(Region(30.0, 60.0, 9.0, 84.0))  # 29 × 33 nodes
BAND = Grid(52.5 - 7.5 * np.arange(15), -180 + 7.5 * np.arange(48), 7.5)  # all around


def shard(fine, coarse, grid, own=None):
    return Shard(
        fine=fine.astype(np.float32),
        coarse=coarse.astype(np.float32),
        times=np.datetime64("2018-07-01T00:30", "s") + np.arange(len(fine)) * np.timedelta64(3600, "s"),
        fine_grid=refine(grid),
        coarse_grid=grid,
        operator="block_mean",
        parameters={},
        own=own or len(fine),
    )


def kernels(module):
    return module.kernel.detach().double().numpy()[:, 0]


def refined(coarse, weights, grid):
    """Fine fields by the kernels, node by node."""
    wide = np.pad(coarse, ((0, 0), (3, 3), (3, 3)), mode="edge")
    if grid.is_periodic:
        wide = np.pad(np.pad(coarse, ((0, 0), (3, 3), (0, 0)), mode="edge"), ((0, 0), (0, 0), (3, 3)), mode="wrap")
    fine = np.zeros((len(coarse), *refine(grid).shape))
    for phase, kernel in enumerate(weights):
        below, right = phase // 3 - 1, phase % 3 - 1
        for row in range(grid.shape[0]):
            for column in range(grid.shape[1]):
                i, j = 3 * row + below, 3 * column + right
                if grid.is_periodic:
                    j %= fine.shape[2]
                if 0 <= i < fine.shape[1] and 0 <= j < fine.shape[2]:
                    fine[:, i, j] = np.tensordot(wide[:, row : row + 7, column : column + 7], kernel)
    return fine


def without_directions(weights):
    """Kernels as a field's eight mirrored and turned versions ask for."""
    square = weights.reshape(3, 3, 7, 7)
    versions = [np.rot90(np.rot90(square, k, (0, 1)), k, (2, 3)) for k in range(4)]
    versions += [version.transpose(1, 0, 3, 2) for version in versions]
    return np.mean(versions, axis=0).reshape(9, 7, 7)


@pytest.mark.parametrize("grid", [BOX, BAND], ids=["box", "round the globe"])
def test_kernels_that_made_the_fine_field_are_found(grid):
    rng = np.random.default_rng(0)
    truth = without_directions(rng.normal(0, 0.1, (9, 7, 7)))
    coarse = rng.gamma(2, 10, (5, *grid.shape))
    module = LeastSquares()
    row = solve(module, [shard(refined(coarse, truth, grid), coarse, grid)])
    np.testing.assert_allclose(kernels(module), truth, atol=2e-3)
    assert row["rmse"] < 0.02 * row["baseline_rmse"]
    assert row["loss"] < 1e-3


def test_the_solution_is_that_of_numpy():
    rng = np.random.default_rng(1)
    fine = rng.gamma(2, 10, (5, *refine(BOX).shape))
    coarse = degrade(fine, refine(BOX), "block_mean")
    module = LeastSquares()
    row = solve(module, [shard(fine, coarse, BOX)])
    lines, values = [], []
    for hour in (0, 3):  # every third of the hours but the last one, which is held out
        for i in range(4, BOX.shape[0] - 4):  # three for the kernel, one for block means at the edge
            for j in range(4, BOX.shape[1] - 4):
                around = coarse[hour, i - 3 : i + 4, j - 3 : j + 4]
                block = fine[hour, 3 * i - 1 : 3 * i + 2, 3 * j - 1 : 3 * j + 2]
                weight = np.sqrt(row_weights(BOX)[i]) / (around.mean() + FLOOR)
                for a, b in ((around, block), (around.T, block.T)):
                    for turn in range(4):
                        lines.append(weight * np.rot90(a, turn).ravel())
                        values.append(weight * np.rot90(b, turn).ravel())
    expected, residuals, _, _ = np.linalg.lstsq(np.array(lines), np.array(values), rcond=None)
    np.testing.assert_allclose(kernels(module).reshape(9, 49), expected.T, atol=2e-3)
    areas = np.repeat(row_weights(BOX)[4:-4], 2 * (BOX.shape[1] - 8)).sum()
    assert row["loss"] == pytest.approx(residuals.sum() / 8 / 9 / areas, rel=1e-3)
    inside = np.s_[4:5, 11:-11, 11:-11]
    estimate = build("spatial", "bicubic").refine(coarse, BOX)
    assert row["baseline_rmse"] == pytest.approx(np.sqrt(np.mean((estimate - fine)[inside] ** 2)), rel=1e-5)


def test_where_fields_leave_weights_open_they_stay_bicubic():
    module = LeastSquares()
    solve(module, [shard(np.full((3, *refine(BOX).shape), 7.0), np.full((3, *BOX.shape), 7.0), BOX)])
    np.testing.assert_allclose(kernels(module), bicubic_kernels(), atol=1e-5)


def test_shards_count_together_and_missing_values_do_not():
    rng = np.random.default_rng(2)
    truth = without_directions(rng.normal(0, 0.1, (9, 7, 7)))
    coarse = rng.gamma(2, 10, (5, *BOX.shape))
    fine = refined(coarse, truth, BOX)
    fine[0, 40, 50] = np.nan
    coarse[3, 12, 12] = np.nan
    parts = [shard(fine, coarse, BOX), shard(fine[::-1], coarse[::-1], BOX)]
    module = LeastSquares()
    solve(module, parts)
    np.testing.assert_allclose(kernels(module), truth, atol=2e-3)


def test_fields_that_are_too_small_or_missing_are_refused():
    small = coarse_grid(Region(15.0, 60.0, 9.75, 66.0))  # 8 × 9 nodes
    with pytest.raises(DeepcamsError, match="8 × 9 coarse nodes; least_squares needs 9"):
        solve(LeastSquares(), [shard(np.ones((3, *refine(small).shape)), np.ones((3, *small.shape)), small)])
    gone = shard(np.full((3, *refine(BOX).shape), np.nan), np.ones((3, *BOX.shape)), BOX)
    with pytest.raises(DeepcamsError, match="no complete block"):
        solve(LeastSquares(), [gone])


def test_held_out_hours_teach_nothing_and_are_scored():
    rng = np.random.default_rng(4)
    coarse = rng.gamma(2, 10, (7, *BOX.shape))
    fine = refined(coarse, bicubic_kernels(), BOX)
    other = fine.copy()
    other[6] *= 2  # the tenth of the hours that is held out
    modules = LeastSquares(), LeastSquares()
    rows = [solve(module, [shard(field, coarse, BOX)]) for module, field in zip(modules, (fine, other), strict=True)]
    np.testing.assert_array_equal(*map(kernels, modules))
    assert rows[0]["rmse"] < 1e-3 < 1 < rows[1]["rmse"]


def test_fields_are_not_changed():
    fine = np.random.default_rng(3).gamma(2, 10, (5, *refine(BOX).shape))
    given = shard(fine, degrade(fine, refine(BOX), "block_mean"), BOX)
    before = given.fine.copy(), given.coarse.copy()
    solve(LeastSquares(), [given])
    np.testing.assert_array_equal(given.fine, before[0])
    np.testing.assert_array_equal(given.coarse, before[1])


@pytest.mark.real
@pytest.mark.parametrize(("train", "test", "gain"), [(0, 1, 0.11), (1, 0, 0.07)])
def test_on_geos_cf_kernels_of_one_half_are_better_than_bicubic_on_the_other(train, test, gain, real_samples):
    import xarray as xr

    with xr.open_dataset(real_samples / "geoscf_pm25_west_4h.nc") as data:
        grid = from_axes(data["lat"].values, data["lon"].values)[0]
        fields = data["PM25_RH35_GCC"].values[:, 0, ::-1]

    def half(number):
        columns = (slice(0, 346), slice(373, 719))[number]
        part = Grid(grid.latitude, grid.longitude[columns], 0.25)
        coarse, rows, inside = coarse_within(part)
        return fields[:, rows, columns][:, :, inside], coarse

    fine, coarse = half(train)
    every = fine[[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]]  # the first of three is learnt from; the last is held out
    module = LeastSquares()
    solve(module, [shard(every, degrade(every, refine(coarse), "block_mean"), coarse)])
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    fine, coarse = half(test)
    methods = [
        Method("bicubic", spatial=spatial_interpolation.bicubic()),
        Method("kernels", spatial=build("spatial", "least_squares", weights)),
    ]
    found = score("spatial", fine, refine(coarse), operator="block_mean", methods=methods)["methods"]
    assert found["kernels"]["rmse"] == pytest.approx((1 - gain) * found["bicubic"]["rmse"], rel=0.01)


def test_the_network_is_bicubic_before_it_is_solved_for():
    coarse = torch.randn(1, 1, 12, 12)
    expected = np.tensordot(
        np.lib.stride_tricks.sliding_window_view(coarse[0, 0].numpy(), (7, 7)), bicubic_kernels(), ((2, 3), (1, 2))
    )
    found = LeastSquares()(coarse)[0, 0].detach().numpy().reshape(6, 3, 6, 3).swapaxes(1, 2).reshape(6, 6, 9)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
