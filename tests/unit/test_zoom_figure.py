"""The figures of moments of the evaluation: what is drawn, on which scales, and what is no zoom file."""

import numpy as np
import pytest
from matplotlib.colors import LogNorm

from deepcams.errors import DeepcamsError
from deepcams.report import zoom_figure

LATITUDE, LONGITUDE = 3.0 - 0.25 * np.arange(31), 172.5 + 0.25 * np.arange(43)  # across the date line


def zoom_arrays(stage, moments=2):
    """What a zoom file holds. The second moment has ten times the first one's values."""
    rng = np.random.default_rng(1)
    shape = (moments, 31, 43)
    scale = 10.0 ** np.arange(moments)[:, None, None]
    fields = {name: (scale * rng.lognormal(2, 0.5, shape)).astype("f4") for name in ("truth", "baseline", "network")}
    before_and_after = (scale[:, None] * rng.lognormal(2, 0.5, (moments, 2, 31, 43))).astype("f4")
    hour = np.timedelta64(3600, "s")
    time = np.datetime64("2018-01-01T00", "s") + hour * (1 + 24 * np.arange(moments))
    ends = {"input_time": np.stack([time - hour, time + 2 * hour], axis=1), "input": before_and_after}
    return {
        "stage": np.array(stage), "time": time, "names": np.array(["linear", r"$net$"]), **fields,
        "latitude": np.stack([LATITUDE] * moments), "longitude": np.stack([LONGITUDE] * moments),
        **(ends if stage == "temporal" else {"input": fields["truth"][:, ::3, ::3]}),
    }  # fmt: skip


@pytest.fixture
def zoom_file(tmp_path):
    """A function: write a zoom file with changed or (None) without some of its arrays."""

    def write(stage="temporal", moments=2, **changes):
        arrays = zoom_arrays(stage, moments) | changes
        np.savez(tmp_path / "zoom.npz", **{key: value for key, value in arrays.items() if value is not None})
        return tmp_path / "zoom.npz"

    return write


def panels_of(figure):
    """First line of the title → axes, for each moment; and the colour bars."""
    maps = [[axes for axes in block.axes if axes.images] for block in figure.subfigs]
    bars = [axes for axes in figure.axes if not axes.images]
    return [{axes.get_title(loc="left").split("\n")[0]: axes for axes in of} for of in maps], bars


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_a_zoom_shows_every_field_and_both_errors_of_every_moment(stage, zoom_file):
    zoom = zoom_figure.read_zoom(zoom_file(stage))
    arrays = zoom_arrays(stage)
    blocks, _ = panels_of(zoom_figure.zooms(zoom))
    for k, found in enumerate(blocks):
        truth = arrays["truth"][k].astype(float)
        expected = {
            "truth": truth, "linear": arrays["baseline"][k], r"\$net\$": arrays["network"][k],
            "linear − truth": arrays["baseline"][k] - truth, r"\$net\$ − truth": arrays["network"][k] - truth,
        }  # fmt: skip
        if stage == "temporal":
            expected |= {"before, 00:00 UTC": arrays["input"][k, 0], "after, 03:00 UTC": arrays["input"][k, 1]}
        else:
            expected["input, 0.75°"] = arrays["input"][k]
        assert set(found) == set(expected)
        for name, field in expected.items():
            np.testing.assert_array_equal(np.asarray(found[name].images[0].get_array()), field)
            title = found[name].get_title(loc="left")
            if name == "truth" or name.startswith("input"):
                assert "RMSE" not in title
            else:
                error = field if "−" in name else field - truth
                rmse, mae = np.sqrt((error.astype(float) ** 2).mean()), np.abs(error).mean()
                assert title.endswith(f"\nRMSE {rmse:.2f}, MAE {mae:.2f} µg m⁻³")


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_a_zoom_has_one_scale_for_fields_and_one_about_zero_for_errors(stage, zoom_file, tmp_path):
    figure = zoom_figure.zooms(zoom_figure.read_zoom(zoom_file(stage)))
    blocks, bars = panels_of(figure)
    images = [(name, axes.images[0]) for found in blocks for name, axes in found.items()]
    errors = {(image.norm.vmin, image.norm.vmax) for name, image in images if "−" in name}
    (fields,) = {(image.norm.vmin, image.norm.vmax) for name, image in images if "−" not in name}
    ((low, high),) = errors
    arrays = zoom_arrays(stage)
    found = np.abs([arrays[name] - arrays["truth"] for name in ("baseline", "network")])
    assert low == -high and high >= np.percentile(found, 99)  # of both moments
    assert fields[0] > 0 and fields[1] >= 200.0
    assert {image.cmap.name for name, image in images if "−" in name} == {"RdBu_r"}
    assert all(isinstance(image.norm, LogNorm) == ("−" not in name) for name, image in images)
    assert sorted(bar.get_ylabel() for bar in bars) == ["PM2.5 (µg m⁻³)"] * 2 + ["difference (µg m⁻³)"] * 2
    assert all(axes.collections for found in blocks for axes in found.values())  # coasts
    headings = [block._suptitle.get_text() for block in figure.subfigs]
    assert headings == ["2018-01-01 01:00 UTC, 0.25°", "2018-01-02 01:00 UTC, 0.25°"]


def test_the_coarse_input_lies_on_every_third_node(zoom_file):
    blocks, _ = panels_of(zoom_figure.zooms(zoom_figure.read_zoom(zoom_file("spatial"))))
    coarse, fine = (blocks[0][name].images[0].get_extent() for name in ("input, 0.75°", "truth"))
    assert coarse[0] == pytest.approx(fine[0] - 0.25) and coarse[1] == pytest.approx(fine[1] + 0.25)
    assert coarse[2] == pytest.approx(fine[2] - 0.25) and coarse[3] == pytest.approx(fine[3] + 0.25)
    assert blocks[0]["input, 0.75°"].get_xlim() == blocks[0]["truth"].get_xlim()


def test_missing_cells_of_a_zoom_do_not_count(zoom_file):
    arrays = zoom_arrays("spatial", 1)
    arrays["network"][0, :10] = np.nan
    figure = zoom_figure.zooms(zoom_figure.read_zoom(zoom_file("spatial", 1, network=arrays["network"])))
    error = (arrays["network"][0, 10:] - arrays["truth"][0, 10:]).astype(float)
    title = f"\nRMSE {np.sqrt((error**2).mean()):.2f}, MAE {np.abs(error).mean():.2f} µg m⁻³"
    assert sum(text.endswith(title) for text in titles(figure)) == 2
    arrays["truth"][:] = np.nan
    figure = zoom_figure.zooms(zoom_figure.read_zoom(zoom_file("spatial", 1, truth=arrays["truth"])))
    assert any(text.endswith("RMSE –, MAE – µg m⁻³") for text in titles(figure))


BAD_ZOOMS = {
    "without names": ({"names": None}, "it lacks 'names'"),
    "of no stage": ({"stage": np.array("joint")}, "no stage 'joint'"),
    "without moments": ({"truth": np.zeros((0, 31, 43), "f4")}, r"truth has the shape \(0, 31, 43\)"),
    "of one field": ({"truth": np.zeros((31, 43), "f4")}, r"truth has the shape \(31, 43\)"),
    "with a network elsewhere": ({"network": np.zeros((2, 31, 42), "f4")}, r"network is float32 \(2, 31, 42\)"),
    "with one frame": ({"input": np.zeros((2, 11, 15), "f4")}, r"input is float32 .* not float \(2, 2, 31, 43\)"),
    "with counts for times": ({"time": np.arange(2)}, "time is int64 .* not datetime64"),
    "with Python's objects": ({"names": np.array(["a", None], object)}, "Object arrays cannot be loaded"),
    "upside down": ({"latitude": np.stack([LATITUDE[::-1]] * 2)}, "latitude is not evenly spaced and falling"),
    "wrapped": ({"longitude": np.stack([(LONGITUDE + 180) % 360 - 180] * 2)}, "longitude is not evenly spaced"),
}


@pytest.mark.parametrize(("changes", "words"), BAD_ZOOMS.values(), ids=BAD_ZOOMS.keys())
def test_what_is_no_zoom_file_is_refused_in_words(zoom_file, tmp_path, changes, words):
    path = zoom_file(**changes)
    with pytest.raises(DeepcamsError, match=words) as caught:
        zoom_figure.draw(path, tmp_path / "out.png")
    text = str(caught.value)
    assert text.startswith(f"{path} is no zoom file of the evaluation: ") and "\n" not in text
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("content", [b"", b"month,method\n", b"PK\x03\x04 cut off", None], ids=repr)
def test_files_of_another_kind_are_refused_in_words(tmp_path, content):
    path = tmp_path / "zoom.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DeepcamsError, match=r"zoom\.npz is no zoom file of the evaluation: .*\w.*Delete it"):
        zoom_figure.read_zoom(path)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(DeepcamsError, match=r"zoom\.npz is no zoom file"):
        zoom_figure.read_zoom(path)


def test_a_zoom_gives_the_same_png_twice(zoom_file, tmp_path):
    path = zoom_file("spatial", 1)
    for name in ("a.png", "b.png"):
        zoom_figure.draw(path, tmp_path / name, dpi=60)
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG") and data == (tmp_path / "b.png").read_bytes()
