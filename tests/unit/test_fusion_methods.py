"""The competitors of fusion: against scikit-learn, PyKrige, sums by hand, and what they promise on the sphere."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.neighbors import KNeighborsRegressor

from deepcams.fusion import inverse_distance as inverse_distance_module
from deepcams.fusion import kriging
from deepcams.fusion.cells import Cells
from deepcams.fusion.competitors import competitors, fold_mean
from deepcams.fusion.inverse_distance import inverse_distance
from deepcams.fusion.kriging import Variogram, fit_curve, fit_variogram, log_kriging, ordinary_kriging
from deepcams.fusion.optimal_interpolation import optimal_interpolation
from deepcams.grid.nodes import EARTH, Region, coarse_grid, fine_globe, refine

ESTIMATES = (inverse_distance, ordinary_kriging, log_kriging)  # optimal interpolation makes increments
EVERY = (*ESTIMATES, optimal_interpolation)
KM = EARTH * np.pi / 180  # of a degree


def network(seed=0, n=40, south=20.0, north=45.0, west=100.0, east=125.0):
    """Stations and positive values that differ smoothly, with noise."""
    rng = np.random.default_rng(seed)
    latitude, longitude = rng.uniform(south, north, n), rng.uniform(west, east, n)
    return latitude, longitude, 40 + 20 * np.sin(latitude / 4) * np.cos(longitude / 5) + rng.normal(size=n)


def haversine(latitude, longitude, at_latitude, at_longitude):
    """Great-circle distances in km, (m, n), by another formula than the code has."""
    a, b = np.radians(at_latitude)[:, None], np.radians(latitude)
    turn = np.radians(at_longitude)[:, None] - np.radians(longitude)
    inner = np.sin((a - b) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(turn / 2) ** 2
    return 2 * EARTH * np.arcsin(np.sqrt(np.clip(inner, 0, 1)))


def ordinary_weights(latitude, longitude, at_latitude, at_longitude, variogram):
    """Weights (m, n) from the bordered system of ordinary kriging, and covariances of observations and targets."""
    n = len(latitude)
    covariance = variogram.sill * np.exp(-haversine(latitude, longitude, latitude, longitude) / variogram.reach)
    covariance += variogram.nugget * np.eye(n)
    system = np.ones((n + 1, n + 1))
    system[:n, :n], system[n, n] = covariance, 0
    right = variogram.sill * np.exp(-haversine(latitude, longitude, at_latitude, at_longitude) / variogram.reach)
    return np.linalg.solve(system, np.vstack([right.T, np.ones(len(right))]))[:n].T, covariance


def test_inverse_distance_weights_the_nearest_as_scikit_learn_does():
    latitude, longitude, value = network(n=60)
    at_latitude, at_longitude, _ = network(seed=1, n=50)
    other = KNeighborsRegressor(12, weights=lambda d: d**-2.0, metric="haversine", algorithm="brute")
    other.fit(np.radians(np.column_stack([latitude, longitude])), value)
    expected = other.predict(np.radians(np.column_stack([at_latitude, at_longitude])))
    found = inverse_distance(latitude, longitude, value, at_latitude, at_longitude)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_inverse_distance_of_two_by_hand():
    found = inverse_distance([0, 0], [0, 3], [10.0, 40.0], [0, 0], [1, 1.5])
    np.testing.assert_allclose(found, [(10 / 1 + 40 / 4) / (1 + 1 / 4), 25], rtol=1e-12)
    assert inverse_distance([0, 0], [0, 3], [10.0, 40.0], [0], [1], power=1)[0] == pytest.approx(20)
    assert inverse_distance([0, 0], [0, 3], [10.0, 40.0], [0], [1], neighbours=1)[0] == pytest.approx(10)


def test_ordinary_kriging_of_two_stations_by_hand():
    variogram = Variogram(nugget=2.0, sill=10.0, reach=300.0)
    at = 1.0  # degrees from the first station, two from the second
    first, second, between = (10 * np.exp(-degrees * KM / 300) for degrees in (at, 3 - at, 3))
    weight = 0.5 + (first - second) / (2 * (12 - between))
    found = ordinary_kriging([0, 0], [0, 3], [10.0, 40.0], [0], [at], variogram=variogram)
    assert found[0] == pytest.approx(weight * 10 + (1 - weight) * 40, rel=1e-9)


def test_ordinary_kriging_is_that_of_pykrige_across_the_date_line():
    # By PyKrige 1.7.3: OrdinaryKriging(longitude, latitude, value, variogram_model="exponential",
    # coordinates_type="geographic", exact_values=False, variogram_parameters={"psill": 400, "nugget": 50,
    # "range": 3 * 500 / (6371 * pi / 180)}).execute("points", …)
    latitude = [35.63, 42.43, 39.39, 25.63, 27.5, 41.84, 20.13, 40.53, 39.93, 31.7, 27.58, 26.96]
    longitude = [172.65, 178.35, 180.14, 181.6, 194.87, 188.78, 183.67, 194.67, 171.46, 169.81, 183.38, 166.32]
    value = [37.5, 32.1, 7.4, 37.3, 16.5, 16.5, 61.8, 30.5, 35.0, 35.3, 7.2, 36.5]
    found = ordinary_kriging(
        latitude, longitude, value, [30, 44, 22, 35], [179, -170, 168, 100], variogram=Variogram(50.0, 400.0, 500.0)
    )
    expected = [26.008999631370116, 23.73911704506437, 33.12353260863077, 30.639471017311067]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_log_kriging_takes_back_logarithms_without_bias():
    latitude, longitude, value = network(n=25)
    at_latitude, at_longitude, _ = network(seed=3, n=7)
    variogram = Variogram(0.05, 0.6, 400.0)
    weights, covariance = ordinary_weights(latitude, longitude, at_latitude, at_longitude, variogram)
    variance = np.einsum("mi,ij,mj->m", weights, covariance, weights)  # of the estimates
    assert (variance < variogram.sill).all()
    expected = np.exp(weights @ np.log1p(value) + (variogram.nugget + variogram.sill - variance) / 2) - 1
    found = log_kriging(latitude, longitude, value, at_latitude, at_longitude, variogram=variogram)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_optimal_interpolation_is_a_gaussian_process_of_zero_mean():
    rng = np.random.default_rng(4)
    longitude, at = rng.uniform(0, 20, 30), np.linspace(-3, 25, 40)
    innovation = rng.normal(3, 5, 30)
    # Along the equator great-circle distances are those of a line. scikit-learn's Matérn of 1/2 is exponential.
    kernel = ConstantKernel(20.0) * Matern(250.0, nu=0.5)
    process = GaussianProcessRegressor(kernel, alpha=4.0, optimizer=None).fit(longitude[:, None] * KM, innovation)
    found = optimal_interpolation(
        np.zeros(30), longitude, innovation, np.zeros(40), at, variogram=Variogram(4.0, 20.0, 250.0)
    )
    np.testing.assert_allclose(found, process.predict(at[:, None] * KM), rtol=1e-6, atol=1e-8)


def test_increments_end_far_from_every_observation():
    latitude, longitude, value = network()
    found = optimal_interpolation(latitude, longitude, value - 30, [-30.0, 32.0], [-70.0, 112.0])
    assert abs(found[0]) < 1e-3 * abs(found[1])


def test_innovations_that_are_all_alike_correct_the_background_where_they_are():
    latitude, longitude, _ = network()
    found = optimal_interpolation(latitude, longitude, np.full(40, -5.0), [*latitude, -30.0], [*longitude, -70.0])
    assert (found[:-1] < -4).all() and (found[:-1] > -5.5).all() and abs(found[-1]) < 1e-3


@pytest.mark.parametrize("method", [ordinary_kriging, log_kriging, optimal_interpolation])
def test_values_come_back_at_stations_without_a_nugget_and_not_with_one(method):
    latitude, longitude, value = network()
    scale = 0.1 if method is log_kriging else 100.0
    exact = method(latitude, longitude, value, latitude, longitude, variogram=Variogram(0.0, scale, 300.0))
    np.testing.assert_allclose(exact, value, rtol=1e-5)
    smooth = method(latitude, longitude, value, latitude, longitude, variogram=Variogram(scale, scale, 300.0))
    assert np.abs(smooth - value).max() > 1


def test_inverse_distance_has_the_values_at_stations():
    latitude, longitude, value = network()
    np.testing.assert_array_equal(inverse_distance(latitude, longitude, value, latitude, longitude), value)


@pytest.mark.parametrize("method", ESTIMATES)
@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_a_constant_is_reproduced(method, n):
    latitude, longitude, _ = network(n=n)
    found = method(latitude, longitude, np.full(n, 12.3), [0.0, 30.0, 90.0], [0.0, 110.0, -170.0])
    np.testing.assert_allclose(found, 12.3, rtol=1e-12)


def test_weights_sum_to_one_whatever_the_variogram():
    latitude, longitude, value = network()
    at = [30.0, 90.0], [115.0, 0.0]
    for variogram in (Variogram(0.0, 1.0, 50.0), Variogram(5.0, 1.0, 5000.0)):
        found = ordinary_kriging(latitude, longitude, value, *at, variogram=variogram)
        raised = ordinary_kriging(latitude, longitude, value + 1000, *at, variogram=variogram)
        np.testing.assert_allclose(raised, found + 1000, rtol=1e-10)


@pytest.mark.parametrize("method", EVERY)
def test_results_turn_with_the_globe_over_date_line_and_pole(method):
    latitude, longitude, value = network(n=80)
    at_latitude, at_longitude, _ = network(seed=2, n=30)
    expected = method(latitude, longitude, value, at_latitude, at_longitude)
    shifted = method(latitude, (longitude + 70 + 180) % 360 - 180, value, at_latitude, at_longitude + 70)
    np.testing.assert_allclose(shifted, expected, rtol=1e-6)

    def over_the_pole(latitude, longitude):
        """The globe turned about 0°N 22.5°E by 57.5°, so that the middle of the network is at the pole."""
        a, o, turn = np.radians(latitude), np.radians(longitude - 112.5), np.radians(57.5)
        x, y, z = np.cos(a) * np.cos(o), np.cos(a) * np.sin(o), np.sin(a)
        x, z = x * np.cos(turn) - z * np.sin(turn), x * np.sin(turn) + z * np.cos(turn)
        return np.degrees(np.arcsin(z)), np.degrees(np.arctan2(y, x))

    turned = over_the_pole(latitude, longitude)
    assert turned[0].max() > 86 and turned[1].max() - turned[1].min() > 300
    found = method(*turned, value, *over_the_pole(at_latitude, at_longitude))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("method", ESTIMATES)
def test_two_observations_of_one_place_count_as_their_mean(method):
    latitude, longitude = [30, 30, 40, 35, 32, -90, -90], [180, -180, 100, 105, 110, 0, 77]
    value = [10.0, 30.0, 20, 25, 40, 5, 7]
    found = method(latitude, longitude, value, [30, -90, 35], [180, 13, 178])
    assert np.isfinite(found).all()
    if method is inverse_distance:
        np.testing.assert_allclose(found[:2], [20, 6], rtol=1e-12)


def test_of_two_observations_of_one_place_the_error_is_smaller():
    variogram = Variogram(4.0, 10.0, 300.0)
    latitude, longitude, value = np.array([0, 0, 0.0]), np.array([0, 0, 3.0]), np.array([10.0, 20.0, 40.0])
    # One hair apart both are observations of their own, and the bordered system can be solved.
    weights, _ = ordinary_weights(latitude, longitude + np.array([0, 1e-7, 0]), np.zeros(1), np.ones(1), variogram)
    found = ordinary_kriging(latitude, longitude, value, [0], [1], variogram=variogram)
    assert found[0] == pytest.approx(weights[0] @ value, rel=1e-5)


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_few_stations_are_enough(method, n):
    latitude, longitude, value = network(n=n)
    found = method(latitude, longitude, value, [31.0, 89.0], [111.0, 0.0])
    assert np.isfinite(found).all() and (found <= value.max() * 1.1).all()


def test_without_stations_nothing_is_known_and_no_background_is_changed():
    none = np.empty(0)
    for method in ESTIMATES:
        assert np.isnan(method(none, none, none, [0.0, 1.0], [0.0, 1.0])).all()
    np.testing.assert_array_equal(optimal_interpolation(none, none, none, [0.0, 1.0], [0.0, 1.0]), [0, 0])


@pytest.mark.parametrize("method", EVERY)
def test_what_is_not_finite_or_not_as_long_is_refused(method):
    with pytest.raises(ValueError, match="not finite"):
        method([1.0, 2.0], [1.0, 2.0], [3.0, np.nan], [1.0], [1.0])
    with pytest.raises(ValueError, match="not finite"):
        method([1.0, np.nan], [1.0, 2.0], [3.0, 3.0], [1.0], [1.0])
    with pytest.raises(ValueError, match="one length"):
        method([1.0, 2.0], [1.0, 2.0], [3.0], [1.0], [1.0])


def test_log_kriging_refuses_what_has_no_logarithm():
    with pytest.raises(ValueError, match="log"):
        log_kriging([1.0, 2.0], [1.0, 2.0], [3.0, -1.0], [1.0], [1.0])


@pytest.mark.parametrize("method", EVERY)
def test_targets_in_parts_are_those_of_all_at_once(method, monkeypatch):
    latitude, longitude, value = network()
    at_latitude, at_longitude, _ = network(seed=5, n=100)
    whole = method(latitude, longitude, value, at_latitude, at_longitude)
    monkeypatch.setattr(kriging, "PART_CELLS", 7 * 40)
    monkeypatch.setattr(inverse_distance_module, "PART", 7)
    np.testing.assert_allclose(method(latitude, longitude, value, at_latitude, at_longitude), whole, rtol=1e-12)


def test_a_variogram_without_noise_is_found():
    lag, pairs = np.linspace(20, 1000, 20), np.arange(20, 0, -1)
    for nugget, sill, reach in ((3.0, 50.0, 200.0), (0.0, 8.0, 900.0), (10.0, 1.0, 60.0)):
        found = fit_curve(lag, nugget + sill * (1 - np.exp(-lag / reach)), pairs)
        np.testing.assert_allclose(found, (nugget, sill, reach), rtol=0.01, atol=0.01)


def test_the_variogram_of_a_drawn_field_is_found():
    rng = np.random.default_rng(6)
    latitude, longitude, _ = network(n=500, south=0, north=60, west=60, east=140)
    distance = haversine(latitude, longitude, latitude, longitude)
    lower = np.linalg.cholesky(100 * np.exp(-distance / 300) + 1e-9 * np.eye(500))
    found = [fit_variogram(distance, lower @ rng.normal(size=500) + 5 * rng.normal(size=500)) for _ in range(12)]
    nugget, sill, reach = np.median(found, axis=0)
    assert 10 < nugget < 40 and 75 < sill < 130 and 200 < reach < 450  # 25, 100, 300


def test_too_few_pairs_for_a_fit_have_the_assumed_variogram():
    rng = np.random.default_rng(10)
    two_towns = np.repeat([30.0, 40.0], 12) + rng.uniform(0, 0.1, 24)  # many pairs, but nearly all of one lag
    for degrees in (np.array([30.0, 31, 33, 36]), two_towns):
        value = rng.gamma(3, 15, len(degrees))
        found = fit_variogram(haversine(*[degrees] * 4), value)
        assert found == pytest.approx((0.1 * value.var(), 0.9 * value.var(), 300))


def test_values_that_share_nothing_have_their_mean_everywhere():
    variogram, value = Variogram(0.3, 0.0, 300.0), np.array([3.0, 5, 10])
    at = [0.0, 1, 5], [0.0, 1, 5], value, [2.0], [2.0]
    assert ordinary_kriging(*at, variogram=variogram) == pytest.approx(6)
    expected = np.exp(np.log1p(value).mean() + 0.3 * (1 - 1 / 3) / 2) - 1
    assert log_kriging(*at, variogram=variogram) == pytest.approx(expected)
    assert optimal_interpolation(*at, variogram=variogram) == 0


def test_of_many_observations_a_sample_makes_the_variogram(monkeypatch):
    latitude, longitude, value = network(n=300)
    distance = haversine(latitude, longitude, latitude, longitude)
    whole = fit_variogram(distance, value)
    monkeypatch.setattr(kriging, "MOST_FITTED", 200)
    sample = fit_variogram(distance, value)
    assert sample != whole and sample == fit_variogram(distance, value)
    np.testing.assert_allclose(sample, whole, rtol=0.6)


def test_kriging_errs_less_than_inverse_distances_and_the_mean_in_a_drawn_field():
    rng = np.random.default_rng(8)
    latitude, longitude, _ = network(n=400, south=0, north=60, west=60, east=140)
    distance = haversine(latitude, longitude, latitude, longitude)
    lower = np.linalg.cholesky(100 * np.exp(-distance / 500) + 1e-9 * np.eye(400))
    errors = {"mean": [], ordinary_kriging: [], inverse_distance: []}
    for _ in range(5):
        truth = 50 + lower @ rng.normal(size=400)
        value = truth[:300] + 3 * rng.normal(size=300)
        known, at = (latitude[:300], longitude[:300], value), (latitude[300:], longitude[300:])
        errors["mean"].append(np.mean((value.mean() - truth[300:]) ** 2))
        for method in (ordinary_kriging, inverse_distance):
            errors[method].append(np.mean((method(*known, *at) - truth[300:]) ** 2))
    mean, by_kriging, by_distance = (np.mean(error) for error in errors.values())
    assert by_kriging < 0.95 * by_distance < 0.95 * mean


def grid_and_cells():
    grid = refine(coarse_grid(Region(north=45, west=170.25, south=30, east=189.75)))  # across the date line
    rng = np.random.default_rng(9)
    chosen = rng.choice(grid.shape[0] * grid.shape[1], 30, replace=False)
    row, column = np.divmod(chosen, grid.shape[1])
    return grid, Cells(row, column, rng.gamma(2, 10, 30))


def test_competitors_are_the_methods_at_the_nodes():
    grid, known = grid_and_cells()
    background = np.full(grid.shape, 18.0)
    background[:, 40:] = 25.0
    methods, _ = competitors(grid, lambda step: background + step)
    at = np.array([0, 10, 60]), np.array([78, 3, 41])
    here, there = (
        (grid.latitude[known.row], grid.longitude[known.column]),
        (grid.latitude[at[0]], grid.longitude[at[1]]),
    )
    innovation = known.value - background[known.row, known.column] - 2
    expected = {
        "inverse distance": inverse_distance(*here, known.value, *there),
        "ordinary kriging": ordinary_kriging(*here, known.value, *there),
        "log kriging": log_kriging(*here, known.value, *there),
        "optimal interpolation": background[at] + 2 + optimal_interpolation(*here, innovation, *there),
        "residual kriging": background[at] + 2 + ordinary_kriging(*here, innovation, *there),
        "background": background[at] + 2,
    }
    assert list(methods) == list(expected)
    for name, method in methods.items():
        np.testing.assert_allclose(method(known, at, 2), np.maximum(expected[name], 0), rtol=1e-12, err_msg=name)


def test_without_a_background_optimal_interpolation_starts_from_the_known_mean_and_says_so():
    grid, known = grid_and_cells()
    methods, notes = competitors(grid)
    assert list(methods) == ["inverse distance", "ordinary kriging", "log kriging", "optimal interpolation"]
    assert any("mean" in note for note in notes) and not any(
        "mean" in note for note in competitors(grid, lambda _: 0)[1]
    )
    one = Cells(np.array([0]), np.array([0]), np.array([7.0]))
    assert methods["optimal interpolation"](one, (np.array([60]), np.array([78])), 0) == pytest.approx(7)
    assert fold_mean(known, (np.array([3, 4]), np.array([0, 0])), 0) == pytest.approx(known.value.mean())


def test_competitors_without_known_cells_have_only_the_background():
    grid = fine_globe()
    nothing = Cells(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    at = np.array([100]), np.array([0])
    for name, method in competitors(grid, lambda step: np.full(grid.shape, 6.0))[0].items():
        found = method(nothing, at, 0)
        assert (found == 6) if name in ("background", "optimal interpolation") else np.isnan(found), name
    assert all(np.isnan(method(nothing, at, 0)) for method in competitors(grid)[0].values())
    assert np.isnan(fold_mean(nothing, at, 0))


def test_competitors_are_not_negative_and_have_no_estimate_where_the_background_has_none():
    grid, known = grid_and_cells()
    low = Cells(known.row, known.column, np.where(known.column < 40, 0.0, 300.0))
    everywhere = tuple(index.ravel() for index in np.indices(grid.shape))
    assert (
        ordinary_kriging(
            *(grid.latitude[low.row], grid.longitude[low.column]),
            low.value,
            *(grid.latitude[everywhere[0]], grid.longitude[everywhere[1]]),
        ).min()
        < 0
    )
    background = np.zeros(grid.shape)
    background[:20] = np.nan
    for name, method in competitors(grid, lambda step: background)[0].items():
        found = method(low, everywhere, 0)
        assert np.nanmin(found) >= 0, name
        lacks = (
            np.isnan(background).ravel() if name in ("optimal interpolation", "residual kriging", "background") else 0
        )
        np.testing.assert_array_equal(np.isnan(found), lacks, err_msg=name)
