"""The report on networks: tables beside the paper's, and "better" only where intervals allow it."""

import dataclasses
import re

import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.report.networks import Evaluation
from deepcams.validation.skill import Skill, read_skill, write_skill
from tests.standins.report_page import Reader, networks_of, report_maker, table_rows


@pytest.fixture
def make(tmp_path):
    """A function: write a folder and its report, return the report's text."""
    return report_maker(tmp_path)


def evaluation(tmp_path, network_rmse=4.0):
    rows = [
        {"month": f"2020-{m:02d}", "method": name, "r": 0.9 + m / 1000, "rmse": rmse + m, "mae": 0.5}
        for m in (1, 2, 3)
        for name, rmse in (("XVFI", network_rmse), ("linear", 5.0), ("nearest", 9.0))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "evaluation.csv", index=False)
    return Evaluation("Temporal network", tmp_path / "evaluation.csv", "XVFI")


def difference(baseline, metric, reference, percent, half, step=0.75, days=31):
    low, high = percent - half, percent + half
    value = reference * (1 + percent / 100)
    return Skill("temporal", step, "XVFI", baseline, metric, value, reference, percent, low, high, days)


def skill_of(tmp_path, rmse, mae, days=31):
    """Differences from linear, the best baseline, (per cent, half the interval), and from nearest."""
    rows = [
        difference("nearest", "rmse", 9.0, -50.0, 1.0, days=days),
        difference("nearest", "mae", 4.0, -50.0, 1.0, days=days),
        difference("linear", "rmse", 5.0, *rmse, days=days),
        difference("linear", "mae", 2.0, *mae, days=days),
        difference("linear", "rmse", 4.0, -77.0, 1.0, step=0.25),
    ]
    write_skill(rows, tmp_path / "skill.csv")
    return tmp_path / "skill.csv"


NAN = float("nan")


@pytest.mark.parametrize(
    ("rmse", "mae", "days", "words", "kind"),
    [
        ((-12.3, 1.2), (-15.0, 1.0), 31,
         "is better than the best baseline, linear: RMSE 4.385 against 5.000 µg/m³ (−12.3 %, interval −13.5 … −11.1 %)",
         "good"),
        ((-12.3, 1.2), (-0.5, 0.6), 31,
         "is better than the best baseline, linear, in RMSE, cannot be told apart in MAE: RMSE 4.385", "neutral"),
        ((-12.3, 1.2), (4.0, 0.6), 31, "is better than the best baseline, linear, in RMSE, worse in MAE: RMSE", "bad"),
        ((-0.3, 1.2), (0.5, 0.6), 31, "cannot be told apart from the best baseline, linear: RMSE 4.985", "neutral"),
        ((3.0, 1.2), (-0.5, 0.6), 31,
         "is worse than the best baseline, linear, in RMSE, cannot be told apart in MAE: RMSE 5.150", "bad"),
        ((3.0, 1.2), (4.0, 1.0), 31, "is worse than the best baseline, linear: RMSE 5.150", "bad"),
        ((-9.0, NAN), (-9.0, NAN), 2,
         "is not judged against the best baseline, linear, from 2 day(s) only: RMSE 4.550 against 5.000 µg/m³ "
         "(−9.0 %, no interval)", "neutral"),
    ],
)  # fmt: skip
def test_a_network_is_better_only_where_the_interval_excludes_zero(tmp_path, make, rmse, mae, days, words, kind):
    item = evaluation(tmp_path)
    item = Evaluation("In time", item.path, "XVFI", skill=skill_of(tmp_path, rmse, mae, days))
    pd.read_csv(item.path).assign(step=0.75).to_csv(item.path, index=False)
    item = dataclasses.replace(item, step=0.75)
    text = make(evaluations=[item, dataclasses.replace(item, title="Again", judged=False)])
    found = [
        verdict
        for verdict in re.findall(r'<p class="verdict (good|bad|neutral)">([^<]*)</p>', text)
        if "XVFI" in verdict[1]
    ]
    assert len(found) == 1  # what is not judged has no verdict
    assert found[0][1].startswith(f"In time: XVFI {words}")
    assert found[0][0] == kind


def test_differences_stand_in_a_table_with_their_intervals(tmp_path, make):
    item = evaluation(tmp_path)
    pd.read_csv(item.path).assign(step=0.75).to_csv(item.path, index=False)
    skill = skill_of(tmp_path, (-12.3, 1.2), (0.04, 0.2))
    text = make(
        evaluations=[Evaluation("In time", item.path, "XVFI", 0.75, skill)],
        figures={"mean": tmp_path / "figure.png", "differences": tmp_path / "figure.png"},
    )
    networks = networks_of(text)
    assert "data:image/png;base64," in networks and "with intervals of 95 %" in networks
    opened, folded = networks.split("<details>")
    assert skill_cells(opened) == [
        ("linear", "RMSE", "4.385", "5.000", "−12.3 %", "−13.5 … −11.1 %", "better"),
        ("linear", "MAE", "2.001", "2.000", "+0.0 %", "−0.2 … +0.2 %", "cannot be told apart"),
    ]  # the main baseline; all of them are folded
    assert skill_cells(folded) == [
        ("nearest", "RMSE", "4.500", "9.000", "−50.0 %", "−51.0 … −49.0 %", "better"),
        ("nearest", "MAE", "2.000", "4.000", "−50.0 %", "−51.0 … −49.0 %", "better"),
        *skill_cells(opened),
    ]


def skill_cells(text):
    rows = re.findall(r'<tr><th scope="row">(linear|nearest)</th>(.*?)</tr>', text)
    return [(name, *(cell.replace("\u202f", " ") for cell in re.findall("<td>(.*?)</td>", row))) for name, row in rows]


def test_what_else_was_compared_is_folded_and_judges_nothing(tmp_path, make):
    item = evaluation(tmp_path)
    better = difference("linear", "rmse", 5.0, -99.0, 0.5)
    rows = [
        *read_skill(skill_of(tmp_path, (-12.3, 1.2), (-9.0, 1.0))),
        dataclasses.replace(better, kind="further", configured="XVFI 2"),
        dataclasses.replace(better, kind="further", configured="XVFI 2", baseline="nearest", difference_percent=-98.0),
        dataclasses.replace(better, kind="operator", degradation="point", baseline="bicubic", baseline_value=0.1),
        dataclasses.replace(better, kind="order", baseline="XVFI, space first", baseline_value=0.2),
    ]
    write_skill(rows, tmp_path / "skill.csv")
    text = make(evaluations=[dataclasses.replace(item, skill=tmp_path / "skill.csv")])
    assert "XVFI is better than the best baseline, linear: RMSE 4.385" in text
    opened, every, others = re.split("<details><summary>[A-Z]", networks_of(text))
    assert "XVFI 2" not in opened + every and "98.0" not in networks_of(text)
    assert table_rows(others)[0][:4] == ["Baseline", "Network", "Input by", "Score"]
    assert [row[:4] for row in table_rows(others)[1:]] == [
        ["linear", "XVFI 2", "", "RMSE"],
        ["bicubic", "XVFI", "point", "RMSE"],
        ["XVFI, space first", "XVFI", "", "RMSE"],
    ]


PAPER = ("linear_as_printed", "linear", "XVFI")


def experiment(tmp_path, months=("2019-01", "2019-04"), degradations=("",)):
    """An evaluation in time of five methods; r, rmse and mae are told from their averages over frames by 100 more."""
    rows = []
    for month in months:
        for operator in degradations:
            for k, method in enumerate(("linear", "nearest", "linear_as_printed", "bicubic", "XVFI")):
                scores = {"r": 0.9 + k / 100, "rmse": 5.0 - k + 10 * len(operator), "mae": 1.0 + k / 10}
                scores |= {f"{key}_mean_of_frames": value for key, value in scores.items()}
                rows.append({"month": month, "step": 0.25, "method": method, "degradation": operator, **scores})
    table = pd.DataFrame(rows)
    for key in ("r", "rmse", "mae"):
        table[key] += 100
    table.to_csv(tmp_path / "experiment.csv", index=False)
    return Evaluation("In time", tmp_path / "experiment.csv", "XVFI", 0.25, stage="temporal", printed=True)


def test_the_paper_s_figures_stand_beside_ours_by_calendar_month(tmp_path, make):
    text = make(evaluations=[experiment(tmp_path)])
    networks = networks_of(text)
    head, second, january, april, average = table_rows(networks)
    assert head == ["Month", "R", "RMSE (µg/m³)", "MAE (µg/m³)"]
    assert second == [*PAPER, "Linear, printed", "DeepCAMS, printed"] * 3
    # Averages over frames, not over all pairs, which are 100 more.
    assert january[:6] == ["2019-01", "0.9200", "0.9000", "0.9400", "0.9541", "0.9588"]
    assert january[6:11] == ["3.00", "5.00", "1.00", "9.30", "8.63"]
    assert april[9:11] == ["11.53", "10.91"]  # the paper's April
    assert april[11:] == ["1.200", "1.000", "1.400", "0.60", "0.35"]
    assert average[6:11] == ["3.00", "5.00", "1.00", "10.41", "9.77"]  # of the months that are shown
    assert "Eq. 9 as printed" in networks and "other data than ours" in networks


def test_the_averages_of_a_whole_year_are_the_printed_ones(tmp_path, make):
    item = experiment(tmp_path, [f"2019-{month:02d}" for month in range(1, 13)])
    text = make(evaluations=[dataclasses.replace(item, stage="spatial")])
    average = table_rows(networks_of(text))[-1]
    assert [value for value in average if value in ("5.42", "4.40", "0.50", "0.34")] == ["5.42", "4.40", "0.50", "0.34"]


def test_what_others_print_is_never_marked_as_best(tmp_path, make):
    item = experiment(tmp_path)
    table = pd.read_csv(item.path)
    table["rmse_mean_of_frames"] += 100
    table.to_csv(item.path, index=False)
    text = make(evaluations=[item])
    assert '<td class="other"><b>' not in text and '<td class="other">8.63</td>' in text
    assert "<td><b>101.00</b></td>" in text


def test_all_methods_are_folded_below_the_paper_s_and_none_is_lost(tmp_path, make):
    text = make(evaluations=[experiment(tmp_path)])
    networks = networks_of(text)
    opened, folded = networks.split("<details><summary>All 5 methods, month by month</summary>")
    assert "nearest" not in opened and "linear_<wbr>as_<wbr>printed" in opened  # long names do not widen the table
    assert table_rows(folded)[1] == ["linear", "nearest", "linear_as_printed", "bicubic", "XVFI"] * 3
    assert ", printed</th>" not in folded
    Reader(text)


def test_nothing_printed_is_shown_where_it_is_not_asked_for_or_the_paper_has_none(tmp_path, make):
    for changes in ({"printed": False}, {"stage": "joint"}):
        text = make(evaluations=[dataclasses.replace(experiment(tmp_path), **changes)])
        assert "Xiao" not in networks_of(text) and ", printed</th>" not in text


def test_space_is_shown_under_every_operator_and_months_only_under_the_configured_one(tmp_path, make):
    item = dataclasses.replace(experiment(tmp_path, degradations=("box", "point")), stage="spatial")
    text = make(evaluations=[item])
    networks = networks_of(text)
    january = table_rows(networks)[2]
    assert january[:3] + january[5:7] + january[9:11] == [
        "2019-01", "0.9300", "0.9400", "32.00", "31.00", "1.300", "1.400",
    ]  # fmt: skip
    rows = table_rows(networks[networks.index("Under other operators") :])
    assert rows[0] == ["Method", "box", "point"]
    assert rows[1] == ["RMSE (µg/m³)", "MAE (µg/m³)", "%"] * 2
    found = {row[0]: row[1:] for row in rows[2:]}
    assert list(found) == ["linear", "nearest", "linear_as_printed", "bicubic", "XVFI"]
    assert found["bicubic"] == ["32.000", "1.300", "+0.0", "52.000", "1.300", "+0.0"]
    assert found["XVFI"] == ["31.000", "1.400", "−3.1", "51.000", "1.400", "−1.9"]
    assert "<b>31.000</b>" in networks and "<b>51.000</b>" in networks


def test_tables_scroll_in_themselves_and_zooms_stand_with_the_networks(tmp_path, make):
    figure = tmp_path / "figure.png"
    names = ("differences", "months", "evaluation_temporal_zoom", "evaluation_spatial_zoom")
    item = dataclasses.replace(experiment(tmp_path, degradations=("box", "point")), stage="spatial")
    text = make(evaluations=[item], figures=dict.fromkeys(names, figure))
    networks = networks_of(text)
    assert networks.count("<table") == networks.count('<div class="scroll" tabindex="0"><table') == 3
    assert networks.count("<img") == 2  # without differences there are no figures of them
    write_skill([difference("linear", "rmse", 5.0, -1.0, 0.5, step=0.25)], tmp_path / "skill.csv")
    for months, expected in ((("2019-01", "2019-04"), 2), (("2019-01",), 1)):
        item = dataclasses.replace(experiment(tmp_path, months), skill=tmp_path / "skill.csv")
        text = make(evaluations=[item], figures=dict.fromkeys(names[:2], figure))
        assert text.count("<img") == expected  # of one month that of all months is enough
    assert "the frames before and after" in networks and "the coarse input" in networks


def test_without_differences_nothing_is_said_of_a_network(tmp_path, make):
    text = make(evaluations=[evaluation(tmp_path)])
    assert "XVFI" in text and "baseline" not in text
    assert not [verdict for verdict in re.findall(r'<p class="verdict[^>]*>([^<]*)', text) if "XVFI" in verdict]


def test_only_the_asked_for_resolution_is_shown(tmp_path, make):
    item = evaluation(tmp_path)
    table = pd.read_csv(item.path)
    pd.concat([table.assign(step=0.75), table.assign(step=0.25, rmse=77.0)]).to_csv(item.path, index=False)
    assert "77.00" not in networks_of(make(evaluations=[dataclasses.replace(item, step=0.75)]))
    assert "77.00" in networks_of(make(evaluations=[dataclasses.replace(item, step=0.25)]))
    with pytest.raises(DeepcamsError, match=r"no scores at 0\.5°"):
        make(evaluations=[dataclasses.replace(item, step=0.5)])


def test_training_curves_are_shown_with_what_they_are(tmp_path, make):
    assert 'id="training"' not in make()
    text = make(curves=[("The network for time <b>.", tmp_path / "figure.png")])
    training = text[text.index('<section id="training">') : text.index('<section id="provenance">')]
    assert "<figcaption>The network for time &lt;b&gt;.</figcaption>" in training
    assert Reader(training).elements.count("img") == 1


@pytest.mark.parametrize("rmse", [4.0, 6.0])
def test_networks_are_shown_month_by_month(tmp_path, make, rmse):
    text = make(evaluations=[evaluation(tmp_path, rmse)])
    table = networks_of(text)
    rows = re.findall(r"<tr[^>]*><th scope=\"row\">([^<]*)</th>(.*?)</tr>", table)[:4]
    assert [name for name, _ in rows] == ["2020-01", "2020-02", "2020-03", "Average"]
    cells = re.findall(r"<td>(.*?)</td>", rows[3][1])
    # R of linear, nearest, XVFI; then RMSE: averages of 5, 9 and the network's, plus 2; best ones bold.
    values = [re.sub("<.*?>", "", cell) for cell in cells]
    assert values[3:6] == ["7.00", "11.00", f"{rmse + 2:.2f}"]
    assert [cell.startswith("<b>") for cell in cells[3:6]] == [rmse > 5, False, rmse < 5]


def test_an_evaluation_without_its_columns_is_refused(tmp_path, make):
    (tmp_path / "e.csv").write_text("month,method,r\n2020-01,linear,0.9\n")
    with pytest.raises(DeepcamsError, match="mae, rmse"):
        make(evaluations=[Evaluation("T", tmp_path / "e.csv", "XVFI")])
