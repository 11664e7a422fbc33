"""What holds for every figure: the same bytes again, units on axes, nothing cut off or on top of other text."""

from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from deepcams.report import diagrams, figures, scorecard, sequence, skill_figure, station_figures, training_figure
from deepcams.report.maps import Frame, frame_of
from deepcams.report.plot import finest
from deepcams.report.quantity import show
from deepcams.report.scatter_figure import density, scatter
from deepcams.report.spectrum_figures import beat, spectra
from deepcams.report.station_maps import station_map
from deepcams.report.style import message, save_png
from tests.unit import year_tables
from tests.unit.test_figures import CAMS, PRODUCT, TIMES, curves, differences, months, texts
from tests.unit.year_tables import COARSE, EDGES, FINE


def layers(cams=True):
    product = sequence.Layer("product", "product", FINE, list(PRODUCT), np.arange(4))
    return [sequence.Layer("cams", "CAMS", COARSE, list(CAMS[::3]), np.array([0, 0, 0, 1])), product][not cams :]


def pairs(fields=("product", "cams")):
    scores = year_tables.group_scores(fields)
    return density("", year_tables.scatter(fields), scores[scores["by"] == "all"], len(EDGES) - 1)


ONE = ("product",)
ALONE = {"product": "product"}
FINE_MEAN, COARSE_MEAN = (PRODUCT.mean(axis=0), FINE), (CAMS.mean(axis=0), COARSE)
FIGURES = {
    "months": months,
    "no months": lambda: skill_figure.months({"temporal": {}}),
    "differences": differences,
    "no differences": lambda: skill_figure.differences([]),
    "training": lambda: training_figure.training(curves()),
    "training without validation": lambda: training_figure.training(curves()[["step", "loss"]]),
    "mean": lambda: figures.mean_maps(FINE_MEAN, COARSE_MEAN),
    "mean alone": lambda: figures.mean_maps(FINE_MEAN, names=ALONE),
    "sequence": lambda: sequence.sequence(TIMES, layers()),
    "sequence alone": lambda: sequence.sequence(TIMES, layers(cams=False)),
    "zoom": lambda: figures.zoom(TIMES[0], (PRODUCT[0], FINE), (CAMS[0], COARSE)),
    "zoom alone": lambda: figures.zoom(TIMES[0], (PRODUCT[0], FINE), names=ALONE),
    "zoom with truth": lambda: figures.zoom(TIMES[0], (PRODUCT[0], FINE), (CAMS[0], COARSE), PRODUCT[1]),
    "scatter": lambda: scatter([pairs()], EDGES),
    "scatter alone": lambda: scatter([pairs(ONE)], EDGES, ALONE),
    "series": lambda: station_figures.series(year_tables.series()),
    "series alone": lambda: station_figures.series(year_tables.series(50, ("$a",), ONE), ALONE),
    "diurnal": lambda: station_figures.diurnal(year_tables.diurnal()),
    "diurnal alone": lambda: station_figures.diurnal(year_tables.diurnal(("all",), ONE), ALONE),
    "scores": lambda: station_figures.score_bars([{"method": "product", "rmse": 1.0, "mae": None, "r": 0.9},
                                                  {"method": "CAMS", "rmse": 2.0, "mae": float("nan"), "r": None}]),
    "no scores": lambda: station_figures.score_bars([]),
    "stations": lambda: station_map(finest(year_tables.stations()), frame_of(FINE)),
    "stations of the globe": lambda: station_map(finest(year_tables.stations()), Frame(globe=True)),
    "one station": lambda: station_map(finest(year_tables.stations(1, ONE)), frame_of(FINE), names=ALONE),
    "taylor": lambda: diagrams.taylor(year_tables.group_scores()),
    "taylor alone": lambda: diagrams.taylor(year_tables.group_scores(ONE), ALONE),
    "target": lambda: diagrams.target(year_tables.stations()),
    "target alone": lambda: diagrams.target(year_tables.stations(1, ONE), ALONE),
    "scorecard": lambda: scorecard.scorecard(year_tables.differences()),
    "exceedances": lambda: scorecard.exceedances(year_tables.exceedances()),
    "exceedances alone": lambda: scorecard.exceedances(year_tables.exceedances(ONE), ALONE),
    "spectra": lambda: spectra(year_tables.spectra(), {"product": {"effective_resolution": 200.0}}, {"cams": 0.75}),
    "spectra alone": lambda: spectra(year_tables.spectra(ONE), {}, {"product": 0.25}, names=ALONE),
    "beat": lambda: beat(year_tables.beat(), {"product": {"ratio": 1.04, "low": 1.01, "high": 1.07, "days": 31}}),
}  # fmt: skip
WITH_AXES = [name for name in FIGURES if not name.startswith("no ")]
CASES = [name for name in FIGURES if "alone" not in name]
OLDER = ("scores", "differences", "months", "training", "training without validation", "scorecard")  # words for units


@pytest.mark.parametrize("draw", [FIGURES[name] for name in CASES], ids=CASES)
def test_every_figure_gives_the_same_png_twice_without_date_or_software(tmp_path, draw):
    for name in ("a.png", "b.png"):
        figure = draw()
        assert isinstance(figure, Figure)
        save_png(figure, tmp_path / name, dpi=50)
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes()
    assert b"Software" not in data and b"tIME" not in data and b"Date" not in data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


@cache
def drawn(name):
    """A figure after it has been drawn, and what was written on it: (words, box in dots, rotation)."""
    figure, written, draw = FIGURES[name](), [], Text.draw

    def recording(self, renderer, *args, **kwargs):
        draw(self, renderer, *args, **kwargs)
        if self.get_visible() and self.get_text().strip():
            written.append(self)

    with patch.object(Text, "draw", recording):
        figure.canvas.draw()
    return figure, [(text.get_text(), text.get_window_extent(), text.get_rotation()) for text in written]


@pytest.mark.parametrize("name", WITH_AXES)
def test_no_text_lies_on_another_or_outside_the_picture(name):
    figure, boxes = drawn(name)
    whole = figure.get_tightbbox().padded(0.06).transformed(figure.dpi_scale_trans)
    assert whole.width < 1.1 * figure.bbox.width and whole.height < 1.1 * figure.bbox.height
    for k, (words, box, rotation) in enumerate(boxes):
        assert whole.x0 <= box.x0 + 1 and box.x1 - 1 <= whole.x1, words
        assert whole.y0 <= box.y0 + 1 and box.y1 - 1 <= whole.y1, words
        for others, other, turned in boxes[k + 1 :]:
            if rotation % 90 or turned % 90:
                continue  # the box of oblique text is larger than the text
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            down = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert across < 2 or down < 2, (words, others)


@pytest.mark.parametrize("name", [name for name in WITH_AXES if name not in OLDER])
def test_every_axis_with_numbers_says_what_they_are_and_their_unit(name):
    figure, boxes = drawn(name)
    written = {words for words, *_ in boxes}
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            numbers = [text.get_text() for text in axis.get_ticklabels() if text.get_text() in written]
            spec = axes.get_subplotspec()
            is_inner = spec is not None and not (spec.is_first_col() if axis is axes.yaxis else spec.is_last_row())
            hidden = not (axes.get_visible() and axes.axison and axis.get_visible() and numbers)
            if hidden or is_inner or any("°" in number for number in numbers) or not axis.get_tick_params()["label" + (
                "bottom" if axis is axes.xaxis else "left")]:  # fmt: skip
                continue
            label = axis.get_label_text()
            assert "(" in label or "pairs" in label, (axis, numbers)


@pytest.mark.parametrize("name", ["mean", "sequence", "zoom with truth", "scatter", "series", "diurnal", "stations"])
@pytest.mark.parametrize(("pollutant", "words"), [("pm25", "PM2.5 (µg m⁻³)"), ("o3", "O₃ (nmol mol⁻¹)")])
def test_concentrations_carry_the_pollutant_and_its_unit(name, pollutant, words):
    show(pollutant)
    try:
        assert any(words in text for text in texts(FIGURES[name]()))
    finally:
        show("pm25")


def test_fields_have_the_colours_of_okabe_and_ito():
    figure = FIGURES["series"]()
    assert {line.get_label(): line.get_color() for line in figure.axes[0].lines} == {
        "observed": "#1a1a1a", "CAMS": "#D55E00", "product": "#0072B2",
    }  # fmt: skip


def test_a_message_keeps_its_margins(tmp_path):
    save_png(message("Nothing."), tmp_path / "m.png", dpi=100)
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.size == pytest.approx((812, 172), abs=3)
