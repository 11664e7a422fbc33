"""The fusion network, and whole fields made with it: reach, edges, poles, backgrounds and missing values."""

import numpy as np
import pytest
import torch

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, fine_globe
from deepcams.models import catalogue
from deepcams.models.checkpoint import load, save
from deepcams.models.fusion import within_reach
from deepcams.models.fusion_frames import FusionFrames
from deepcams.models.pointconv import PointConv

SETTINGS = {
    "variables": ["wind_speed"],
    "static": ["elevation"],
    "features": 2,
    "recipe": "corrected",
    "background": "none",
    "reading": "corrected",
}
BOX = Grid(40 - 0.25 * np.arange(35), 100 + 0.25 * np.arange(52), 0.25)


def module(*, taught=True, **changes):
    """Before training, or with weights as if after it."""
    torch.manual_seed(0)
    made = catalogue.make("fusion", "pointconv_unetpp", SETTINGS | changes)
    if taught:
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def frames(**changes):
    return FusionFrames(module(**changes))


def observed(grid, share=0.02, seed=0, level=15.0):
    """Values with nonsense where there is no station, and where they are: (H, W) float32 each."""
    random = np.random.default_rng(seed)
    valid = (random.random(grid.shape) < share).astype(np.float32)
    return np.where(valid > 0, random.gamma(2.0, level, grid.shape), -999).astype(np.float32), valid


def away(grid, place):
    """Nodes from each node to one: (H, W)."""
    return np.hypot(np.arange(grid.shape[0])[:, None] - place[0], np.arange(grid.shape[1]) - place[1])


def one(grid, *places):
    """Stations at (row, column, value)."""
    values, valid = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    for row, column, value in places:
        values[row, column], valid[row, column] = value, 1
    return values, valid


def smooth(grid, seed=5):
    """A background: (H, W) float32, ug m-3."""
    rows, columns = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)
    return (20 + 5 * np.sin(3 * rows + seed) + 8 * np.cos(rows) * np.cos(4 * columns)).astype(np.float32)


def static(grid):
    return [np.cos(np.radians(grid.latitude))[:, None] * np.sin(2 * np.radians(grid.longitude))]


def estimated(network, grid, pollutant, background=None, others=None):
    others = {"wind_speed": observed(grid, seed=9, level=2.0)} if others is None else others
    return network.estimate(pollutant, others, static(grid), grid, background)


def cap(rows, *, south=False):
    """A whole circle of rows around a pole."""
    latitude = 90 - 0.25 * np.arange(rows)
    return Grid(-latitude[::-1] if south else latitude, fine_globe().longitude, 0.25)


# The network


def test_halo_is_what_both_parts_draw_on_as_a_multiple_of_16():
    made = module()
    assert (made.points.reach, made.field.reach, made.halo) == (15, 123, 144)
    assert made.halo >= made.points.reach + made.field.reach


@pytest.mark.parametrize(
    ("recipe", "background", "channels"),
    [("corrected", "none", 3 * 3 + 2), ("corrected", "product", 3 * 3 + 2 + 1), ("published", "none", 3 + 2)],
)
def test_the_field_is_made_of_estimates_weights_supports_static_fields_and_background(recipe, background, channels):
    made = module(
        recipe=recipe,
        background=background,
        variables=["relative_humidity", "wind_speed"],
        static=["elevation", "land"],
        features=16,
        taught=False,
    )
    assert made.field.nodes["0_0"][0].in_channels == channels
    assert 2.29e6 < sum(parameter.numel() for parameter in made.parameters()) < 2.3e6
    assert made.transform.name == ("asinh" if recipe == "corrected" else "over_50")


def test_untaught_it_is_the_weighted_mean_of_what_is_near():
    pollutant = observed(BOX)
    found = estimated(frames(taught=False), BOX, pollutant)
    values, valid = (torch.from_numpy(part)[None, None] for part in pollutant)
    with torch.no_grad():
        expected = torch.sinh(PointConv(1)(torch.asinh(values), valid)[0])[0, 0].numpy()
    assert (expected > 1).mean() > 0.9
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_untaught_with_a_background_it_spreads_the_difference_and_adds_it():
    background = np.full(BOX.shape, 20, np.float32)
    found = estimated(frames(taught=False, background="product"), BOX, one(BOX, (17, 26, 35.0)), background)
    np.testing.assert_allclose(found[14:21, 23:30], 35, rtol=5e-3)
    assert found[17, 26] == pytest.approx(35, rel=1e-3)
    # Further away the station's share falls, alike in all directions.
    distance = away(BOX, (17, 26))
    share, step = 1 - np.exp(-20 * (1 - (distance / 15) ** 2) ** 2), np.asinh(35) - np.asinh(20)
    near = distance < 15
    np.testing.assert_allclose(found[near], np.sinh(np.asinh(20) + share * step)[near], rtol=4e-3)
    np.testing.assert_array_equal(found[~near], 20)


def test_the_share_of_the_stations_is_one_among_them_and_nothing_out_of_their_reach():
    valid = torch.zeros(1, 1, 40, 60, dtype=torch.float64)
    valid[..., 20:] = 1
    share = within_reach(valid)[0, 0, 20]
    torch.testing.assert_close(share[20:], torch.ones(40, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(share[:6], torch.zeros(6, dtype=torch.float64), rtol=0, atol=0)
    assert (share[6:21].diff() >= 0).all() and share[6] > 0
    # Two stations, by the sum over both.
    valid[:] = 0
    valid[0, 0, 10, 10] = valid[0, 0, 12, 20] = 1
    grid = Grid(40 - 0.25 * np.arange(40), 0.25 * np.arange(60), 0.25)
    weights = [np.clip(1 - (away(grid, place) / 15) ** 2, 0, None) ** 2 for place in ((10, 10), (12, 20))]
    np.testing.assert_allclose(within_reach(valid)[0, 0].numpy(), 1 - np.exp(-20 * sum(weights)), atol=2e-6)


@pytest.mark.parametrize("changes", [{}, {"background": "product"}, {"recipe": "published"}, {"reading": "as_printed"}])
def test_no_field_is_negative_or_missing(changes):
    background = smooth(BOX) if "background" in changes else None
    found = estimated(frames(**changes), BOX, observed(BOX, level=1.0), background)
    assert (found.dtype, found.shape) == (np.float32, BOX.shape)
    assert np.isfinite(found).all()
    assert found.min() >= 0


def test_a_published_network_gives_fifty_times_its_output_and_sees_values_over_fifty():
    made = module(recipe="published", variables=[])
    pollutant = observed(BOX)
    values, valid = (torch.from_numpy(part)[None, None] for part in pollutant)
    fields = torch.from_numpy(np.stack(static(BOX)).astype(np.float32))[None]
    with torch.no_grad():
        spread = made.points(values / 50, valid)[0]
        expected = 50 * torch.relu(made.field(torch.cat([spread, fields], dim=1)))[0, 0].numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(estimated(FusionFrames(made), BOX, pollutant), expected, rtol=1e-3, atol=1e-3)


def test_humidity_and_wind_are_seen_over_their_scales():
    variables = ["relative_humidity", "wind_speed"]
    made = module(variables=variables)
    seen = []
    made.points.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    others = {name: observed(BOX, seed=n, level=0.3) for n, name in enumerate(variables)}
    estimated(FusionFrames(made), BOX, observed(BOX, seed=7), others=dict(reversed(others.items())))
    values, valid = (part[0].numpy() for part in seen[0])
    for place, (name, scale) in enumerate((("relative_humidity", 1), ("wind_speed", 5)), start=1):
        np.testing.assert_array_equal(valid[place], others[name][1])
        where = valid[place] > 0
        np.testing.assert_allclose(values[place][where], others[name][0][where] / scale, rtol=1e-6)


def test_a_variable_that_is_not_given_is_observed_nowhere():
    network, pollutant = frames(), observed(BOX)
    nowhere = {"wind_speed": (np.full(BOX.shape, 7, np.float32), np.zeros(BOX.shape, np.float32))}
    found = estimated(network, BOX, pollutant, others={})
    np.testing.assert_array_equal(found, estimated(network, BOX, pollutant, others=nowhere))
    assert np.abs(found - estimated(network, BOX, pollutant)).max() > 0.01


# Edges of the globe


@pytest.fixture(scope="module")
def north():
    """A cap with stations on all sides of the pole, its field, and the network that made it."""
    grid, network = cap(160), frames(background="product")
    pollutant, others = observed(grid, share=0.01), {"wind_speed": observed(grid, seed=9, level=2.0)}
    background = smooth(grid)
    background[0] = background[0].mean()
    return grid, network, pollutant, others, background, estimated(network, grid, pollutant, background, others)


def flattened(field, column):
    """Around the pole and `column`, 144 nodes to all sides: straight on over the pole, and round the date line."""
    height, width = field.shape
    flat = np.empty((144 + height, 304), field.dtype)
    for row in range(-144, height):
        beyond = width // 2 if row < 0 else 0
        flat[row + 144] = field[abs(row), (np.arange(column - 144, column + 160) + beyond) % width]
    return flat


@pytest.mark.parametrize("column", [0, 720, 1424])
def test_over_the_pole_and_the_date_line_a_field_goes_on_as_if_there_was_neither(north, column):
    """A plain field, cut out around the pole, gives the same near it: the halo is as much as the network draws on."""
    grid, network, (values, valid), others, background, field = north
    plain = Grid(60 - 0.25 * np.arange(304), 0.25 * np.arange(304), 0.25)
    cut = [flattened(part, column) for part in (values, valid, *others["wind_speed"], static(grid)[0], background)]
    found = network.estimate((cut[0], cut[1]), {"wind_speed": (cut[2], cut[3])}, [cut[4]], plain, cut[5])
    inner = found[144 + 1 : 144 + 17, 144 : 144 + 16]
    near = field[1:17, (column + np.arange(16)) % 1440]
    assert near.std() > 0.1
    np.testing.assert_allclose(near, inner, rtol=2e-5, atol=2e-5)


def test_turning_the_globe_turns_the_field(north):
    """By any multiple of 16 columns, of which poolings are made."""
    grid, network, pollutant, others, background, field = north
    turned = [np.roll(part, 176, axis=1) for part in (*pollutant, *others["wind_speed"], static(grid)[0], background)]
    found = network.estimate(
        (turned[0], turned[1]), {"wind_speed": (turned[2], turned[3])}, [turned[4]], grid, turned[5]
    )
    np.testing.assert_allclose(found, np.roll(field, 176, axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("south", [False, True])
def test_a_pole_is_one_value_also_where_only_a_part_of_it_is_near_a_station(south):
    grid, network = cap(24, south=south), frames(background="product")
    background = smooth(grid)
    pole, near = (-1, -4) if south else (0, 3)
    background[pole] = 20
    found = estimated(network, grid, one(grid, (near, 300, 60.0)), background, others={})
    assert np.unique(found[pole]).size == 1
    assert found[pole, 0] != 20
    # Three rows from the pole, and beyond it eleven, on the other side.
    changed = found != background
    rows = range(23, -1, -1) if south else range(24)
    across = [changed[row, (300 + 720) % 1440] for row in rows]
    assert across[:12] == [True] * 12 and not any(across[12:])
    here = [changed[row, 300] for row in rows]
    assert here[:18] == [True] * 18 and not any(here[18:])


def test_without_a_background_poles_are_level_as_well():
    grid = cap(24)
    found = estimated(frames(), grid, observed(grid, share=0.01))
    assert np.unique(found[0]).size == 1
    assert np.unique(found[1]).size > 100


def test_a_box_ends_where_it_ends():
    """Nothing is taken from its other side, and longitudes past 180 are as good as others."""
    network, pollutant, background = frames(background="product"), one(BOX, (17, 2, 60.0)), smooth(BOX)
    across = Grid(BOX.latitude, BOX.longitude + 75, 0.25)
    assert across.longitude[0] < 180 < across.longitude[-1]
    found = [network.estimate(pollutant, {}, static(BOX), grid, background) for grid in (BOX, across)]
    np.testing.assert_array_equal(found[0], found[1])
    changed = found[0] != background
    assert changed[17, : 2 + 15].all()
    assert not changed[:, 2 + 15 :].any()


def test_a_band_of_few_rows_goes_round_the_globe():
    band = Grid(30 - 0.25 * np.arange(9), fine_globe().longitude, 0.25)
    background, network = smooth(band), frames(background="product")
    found = estimated(network, band, one(band, (4, 1438, 60.0)), background, others={})
    changed = (found != background).any(axis=0)
    assert np.flatnonzero(changed).tolist() == [*range(13), *range(1438 - 14, 1440)]


# Backgrounds and missing values


def test_where_no_station_is_near_the_background_is_left_to_the_last_bit():
    grid = Grid(40 - 0.25 * np.arange(64), 100 + 0.25 * np.arange(80), 0.25)
    background = np.random.default_rng(3).gamma(2.0, 10.0, grid.shape).astype(np.float32)
    # Wind counts for the field, but where no pollutant is measured nothing is said.
    others = {"wind_speed": observed(grid, share=0.3, level=2.0)}
    found = estimated(
        frames(background="climatology"), grid, one(grid, (0, 10, 90.0), (20, 70, 1.0)), background, others
    )
    near = (away(grid, (0, 10)) < 15) | (away(grid, (20, 70)) < 15)
    np.testing.assert_array_equal(found[~near], background[~near])
    assert (found != background)[near].mean() > 0.99


def test_where_the_background_is_missing_the_field_is_and_its_stations_do_not_count():
    network, background = frames(background="product"), smooth(BOX)
    background[10:14, 30:45] = np.nan
    (values, valid), others = observed(BOX), {"wind_speed": observed(BOX, seed=9, level=2.0)}
    values[12, 40], valid[12, 40] = 500, 1
    found = estimated(network, BOX, (values, valid), background, others)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(background))
    without = [np.where(np.isnan(background), 0, part) for part in (valid, others["wind_speed"][1])]
    again = estimated(
        network, BOX, (values, without[0]), background, {"wind_speed": (others["wind_speed"][0], without[1])}
    )
    np.testing.assert_array_equal(found, again)


def test_without_any_observation_nothing_is_invented():
    none = np.zeros(BOX.shape, np.float32), np.zeros(BOX.shape, np.float32)
    assert np.isnan(estimated(frames(), BOX, none)).all()
    background = smooth(BOX).astype(np.float64)
    background[3, 4] = np.nan
    network = frames(background="product")
    found = estimated(network, BOX, none, background)
    np.testing.assert_array_equal(found, background.astype(np.float32))
    assert found.dtype == np.float32
    # The only station is where the background is missing.
    np.testing.assert_array_equal(estimated(network, BOX, one(BOX, (3, 4, 50.0)), background), found)


def test_what_is_written_where_nothing_was_observed_does_not_count():
    network, (values, valid) = frames(), observed(BOX)
    found = [estimated(network, BOX, (np.where(valid > 0, values, other), valid)) for other in (0, 1e9, np.nan)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_background_that_is_lacking_or_not_wanted_is_refused():
    for background, given, said in (("none", smooth(BOX), "is none: one is"), ("product", None, "is product: none is")):
        with pytest.raises(ValueError, match=f"the network's background {said} given"):
            estimated(frames(background=background), BOX, observed(BOX), given)


# By its model file


def test_a_model_file_makes_the_same_field_bit_by_bit(tmp_path):
    made = module(background="product")
    settings = {"network": "pointconv_unetpp", **SETTINGS, "background": "product", **catalogue.description(made)}
    weights = {name: value.detach().numpy() for name, value in made.state_dict().items()}
    path = tmp_path / "model.safetensors"
    save(path, "fusion", "pointconv_unetpp", settings=settings, weights=weights, provenance={})
    network = load(path, "fusion")
    assert (network.variables, network.static, network.background) == (("wind_speed",), ("elevation",), "product")
    assert (network.halo, network.reach) == (144, 15)
    expected = estimated(FusionFrames(made), BOX, observed(BOX), smooth(BOX))
    np.testing.assert_array_equal(estimated(network, BOX, observed(BOX), smooth(BOX)), expected)
    with pytest.raises(DeepcamsError, match="holds a fusion network"):
        load(path, "spatial")
    with pytest.raises(DeepcamsError, match="was trained with transform 'over_50', and here it runs with 'asinh'"):
        catalogue.build("fusion", "pointconv_unetpp", weights, settings | {"transform": "over_50"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": "as_printed"}, "'as_printed' is none of corrected, published"),
        ({"background": "cams"}, "'cams' is none of none, climatology, product"),
        ({"reading": "literal"}, "'literal' is none of corrected, as_printed"),
        ({"variables": ["wind"]}, "'wind' is none of relative_humidity, wind_speed"),
        ({"recipe": "published", "background": "product"}, "the published recipe knows no background"),
    ],
)
def test_settings_that_cannot_be_are_explained(change, said):
    with pytest.raises(DeepcamsError, match=f"pointconv_unetpp cannot be made from its settings: {said}"):
        catalogue.make("fusion", "pointconv_unetpp", SETTINGS | change)


@pytest.mark.parametrize("changes", [{"background": "product"}, {"recipe": "published"}])
def test_every_weight_learns_from_the_field(changes):
    made = module(**changes)
    with torch.no_grad():
        made.field.head.bias.fill_(1)  # above nought, below which nothing is learnt
    values, valid = (torch.from_numpy(np.stack([part, part]))[None] for part in observed(BOX))
    background = torch.full((1, 1, *BOX.shape), 2.0) if "background" in changes else None
    made(values / 50, valid, torch.rand(1, 1, *BOX.shape), background).square().sum().backward()
    lazy = [name for name, value in made.named_parameters() if value.grad is None or not (value.grad != 0).any()]
    assert not lazy
