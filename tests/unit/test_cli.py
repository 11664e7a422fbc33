"""The command line: real and made-up files in, the right fields and clear errors out."""

import json

import numpy as np
import pytest
import xarray as xr

from deepcams.cli.main import main
from deepcams.grid.blocks import block_mean
from deepcams.grid.nodes import coarse_globe, fine_globe

CAMS = "cams_eac4_pm25_20191231T15_20200101T00.nc"
GEOSCF = "geoscf_pm25_west_4h.nc"
INTERPOLATED = ("--temporal", "linear", "--spatial", "bicubic")  # what is known of them holds for no network


def cams_file(path, values, hours=(0, 3), latitude=None, longitude=None, units="kg m**-3", name="pm2p5"):
    """A file as ADS delivers it: values (T, H, W) in µg m-3, by default on a 4 × 6 box."""
    rows, columns = values.shape[1:]
    latitude = 30 - 0.75 * np.arange(rows) if latitude is None else latitude
    longitude = 75 + 0.75 * np.arange(columns) if longitude is None else longitude
    times = np.datetime64("2019-07-01T00:00:00", "ns") + np.array(hours) * np.timedelta64(1, "h")
    xr.Dataset(
        {name: (("valid_time", "latitude", "longitude"), (values * 1e-9).astype("f4"), {"units": units})},
        {"valid_time": times, "latitude": latitude, "longitude": longitude},
    ).to_netcdf(path)
    return str(path)


@pytest.fixture
def field():
    return np.random.default_rng(3).gamma(2, 10, (2, 6, 8)).astype("f4")


def product(path):
    with xr.open_dataset(path) as dataset:
        return dataset.load()


@pytest.fixture(scope="module")
def real_product(real_samples, tmp_path_factory):
    out = tmp_path_factory.mktemp("real") / "hourly.nc"
    assert main(["downscale", str(real_samples / CAMS), str(out)]) == 0
    with xr.open_dataset(real_samples / CAMS) as dataset:
        field = dataset.pm2p5.assign_coords(longitude=(dataset.longitude + 180) % 360 - 180).sortby("longitude")
        return product(out), np.maximum(field.values.astype("f8") * 1e9, 0)


@pytest.mark.real
def test_real_analyses_become_ten_global_hours_without_gap_or_negative_value(real_product):
    hourly, _ = real_product
    assert hourly.pm25.shape == (10, 721, 1440)
    assert (np.diff(hourly.time.values) == np.timedelta64(1, "h")).all()
    assert np.isfinite(hourly.pm25.values).all()
    assert hourly.pm25.values.min() >= 0


@pytest.mark.real
def test_real_block_means_are_the_analyses_to_the_rounding_of_the_file(real_product):
    hourly, analyses = real_product
    means = block_mean(hourly.pm25.values[::3].astype("f8"), coarse_globe())
    error = np.abs(means - analyses) / np.maximum(analyses, 0.01)
    assert error.max() < 2**-8
    assert hourly.attrs["closure_max_relative_error"] < 2**-8


@pytest.mark.real
def test_real_fires_above_800_are_kept(real_product):
    hourly, analyses = real_product
    assert (analyses.max(axis=(1, 2)) > 800).all()
    assert (hourly.pm25.values[::3].max(axis=(1, 2)) > 0.99 * analyses.max(axis=(1, 2))).all()


@pytest.mark.real
def test_real_gradients_across_the_date_line_are_those_of_the_neighbourhood(real_product):
    """Steps between columns: across ±180° against all columns of the same phase within ±15° of it.

    Of a single pair of frames' columns the ratio scatters with the weather; that of the downscaled field over that of
    its own input does not, and that is what an edge effect would change.
    """
    hourly, analyses = real_product

    def excess(fields, columns):
        steps = np.abs(np.diff(np.concatenate([fields[..., -columns:], fields[..., :columns]], axis=-1), axis=-1))
        return steps.mean(axis=(0, 1))

    fine = excess(hourly.pm25.values[::3].astype("f8"), 60)
    coarse = excess(analyses, 20)
    # Fine steps 57, 58, 59 lead from the coarse node 179.25 over 180 = -180; three fine steps span one coarse one.
    fine = fine[:-2].reshape(-1, 3).sum(axis=1) if len(fine) % 3 == 2 else fine.reshape(-1, 3).sum(axis=1)
    at_line = 19
    roughness = fine[: len(coarse)] / coarse[: len(fine)]
    others = np.delete(roughness, at_line)
    assert abs(roughness[at_line] / np.median(others) - 1) < 0.05


def test_a_field_rolled_by_whole_coarse_columns_gives_the_rolled_product(tmp_path):
    """No seam anywhere: the date line can lie at any column and the result is the same, bit for bit."""
    globe = coarse_globe()
    values = np.random.default_rng(1).gamma(2, 10, (2, *globe.shape)).astype("f4")
    values[:, [0, -1]] = 5
    results = []
    for shift in (0, 7):
        source = cams_file(
            tmp_path / f"{shift}.nc",
            np.roll(values, shift, axis=-1),
            latitude=globe.latitude,
            longitude=globe.longitude,
        )
        assert main(["downscale", source, str(tmp_path / f"out{shift}.nc"), *INTERPOLATED]) == 0
        results.append(product(tmp_path / f"out{shift}.nc").pm25.values)
    np.testing.assert_array_equal(np.roll(results[0], 21, axis=-1), results[1])


def test_downscaling_is_linear_in_time_and_closed_in_space(tmp_path, field):
    out = tmp_path / "out.nc"
    words = ["downscale", cams_file(tmp_path / "in.nc", field), str(out), "--mantissa-bits", "23"]
    assert main([*words, *INTERPOLATED]) == 0
    hourly = product(out).pm25.values.astype("f8")
    assert hourly.shape == (4, 16, 22)
    blocks = hourly[:, 2:-2, 2:-2].reshape(4, 4, 3, 6, 3).mean(axis=(2, 4))
    expected = [((3 - k) * field[0] + k * field[1])[1:-1, 1:-1] / 3 for k in range(4)]
    np.testing.assert_allclose(blocks, expected, rtol=2e-3)  # plain means: within a block areas differ by 0.1 %


@pytest.mark.parametrize("networks", [(), INTERPOLATED], ids=["pretrained", "interpolated"])
def test_missing_cells_stay_missing_and_spread_no_further_than_their_block(tmp_path, field, networks):
    field[0, 2, 3] = np.nan
    out = tmp_path / "out.nc"
    assert main(["downscale", cams_file(tmp_path / "in.nc", field), str(out), *networks]) == 0
    hourly = product(out).pm25.values
    missing = np.zeros((16, 22), bool)
    missing[5:8, 8:11] = True
    for hour in range(3):
        np.testing.assert_array_equal(np.isnan(hourly[hour]), missing)
    assert np.isfinite(hourly[3]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hours": (0, 6)}, "2019-07-01T03:00"),
        ({"hours": (1, 4)}, "00, 03"),
        ({"units": "kg m**-2"}, "units"),
        ({"name": "pm10"}, "pm2p5"),
        ({"latitude": 30 - 0.5 * np.arange(6)}, "0.75"),
        ({"longitude": 75.1 + 0.75 * np.arange(8)}, "grid"),
    ],
)
def test_wrong_input_ends_in_one_sentence_and_leaves_nothing(tmp_path, field, capsys, change, words):
    out = tmp_path / "out" / "out.nc"
    assert main(["downscale", cams_file(tmp_path / "in.nc", field, **change), str(out)]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_an_all_zero_frame_a_single_frame_and_a_missing_file_are_refused(tmp_path, field, capsys):
    out = str(tmp_path / "out.nc")
    empty = field.copy()
    empty[1] = 0
    assert main(["downscale", cams_file(tmp_path / "zero.nc", empty), out]) == 1
    assert "zero" in capsys.readouterr().err
    assert main(["downscale", cams_file(tmp_path / "one.nc", field[:1], hours=(0,)), out]) == 1
    assert "at least two" in capsys.readouterr().err
    assert main(["downscale", str(tmp_path / "none.nc"), out]) == 1
    assert "no file" in capsys.readouterr().err
    assert not (tmp_path / "out.nc").exists()


def test_an_unknown_network_is_refused_with_the_known_ones(tmp_path, field, capsys):
    source = cams_file(tmp_path / "in.nc", field)
    for word, near in (("bicubik", "bicubic"), ("pretraind", "pretrained"), ("", None)):
        assert main(["downscale", source, str(tmp_path / "out.nc"), "--spatial", word]) == 1
        error = capsys.readouterr().err
        assert "one of pretrained, bicubic, bilinear" in error
        assert error.endswith(f"Did you mean {near}?\n") == bool(near)


@pytest.mark.real
@pytest.mark.parametrize(
    ("arguments", "method", "rmse", "mae", "tolerance"),
    [
        (["temporal"], "linear", 1.068, 0.203, 0.0025),
        (["spatial"], "bicubic", 1.84, 0.354, 0.01),
        (["spatial", "--degradation", "point"], "bicubic", 1.85, 0.325, 0.01),
        (["joint"], "linear+bicubic", 2.14, 0.434, 0.01),
    ],
)
def test_real_scores_agree_with_independent_figures(real_samples, capsys, arguments, method, rmse, mae, tolerance):
    """Figures computed elsewhere; linear to the last digit printed, the others to 1 %."""
    stage, *more = arguments
    region = ["--region", "90", "-85", "-90", "-1"]
    command = ["score", stage, str(real_samples / GEOSCF), *region, "--json", "--no-pretrained", *more]
    assert main(command) == 0
    scores = json.loads(capsys.readouterr().out)["methods"][method]
    if method == "linear":
        assert (round(scores["rmse"], 3), round(scores["mae"], 3)) == (rmse, mae)
    assert scores["rmse"] == pytest.approx(rmse, rel=tolerance)
    assert scores["mae"] == pytest.approx(mae, rel=tolerance)


def geoscf_file(path, values):
    """A box in the layout of the portal: hourly means, south to north."""
    count, rows, columns = values.shape
    times = np.datetime64("2019-07-01T00:30:00", "ns") + np.arange(count) * np.timedelta64(1, "h")
    xr.Dataset(
        {"PM25_RH35_GCC": (("time", "lev", "lat", "lon"), values[:, None].astype("f4"), {"units": "ug m-3"})},
        {
            "time": times,
            "lev": [72.0],
            "lat": 20 + 0.25 * np.arange(rows),
            "lon": 75 + 0.25 * np.arange(columns),
        },
    ).to_netcdf(path, encoding={"PM25_RH35_GCC": {"_FillValue": np.float32(1e15)}})
    return str(path)


def test_score_of_fields_that_are_linear_in_time_is_perfect(tmp_path, capsys):
    base = np.random.default_rng(5).gamma(2, 10, (2, 31, 37))
    values = np.stack([base[0] + k * base[1] for k in range(7)])
    assert main(["score", "temporal", geoscf_file(tmp_path / "in.nc", values), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["methods"]["linear"]["rmse"] < 1e-4
    assert result["methods"]["linear"]["r"] == pytest.approx(1)
    assert result["methods"]["linear_as_printed"]["rmse"] > 5


def test_degrade_writes_the_block_means(tmp_path):
    values = np.random.default_rng(6).gamma(2, 10, (2, 31, 37)).astype("f4")
    source = geoscf_file(tmp_path / "in.nc", values)
    assert main(["degrade", source, str(tmp_path / "coarse.nc")]) == 0
    coarse = product(tmp_path / "coarse.nc").pm25
    assert coarse.latitude.values[0] > coarse.latitude.values[-1]
    north_up = values[:, ::-1]
    top = round((20 + 0.25 * 30 - coarse.latitude.values[1]) / 0.25)
    left = round((coarse.longitude.values[1] - 75) / 0.25)
    expected = north_up[:, top - 1 : top + 2, left - 1 : left + 2].mean(axis=(1, 2))
    np.testing.assert_allclose(coarse.values[:, 1, 1], expected, rtol=2e-3)


@pytest.mark.parametrize("command", [[], ["downscale"], ["degrade"], ["score"]])
def test_help_explains_every_command(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 10


def test_the_globes_of_input_and_product_fit():
    assert (coarse_globe().shape, fine_globe().shape) == ((241, 480), (721, 1440))


def test_another_pollutant_goes_through_in_its_own_units_and_the_networks_limits_are_told(tmp_path, capsys):
    values = np.random.default_rng(5).gamma(2, 15, (2, 6, 8)).astype("f4")
    source = cams_file(tmp_path / "pm.nc", values)
    given = tmp_path / "o3.nc"
    with xr.open_dataset(source) as file:
        ozone = file.rename(pm2p5="go3")
        ozone["go3"] = ozone.go3 * (47.9982 / 28.9644)  # µg of the file's becomes nmol of a mole of air
        ozone.go3.attrs["units"] = "kg kg**-1"
        ozone.to_netcdf(given)
    out = tmp_path / "hourly.nc"
    assert main(["downscale", str(given), str(out)]) == 1
    assert "holds no variable pm2p5; it holds go3. Fetch PM2.5 (CAMS EAC4), or say that it is O₃ (pollutant o3)." in (
        capsys.readouterr().err
    )
    assert main(["downscale", str(given), str(out), "--pollutant", "o3"]) == 0
    assert "learnt from PM2.5; how good they are for O₃ is not known" in capsys.readouterr().err
    with xr.open_dataset(out) as product, xr.open_dataset(source) as file:
        assert product.o3.units == "nmol mol-1"
        np.testing.assert_allclose(product.o3.mean(), file.pm2p5.mean() * 1e9, rtol=0.1)
