"""Methods of both orders: what they do, what is computed once, and the training-free stack on the real sample."""

import numpy as np
import pytest

from deepcams.degrade.operators import degrade
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid, from_axes, refine
from deepcams.grid.resample import upsample
from deepcams.inference.closure import close
from deepcams.models import spatial_interpolation, temporal_interpolation
from deepcams.validation.scores import Method, baselines, score

BOX = coarse_grid(Region(45.0, 165.0, 30.0, 186.0))
FINE = refine(BOX)
INSIDE = np.s_[:, 3:-3, 3:-3]
LINEAR, BICUBIC = temporal_interpolation.linear(), spatial_interpolation.bicubic()
TIMES = np.datetime64("2018-07-01T00:00", "s") + np.arange(7) * np.timedelta64(3600, "s")


@pytest.fixture(scope="module")
def fields():
    """Seven hours with steep plumes."""
    nodes = np.random.default_rng(0).lognormal(1, 1.2, (7, *BOX.shape))
    return np.maximum(upsample(np.cumsum(nodes, axis=0) / 3, BOX, "bicubic"), 0.01).astype(np.float32)


def rmse(estimate, truth):
    return np.sqrt(np.mean((estimate.astype(float) - truth) ** 2))


class Squares:
    """A network for time that is not linear, so that orders differ, and goes below zero; it notes what it was given."""

    halo = 0

    def __init__(self):
        self.seen = []

    def between(self, first, last, fractions, grid, time):
        self.seen.append((first, last, grid, time))
        return np.stack([((1 - t) * first + t * last) ** 2 / 10 - 1 for t in fractions]).astype(np.float32)


class Counting:
    """Bicubic, counting the frames that it refines."""

    halo = 2

    def __init__(self):
        self.frames = 0

    def refine(self, frames, grid):
        self.frames += len(frames)
        return BICUBIC.refine(frames, grid)


@pytest.mark.parametrize("closure", [None, "none", "block_mean"])
@pytest.mark.parametrize("order", ["time_first", "space_first"])
def test_both_orders_do_what_their_names_say(order, closure, fields):
    squares = Squares()
    found = score(
        "joint",
        fields,
        FINE,
        operator="block_mean",
        methods=[Method("own", squares, BICUBIC, closure, order=order)],
        times=TIMES,
    )
    coarse = degrade(fields[::3], FINE, "block_mean")

    def refined(frames):
        fine = upsample(frames, BOX)
        return fine if closure is None else close(fine, frames, BOX, closure)

    def between(frames):
        again = Squares()
        return np.concatenate([again.between(*frames[k : k + 2], (1 / 3, 2 / 3), None, None) for k in (0, 1)])

    expected = refined(between(coarse)) if order == "time_first" else between(refined(coarse))
    if order == "space_first" and closure is not None:
        expected = np.maximum(expected, 0)
    truth = fields[[1, 2, 4, 5]]
    assert found["methods"]["own"]["rmse"] == pytest.approx(rmse(expected[INSIDE], truth[INSIDE]), rel=1e-6)
    step = 0.75 if order == "time_first" else 0.25
    assert [(grid.step, first.shape == grid.shape) for first, _, grid, _ in squares.seen] == [(step, True)] * 2
    assert [time for *_, time in squares.seen] == [TIMES[0], TIMES[3]]


def test_the_order_matters_only_for_both(fields):
    for stage, operator in (("temporal", None), ("spatial", "point")):
        methods = [Method(order, LINEAR, BICUBIC, order=order) for order in ("time_first", "space_first")]
        one, other = score(stage, fields, FINE, operator=operator, methods=methods)["methods"].values()
        assert one == other


def test_an_analysis_is_refined_once_for_all_methods_and_windows(fields):
    counting, squares = Counting(), Squares()
    methods = [
        Method("a", LINEAR, counting, "block_mean", order="space_first"),
        Method("b", squares, counting, "block_mean", order="space_first"),
        Method("c", LINEAR, counting, order="space_first"),
    ]
    score("joint", fields, FINE, operator="block_mean", methods=methods)
    assert counting.frames == 3  # 00, 03 and 06
    assert len(squares.seen) == 2
    assert np.shares_memory(squares.seen[0][1], squares.seen[1][0])


def test_hours_of_one_network_for_time_are_made_once_and_refined_once(fields):
    counting, squares = Counting(), Squares()
    methods = [Method(str(closure), squares, counting, closure) for closure in (None, "none", "block_mean")]
    score("joint", fields, FINE, operator="block_mean", methods=methods)
    assert (len(squares.seen), counting.frames) == (2, 4)


def test_methods_do_not_disturb_one_another(fields):
    methods = [*baselines("joint"), Method("own", Squares(), BICUBIC, "none", order="space_first")]
    together = score("joint", fields, FINE, operator="block_mean", methods=methods)["methods"]
    for method in methods:
        alone = score("joint", fields, FINE, operator="block_mean", methods=[method])["methods"]
        assert alone[method.name] == together[method.name]


def test_missing_values_stay_missing_in_both_orders(fields):
    holed = fields.copy()
    holed[3, 30, 30] = np.nan
    found = score("joint", holed, FINE, operator="block_mean")["methods"]
    whole = score("joint", fields, FINE, operator="block_mean")["methods"]
    lost = {name: whole[name]["n"] - found[name]["n"] for name in whole}
    assert len(set(lost.values())) == 1 and 0 < lost["linear+bicubic"] < whole["linear+bicubic"]["n"] / 2


def test_baselines_are_those_that_tables_compare_with():
    assert {stage: [method.name for method in baselines(stage)] for stage in ("temporal", "spatial", "joint")} == {
        "temporal": ["linear", "nearest", "linear_as_printed", "optical_flow"],
        "spatial": ["nearest", "bilinear", "bicubic", "lanczos3", "conservative", "bicubic+closure"],
        "joint": [
            "linear+bicubic",
            "linear+bilinear",
            "linear+bicubic+closure",
            "linear_as_printed+bicubic",
            "bicubic+closure+optical_flow",
        ],
    }
    assert [method.name for method in baselines("joint") if method.order == "space_first"] == [
        "bicubic+closure+optical_flow"
    ]


def test_an_order_that_is_none_is_refused(fields):
    with pytest.raises(DeepcamsError, match="order 'both'; give time_first or space_first"):
        score("joint", fields, FINE, operator="point", methods=[Method("a", LINEAR, BICUBIC, order="both")])


@pytest.mark.real
@pytest.mark.parametrize(
    ("stage", "operator", "expected"),
    [
        ("temporal", None, {"optical_flow": (0.409, 0.0638)}),
        ("temporal", "block_mean", {"optical_flow": (0.422, 0.0717)}),
        (
            "joint",
            "block_mean",
            {
                "linear+bicubic+closure": (1.490, 0.2639),
                "bicubic+closure+optical_flow": (1.301, 0.2121),
                "time first": (1.386, 0.2324),
            },
        ),
    ],
)
def test_training_free_methods_on_geos_cf(stage, operator, expected, real_samples):
    """Also that motion is better found on the fine grid than on the coarse one."""
    import xarray as xr

    with xr.open_dataset(real_samples / "geoscf_pm25_west_4h.nc") as data:
        fields, grid = data["PM25_RH35_GCC"].values[:, 0, ::-1], from_axes(data["lat"].values, data["lon"].values)[0]
    stack = baselines("joint")[-1]
    methods = [*baselines(stage), Method("time first", stack.temporal, stack.spatial, stack.closure)]
    methods = [method for method in methods if method.name in expected]
    found = score(stage, fields, grid, operator=operator, methods=methods)["methods"]
    scores = {name: (found[name]["rmse"], found[name]["mae"]) for name in expected}
    assert scores == {name: pytest.approx(figures, rel=0.005) for name, figures in expected.items()}
