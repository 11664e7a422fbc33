"""The sequence, its animation, the time slider, and all figures of a year from its files."""

import base64
import io
import json
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib import colormaps
from PIL import Image

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import coarse_globe
from deepcams.pollutants import PM25
from deepcams.report.plot import FIGURES, SUFFIXES, plot_year
from deepcams.report.sequence import Layer, animate, sequence
from deepcams.report.slider import slider
from deepcams.report.snapshots import Snapshots
from deepcams.validation.fields import FieldFile
from tests.unit import year_tables
from tests.unit.test_figures import texts
from tests.unit.year_tables import COARSE, FINE, HOURS, NAMES

RNG = np.random.default_rng(0)


def layers(hours=6, cams=True):
    """The product hourly, CAMS every 3 hours."""
    fields = RNG.lognormal(2, 0.5, (hours, *FINE.shape))
    product = Layer("product", "product", FINE, list(fields), np.arange(hours))
    held = np.arange(hours) // 3
    return [Layer("cams", "CAMS", COARSE, list(fields[::3, ::3, ::3]), held), product][not cams :]


def test_a_long_sequence_wraps_into_rows_of_four_hours_and_shows_only_analyses_of_cams():
    figure = sequence(HOURS[:6], layers())
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.images]
    assert len(shown) == 6 + 2
    assert texts(figure).count("no analysis") == 4
    assert not any("no analysis" in text for text in texts(sequence(HOURS[:6], layers(cams=False))))


def test_an_animation_has_a_frame_a_time_repeats_for_ever_and_is_the_same_again(tmp_path):
    shown = layers()
    for name in ("a.gif", "b.gif"):
        animate(HOURS[:6], shown, tmp_path / name)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    with Image.open(tmp_path / "a.gif") as picture:
        assert (picture.n_frames, picture.info["loop"], picture.format) == (6, 0, "GIF")
        frames = []
        for k in range(6):
            picture.seek(k)
            frames.append(np.asarray(picture.convert("RGB")).astype(int))
    half = frames[0].shape[1] // 2
    changed = [np.abs(b - a)[40:].any(axis=(0, 2)) for a, b in pairwise(frames)]
    # CAMS stands at the left, and still, until its next analysis; the clock above runs.
    assert [bool(columns[: half - 60].any()) for columns in changed] == [False, False, True, False, False]
    assert all(columns[half:].any() for columns in changed)


def test_an_animation_shrinks_until_it_is_small_enough(tmp_path):
    shown = layers(4)
    animate(HOURS[:4], shown, tmp_path / "large.gif")
    size = (tmp_path / "large.gif").stat().st_size
    animate(HOURS[:4], shown, tmp_path / "small.gif", largest=size // 2)
    assert (tmp_path / "small.gif").stat().st_size <= size // 2
    with Image.open(tmp_path / "small.gif") as small, Image.open(tmp_path / "large.gif") as large:
        assert small.n_frames == 4 and small.width < large.width


def decoded(uri):
    kind, _, data = uri.partition(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_slider_stores_each_frame_once_and_is_the_same_again():
    shown = layers()
    text = slider(HOURS[:6], shown)
    assert text == slider(HOURS[:6], shown)
    content = json.loads(text)
    assert content["times"][:2] == ["2018-07-01T00:00:00Z", "2018-07-01T01:00:00Z"]
    cams, product = content["fields"]
    assert (cams["name"], cams["label"]) == ("cams", "CAMS, 0.75°")
    assert (cams["at"], len(cams["frames"])) == ([0, 0, 0, 1, 1, 1], 2)
    assert (product["name"], product["at"], len(product["frames"])) == ("product", list(range(6)), 6)
    pictures = [decoded(uri) for item in content["fields"] for uri in item["frames"]]
    assert {kind for kind, _ in pictures} == {"data:image/webp"} and len({picture.size for _, picture in pictures}) == 1
    assert decoded(content["colour_bar"])[1].width > 500


def test_a_slider_of_the_globe_is_wide_and_small_text_asks_for_smaller_pictures():
    grid = coarse_globe()
    field = np.broadcast_to(10 + 5 * np.cos(np.radians(grid.latitude))[:, None], grid.shape)
    shown = [Layer("product", "product", grid, [field], np.zeros(1, int))]
    text = slider(HOURS[:1], shown)
    size = decoded(json.loads(text)["fields"][0]["frames"][0])[1].size
    assert size[0] == 900 and size[0] / size[1] == pytest.approx(2.05, rel=0.01)
    small = slider(HOURS[:1], shown, largest=len(text) - 1000)
    assert len(small) < len(text)


def test_a_slider_s_colours_are_those_of_the_values():
    values = np.full(FINE.shape, 1.0)
    values[:, FINE.shape[1] // 2 :] = 900.0
    shown = [Layer("product", "product", FINE, [values], np.zeros(1, int))]
    picture = np.asarray(decoded(json.loads(slider(HOURS[:1], shown))["fields"][0]["frames"][0])[1]).astype(float)
    height, width = picture.shape[:2]
    for x, end in ((0.25, 0.0), (0.75, 1.0)):
        around = picture[height // 20 : height // 10, int(x * width) - 20 : int(x * width) + 20].reshape(-1, 3)
        assert np.median(around, axis=0) == pytest.approx(255 * np.array(colormaps["magma_r"](end)[:3]), abs=12)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return year_tables.write_fields(tmp_path_factory.mktemp("fields"))


def test_layers_hold_the_frames_of_the_files(files):
    times, (cams, product) = Snapshots(files["product"], files["cams"], None, NAMES).layers(4)
    with xr.open_dataset(files["product"]) as p, xr.open_dataset(files["cams"]) as c:
        for k, time in enumerate(times):
            assert np.array_equal(product.fields[product.at[k]], p["pm25"].sel(time=time).values)
            assert np.array_equal(cams.fields[cams.at[k]], c["pm25"].sel(time=time, method="pad").values)
    assert (times[0] - HOURS[0]) % np.timedelta64(3, "h") == 0
    assert len(Snapshots(files["product"], files["cams"], None, NAMES).layers(99, at_most=True)[0]) == 12


@pytest.mark.parametrize(
    ("pair", "with_stations"), [(("cams", "product"), True), (("product",), False)], ids=["everything", "product alone"]
)
def test_a_year_gets_all_its_figures_whatever_it_lacks(tmp_path, files, pair, with_stations):
    folder = year_tables.write_year(tmp_path / "year", cams="cams" in pair, with_stations=with_stations)
    outputs = {name: tmp_path / f"{name}{SUFFIXES.get(name, '.png')}" for name in FIGURES}
    plot_year(outputs, folder=folder, product_path=files["product"], dpi=40,
              coarse_path=files["cams"] if "cams" in pair else None, truth_path=files["truth"])  # fmt: skip
    for name, path in outputs.items():
        start = {".gif": b"GIF89a", ".json": b"{", ".png": b"\x89PNG"}[path.suffix]
        assert path.read_bytes().startswith(start), name
    assert [item["name"] for item in json.loads(outputs["slider"].read_text())["fields"]] == list(pair)


def test_any_file_s_fields_are_drawn_from_open_files(tmp_path):
    latitude, longitude = np.linspace(-20, 10, 31), np.arange(0, 30, 1.25)
    values = RNG.lognormal(2, 0.5, (3, 31, 24)) * 1e-9
    xr.Dataset(
        {"p": (("time", "lat", "lon"), values, {"units": "kg m-3"})},
        coords={"time": HOURS[:3], "lat": ("lat", latitude, {"standard_name": "latitude"}),
                "lon": ("lon", longitude, {"standard_name": "longitude"})},
    ).to_netcdf(tmp_path / "any.nc", engine="h5netcdf")  # fmt: skip
    with FieldFile(tmp_path / "any.nc", pollutant=PM25) as file:
        _, (product,) = Snapshots(file, None, None, {"product": "WRF"}).layers(3)
        assert product.title == "WRF, 1°"
        assert product.grid.latitude[0] == 10 and np.diff(product.grid.longitude) == pytest.approx(1.0)
        # 10°E is a node of the file, too.
        assert product.fields[0][0, 10] == pytest.approx(1e9 * values[0, -1, 8], rel=1e-6)
        assert file.read(0, 1).shape == (1, 31, 24)  # still open


def test_unknown_figures_and_times_are_refused(tmp_path, files):
    folder = year_tables.write_year(tmp_path / "year")
    paths = {"folder": folder, "product_path": files["product"], "coarse_path": files["cams"]}
    with pytest.raises(DeepcamsError, match="pie"):
        plot_year({"pie": tmp_path / "pie.png"}, **paths)
    for time, hours in (("2018-07-01T01", 4), ("2018-07-01T09", 4), ("2018-07-01T00", 13)):
        with pytest.raises(DeepcamsError, match="analysis time"):
            plot_year({"sequence": tmp_path / "s.png"}, **paths, time=time, hours=hours)
