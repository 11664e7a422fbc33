"""The report in a browser: it works from a file, alone, by pointer and by keyboard, narrow and wide, light and dark."""

import csv
import io
import shutil

import numpy as np
import pandas as pd
import pytest

from deepcams.report.page import write_index, write_year_report
from tests.standins.validation_folder import truth_row, write_figure, write_folder, write_slider

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (make tools)"),
    pytest.mark.xdist_group("browser"),
]
HOSTILE = "</script><b>x</b><img src=http://evil.example/ onerror=document.title='run'>\u2028&amp;"
WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 380, "height": 760}
# Contrast of the text of elements with what they stand on (WCAG 2.1, 1.4.3), colours as the browser computed them.
CONTRAST = """() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (text, under) => {
    pen.fillStyle = `rgb(${under})`; pen.fillRect(0, 0, 1, 1);
    pen.fillStyle = text; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) => colour.map((c) => (c / 255 <= 0.03928 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const under = (e) => (e ? rgb(getComputedStyle(e).backgroundColor, under(e.parentElement)) : [255, 255, 255]);
  return [...document.querySelectorAll(
    "h1, h2, h3, p, li, a, b, th, td, small, dt, dd, button, label, figcaption, select, span, i, summary")]
    .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())
      && !e.closest(".skip"))
    .map((e) => {
      const ground = under(e), text = rgb(getComputedStyle(e).color, ground);
      const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`];
    });
}"""
# Elements wider than the page, except inside what scrolls by itself.
OUTSIDE = """() => [...document.body.querySelectorAll("*")].filter((e) => !e.closest(".scroll *, .skip, svg *")
  && e.checkVisibility() && e.getBoundingClientRect().width
  && (e.getBoundingClientRect().right > innerWidth + 0.5 || e.getBoundingClientRect().left < -0.5))
  .map((e) => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Pages: a region with all there is, the globe with many stations, one station alone, none, hostile, all years."""
    folder = tmp_path_factory.mktemp("reports")
    figure, slider = write_figure(folder / "figure.png"), write_slider(folder / "slider.json")
    cases = {
        "region": {"stations": 40, "series": 30, "synthetic": "A test made them up.",
                   "truth": [truth_row("product", 2.0), truth_row("cubic", 3.0), truth_row("superresolutionnet", 9.0)]},
        "globe": {"stations": 6656, "globe": True, "series": 200},
        "one": {"stations": 1, "cams": False, "year": None, "daily_series": True, "hours": 60},
        "none": {"stations": 0},
        "hostile": {"stations": 3, "station_names": {0: HOSTILE}, "names": {"product": HOSTILE, "cams": HOSTILE}},
    }  # fmt: skip
    for name, case in cases.items():
        write_folder(folder / name, **case)
        names = () if name == "none" else ("mean", "taylor", "exceedances", "zoom")
        write_year_report(
            folder / f"{name}.html",
            folder=folder / name,
            figures=dict.fromkeys(names, figure),
            slider=None if name in ("one", "none") else slider,
            details={"settings": "x" * 300, "networks": "XVFI"},
        )
    other = write_folder(folder / "2019", year=2019, stations=5, hours=5)
    write_index(folder / "years.html", folders=[folder / "region", other], scatter=figure)
    return folder


@pytest.fixture
def opened(browser, reports):
    """A function: open a page; at the end nothing may have gone wrong, and nothing been asked of a network."""
    contexts, faults = [], []

    def open_page(name, viewport=WIDE, **options):
        context = browser.new_context(viewport=viewport, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on(
            "console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url)
                if not request.url.startswith(("file:", "data:", "blob:")) else None)  # fmt: skip
        page.goto((reports / f"{name}.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def cells(page, table, column):
    """Texts of a visible column of a table."""
    return page.locator(f"{table} tbody tr").evaluate_all(f"rows => rows.map(row => row.cells[{column}].textContent)")


def numbers(texts):
    return [np.nan if text == "–" else float(text.replace("−", "-").replace("\u202f", "")) for text in texts]


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", ["region", "globe", "one", "none", "hostile", "years"])
def test_nothing_goes_wrong_and_nothing_sticks_out(opened, name, viewport):
    page = opened(name, viewport)
    page.wait_for_timeout(50)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert page.evaluate(OUTSIDE) == []


def test_pictures_stand_below_each_other_whatever_their_names(opened):
    page = opened("region")
    places = page.locator("figure.picture").evaluate_all(
        "all => all.map(e => [getComputedStyle(e).position, e.getBoundingClientRect().top, e.offsetHeight])"
    )
    assert len(places) >= 4
    assert all(position == "static" and height > 40 for position, _, height in places)
    assert [top for _, top, _ in places] == sorted(top for _, top, _ in places)


def test_the_slider_moves_pictures_and_time(opened):
    page = opened("region")
    product, cams = page.locator("#slider-view .frames img").all()
    at_first = [image.get_attribute("src") for image in (product, cams)]
    assert page.locator("#slider-time").text_content() == "2018-07-01 00:00 UTC"
    page.locator("#slider-range").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#slider-time").text_content() == "2018-07-01 01:00 UTC"
    assert product.get_attribute("src") != at_first[0]
    assert cams.get_attribute("src") == at_first[1]  # still the analysis of 00:00
    page.keyboard.press("End")
    assert page.locator("#slider-time").text_content() == "2018-07-01 06:00 UTC"
    assert cams.get_attribute("src") == product.get_attribute("src") != at_first[0]


def test_play_plays_until_it_is_stopped(opened):
    page = opened("region", reduced_motion="no-preference")
    play = page.get_by_role("button", name="Play")
    play.click()
    sync_api.expect(page.locator("#slider-time")).not_to_have_text("2018-07-01 00:00 UTC")
    stop = page.get_by_role("button", name="Pause")
    stop.click()
    time = page.locator("#slider-time").text_content()
    page.wait_for_timeout(500)
    assert page.locator("#slider-time").text_content() == time


def place_of(page, row):
    """Where a station's dot is on the screen, from the page's own data."""
    page.locator("#explorer-map").scroll_into_view_if_needed()
    return page.evaluate(
        """(row) => {
          const map = JSON.parse(document.getElementById("explorer").textContent).map;
          const box = document.getElementById("explorer-map").getBoundingClientRect();
          const [w, h] = [box.width - 2, box.height - 2], k = Math.min(w / map.width, h / map.height);
          const [left, top] = [(w - k * map.width) / 2, (h - k * map.height) / 2];
          return [box.left + 1 + left + k * map.x[row], box.top + 1 + top + k * map.y[row]];
        }""",
        row,
    )


@pytest.mark.parametrize(("row", "has_series"), [(7, True), (35, False)])
def test_a_click_beside_a_station_shows_its_scores_and_its_series(opened, reports, row, has_series):
    page = opened("region")
    x, y = place_of(page, row)
    page.mouse.click(x + 2, y + 1)
    card = page.locator("#explorer-card")
    sync_api.expect(card.locator("h3")).to_have_text(f"Place {row}")
    table = pd.read_csv(reports / "region" / "stations.csv", keep_default_na=False)
    mine = table[(table["station"] == 1000 + row) & (table["resolution"] == "hourly")].set_index("field")
    shown = card.locator("tbody tr", has_text="RMSE").locator("td").all_text_contents()
    assert numbers(shown) == pytest.approx([mine["rmse"]["product"], mine["rmse"]["cams"]], abs=0.006)
    assert card.locator("svg.chart").count() == has_series
    assert ("not on this page" in card.text_content()) != has_series


def test_the_series_are_those_of_the_file_to_be_read_by_keys(opened, reports):
    page = opened("region")
    chart = page.locator("#explorer-card svg.chart")
    chart.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    with np.load(reports / "region" / "clicks.npz") as clicks:
        values = [clicks[name][0, 3] for name in ("observed", "product", "cams")]
    text = page.locator("#explorer-card .readout").text_content()
    found = [float(part.rsplit(" ", 1)[1]) for part in text.partition(" UTC: ")[2].split(", ")]
    assert text.startswith("2018-07-01 03:00 UTC: observed ")
    assert found == pytest.approx(values, abs=0.006)
    page.keyboard.press("PageUp")
    assert "observed –" in page.locator("#explorer-card .readout").text_content()  # the first one is missing


def test_a_station_is_found_by_name_and_by_its_row(opened):
    page = opened("globe")
    page.locator("#explorer-search").fill("place 6543")
    page.keyboard.press("Enter")
    title = page.locator("#explorer-card h3")
    sync_api.expect(title).to_have_text("Place 6543")
    page.locator("#explorer-search").fill("namibia")
    assert page.locator("#explorer-found button").count() == 8
    assert page.locator("#explorer-found li").last.text_content() == "… and 1\u202f323 more"  # of 1331
    page.locator("#explorer-found button").nth(2).click()
    sync_api.expect(title).to_have_text("Place 13")
    page.locator("#explorer-table tbody button").nth(4).click()
    sync_api.expect(title).to_have_text("Place 4")


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(("name", "title"), [("region", "hourly values"), ("one", "daily means")])
def test_a_chart_says_what_it_shows_and_when(opened, name, title, viewport):
    page = opened(name, viewport)
    chart = page.locator("#explorer-card svg.chart")
    assert chart.locator("text.head").text_content() == f"PM2.5 (µg/m³), {title}"
    times = chart.locator('text[text-anchor="middle"]').all_text_contents()
    assert 3 <= len(times) <= 12 and times[0].startswith("07-01")


def test_a_choice_without_rows_says_so(opened):
    page = opened("region")
    box = page.locator('[data-table="scores"]')
    box.locator("select").nth(1).select_option("solar hour")
    assert box.locator("tbody tr").count() == 24
    box.locator("select").nth(0).select_option("daily")
    assert box.locator("tbody").all_text_contents() == ["no rows"]


def test_no_word_of_a_step_or_a_method_is_cut_on_a_telephone(opened):
    page = opened("region", NARROW)
    words = page.locator("table.counts tbody th, #truth tbody th").evaluate_all(
        """heads => heads.flatMap((head) => [...head.childNodes].flatMap((node) =>
          [...node.data.matchAll(/\\S+/g)].map((word) => {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            return [word[0], range.getClientRects().length];
          })))"""
    )
    assert len(words) > 12 and [word for word, lines in words if lines != 1] == []
    assert page.locator("table.counts td.bar:visible").count() == 0
    assert opened("region").locator("table.counts td.bar:visible").count() > 3


def test_keys_walk_from_station_to_station(opened):
    page = opened("region")
    page.locator("#explorer-map").focus()
    seen = set()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "+", "ArrowUp", "0"):
        page.keyboard.press(key)
        seen.add(page.locator("#explorer-card h3").text_content())
    assert len(seen) >= 4


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "finger"])
def test_colours_follow_the_chosen_score(opened, touch):
    page = opened("region", NARROW if touch else WIDE, has_touch=touch)
    x, y = place_of(page, 5)
    if touch:
        page.touchscreen.tap(x + 6, y)
        assert page.locator("#explorer-card h3").text_content().startswith("Place")
    before = page.locator("#explorer-map").evaluate("map => map.toDataURL()")
    page.locator("#explorer-score").select_option(label="R: CAMS")
    page.wait_for_timeout(60)
    assert page.locator("#explorer-legend").text_content().startswith("R: CAMS, hourly")
    assert page.locator("#explorer-map").evaluate("map => map.toDataURL()") != before


def test_numbers_sort_as_numbers_with_what_is_missing_last(opened):
    page = opened("region")
    box = '[data-table="scores"]'
    page.locator(f"{box} select").nth(1).select_option("country")
    head = page.locator(f"{box} thead tr").last.locator("th:visible")
    column = head.all_text_contents().index("product")  # the first: R
    button = head.nth(column).get_by_role("button")
    assert button.get_attribute("aria-label").startswith("R product")
    for state, sign in (("ascending", 1), ("descending", -1)):
        button.focus()
        page.keyboard.press("Enter")
        assert head.nth(column).get_attribute("aria-sort") == state
        values = numbers(cells(page, box, column))
        assert np.isnan(values[-1]) and len(values) == 5
        assert values[:-1] == sorted(values[:-1], key=lambda value: sign * value)
    page.locator(f"{box} thead button").nth(2).click()
    assert cells(page, box, 0) == sorted(cells(page, box, 0))


@pytest.mark.parametrize("box", ["#explorer-table", '[data-table="scores"]', '[data-table="differences"]', "#truth"])
def test_a_download_is_what_the_table_shows(opened, box):
    page = opened("region")
    if box == "#truth":
        page.locator(f"{box} thead button", has_text="RMSE").first.click()
    with page.expect_download() as download:
        page.locator(f"{box} .tools button").first.click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert download.value.suggested_filename.endswith(".csv")
    head, *rows = list(csv.reader(io.StringIO(text)))
    if box == "#explorer-table":
        assert len(rows) == 40 and "RMSE product (µg/m³)" in head and "NMB CAMS (%)" in head
    if box == '[data-table="scores"]':
        assert download.value.suggested_filename == "scores_2018_hourly_overall.csv"
    table = page.locator(f"{box} table").first
    shown = table.locator("tbody tr").evaluate_all("rows => rows.map(row => [...row.cells].map(c => c.textContent))")
    assert len(shown) == len(rows)
    for texts, values in zip(shown, rows, strict=True):
        for text, value in zip(texts, values, strict=True):
            try:
                assert float(value) == pytest.approx(numbers([text.replace("%", "")])[0], abs=0.06)
            except ValueError:
                assert value == text


def test_a_table_of_thousands_is_drawn_as_it_is_scrolled(opened):
    page = opened("globe")
    scroll = page.locator("#explorer-table .scroll")
    assert scroll.locator("tbody tr").count() < 200
    scroll.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    sync_api.expect(scroll.locator("tbody tr")).to_have_count(120)
    page.locator("#explorer-table thead button", has_text="Station").click()
    assert cells(page, "#explorer-table", 0)[:3] == ["Place 0", "Place 1", "Place 2"]
    page.locator("#explorer-table thead button", has_text="Station").click()
    assert cells(page, "#explorer-table", 0)[0] == "Place 6655"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["region", "years"])
def test_every_text_stands_out_from_its_ground(opened, name, scheme):
    page = opened(name, color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach(e => { e.open = true; })")
    found = page.evaluate(CONTRAST)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(ground.split("(")[1].split(",")[0]) < 60) == (scheme == "dark")
    assert len(found) > 60 and [item for item in found if item[0] < 4.5] == []


def test_everything_is_reached_by_the_keyboard(opened):
    page = opened("hostile")
    reached: set[str] = set()
    for _ in range(170):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(e => e.id || e.getAttribute('class') || e.textContent)(document.activeElement)"))
    wanted = {"skip", "slider-play", "slider-range", "explorer-score", "explorer-search", "explorer-map", "chart"}
    assert wanted | {"All years", "Download CSV", "By country"} <= reached


def test_hostile_texts_stay_texts(opened):
    page = opened("hostile")
    assert page.locator("#explorer-card h3").text_content() == HOSTILE
    assert page.locator("#explorer-card img, #explorer-table img, main b:has-text('x') img").count() == 0
    page.locator("#explorer-search").fill("evil")
    assert HOSTILE in page.locator("#explorer-found").text_content()
    assert page.title() == "Hourly 0.25° surface PM2.5, 2018"
    assert page.evaluate("Object.keys(window).filter((key) => ['make', 'table', 'slider'].includes(key))") == []


def test_the_page_s_policy_stops_what_would_run_or_load(browser, reports):
    context = browser.new_context()
    page = context.new_page()
    page.goto((reports / "region.html").as_uri())
    page.evaluate(
        """() => {
          const code = "document.title='run'";
          document.body.insertAdjacentHTML("beforeend", `<img src="http://127.0.0.1:9/x" onerror="${code}">`);
          document.body.append(Object.assign(document.createElement("script"), { textContent: code }));
        }"""
    )
    page.wait_for_timeout(150)
    assert page.title() != "run"
    context.close()
