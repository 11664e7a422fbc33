"""What the documentation tells people to type works, and what it points at is there."""

import gzip
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from deepcams.cli.main import main
from deepcams.validation.pairs import write_pairs
from tests import forked
from tests.conftest import ROOT
from tests.unit.fusion_cases import untaught
from tests.unit.test_pairs import pairs_of

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
WORKFLOW = ("Snakefile", "workflow", "src", "config", "profiles", "envs")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
REAL = {"cams.nc": "cams_eac4_pm25_20191231T15_20200101T00.nc", "geoscf.nc": "geoscf_pm25_west_4h.nc"}


def blocks(language, pages=PAGES):
    """Fenced blocks of a language: (page, text)."""
    return [(page, text) for page in pages for kind, text in FENCE.findall(page.read_text()) if kind == language]


def commands(program):
    """Lines of the sh blocks that call a program, and its calls in running text, without comments; each once."""
    lines = [line for _, text in blocks("sh") for line in text.splitlines()]
    spans = [s for page in PAGES for s in re.findall(r"(?<!`)`([a-z]+ [^`\n]+)`", FENCE.sub("", page.read_text()))]
    calls = [shlex.split(line, comments=True) for line in [*lines, *spans] if line.split()[:1] == [program]]
    return sorted({tuple(call) for call in calls})


def consoles():
    """The console blocks of the page about the command line, cut into (arguments, output)."""
    found = []
    for _, text in blocks("console", [ROOT / "docs" / "command_line.md"]):
        for call in re.split(r"^\$ deepcams ", text, flags=re.MULTILINE)[1:]:
            line, _, output = call.partition("\n")
            found.append((tuple(shlex.split(line)), output))
    return found


def anchors(page):
    """The anchors GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with made-up files of the names that the pages use."""
    path = tmp_path_factory.mktemp("files")
    write_cams(path / "cams.nc", 4)
    rng = np.random.default_rng(2)
    latitude, longitude = np.arange(22.5, 52.6, 0.25), np.arange(-128.25, -63.0, 0.25)
    values = rng.gamma(2, 10, (4, 1, len(latitude), len(longitude))).astype("f4")
    xr.Dataset(
        {"PM25_RH35_GCC": (("time", "lev", "lat", "lon"), values, {"units": "ug m-3"})},
        {
            "time": np.datetime64("2019-07-01T00:30", "ns") + np.arange(4) * np.timedelta64(1, "h"),
            "lev": [72.0],
            "lat": latitude,
            "lon": longitude,
        },
    ).to_netcdf(path / "geoscf.nc")
    words = ["--temporal", "linear", "--spatial", "bicubic"]
    assert main(["downscale", str(path / "cams.nc"), str(path / "hourly.nc"), *words]) == 0
    demo = path / "results" / "demo"
    for part in (path / "openaq", demo / "2018", demo / "raw" / "openaq"):
        part.mkdir(parents=True)
    for copy in (path / "merra.nc", demo / "2018" / "pm25_hourly.nc"):
        shutil.copy(path / "hourly.nc", copy)
    lines = [f"{k},{20 + k},{70 + 2 * k},2018-07-01T{h:02d}:00Z,{9 + k + h}" for k in range(5) for h in range(24)]
    text = "\n".join(["station,latitude,longitude,time,pm25", *lines]) + "\n"
    for table in (path / "stations.csv", path / "openaq" / "a.csv", demo / "raw" / "openaq" / "a.csv"):
        table.write_text(text)
    (path / "stations.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    untaught(path / "model.safetensors")
    return path


def write_cams(path, frames):
    """Analyses over southern Asia as the Atmosphere Data Store delivers them."""
    latitude, longitude = np.arange(45, 14.9, -0.75), np.arange(65.25, 95.3, 0.75)
    values = np.random.default_rng(1).gamma(2, 1e-8, (frames, len(latitude), len(longitude))).astype("f4")
    times = np.datetime64("2018-07-01T00:00", "ns") + np.arange(frames) * np.timedelta64(3, "h")
    xr.Dataset(
        {"pm2p5": (("valid_time", "latitude", "longitude"), values, {"units": "kg m**-3"})},
        {"valid_time": times, "latitude": latitude, "longitude": longitude},
    ).to_netcdf(path)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the workflow with the configurations of the README and the files that they name, all of them empty."""
    path = tmp_path_factory.mktemp("checkout")
    for part in WORKFLOW:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, path / part)
    for _, text in blocks("yaml"):
        name = re.match(r"# (\S+\.yaml)\n", text)
        assert name, "a yaml block names its file in its first line"
        (path / name.group(1)).write_text(text)
    for kind in ("cams", "geoscf", "openaq"):
        (path / "data" / kind).mkdir(parents=True)
    for month in range(1, 13):
        (path / "data" / "cams" / f"2018-{month:02d}.nc").touch()
    return path


def test_the_readme_shows_the_two_commands_and_the_main_uses():
    assert {("make", "demo"), ("make", "test")} <= set(commands("make"))
    assert {call[1] for call in commands("deepcams")} >= {"downscale", "degrade", "score"}
    assert ("snakemake", "--cores", "8", "all") in commands("snakemake")
    assert consoles() and blocks("python", [README]) and blocks("yaml", [README])


def test_every_line_to_type_is_of_a_kind_that_is_tested():
    known = {"make", "snakemake", "deepcams", "source"}
    for page, text in blocks("sh"):
        for line in text.splitlines():
            assert line.split()[:1] in [[word] for word in known], f"{page.name}: {line}"


@pytest.mark.parametrize("call", commands("make"), ids=" ".join)
def test_make_target_exists(call):
    process = subprocess.run(["make", "-n", *call[1:]], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


@pytest.mark.slow
@pytest.mark.parametrize("call", commands("snakemake"), ids=" ".join)
def test_snakemake_line_plans_without_accounts(call, checkout):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ADSAPI", "CDSAPI", "PYTEST"))}
    arguments = [*([] if "--unlock" in call else ["-n"]), *call[1:]]
    process = forked.snakemake(arguments, checkout, {**clean, "HOME": str(checkout)})
    assert process.returncode == 0, process.stdout
    fetches = "--until" in call or any("raw/" in word for word in call)
    said = "retrieve_" if fetches else "downscale_spatial"
    said = "digraph" if "--rulegraph" in call else "nlock" if "--unlock" in call else said
    assert said in process.stdout


# A bare `deepcams downscale` in running text is the command's name, nothing to type.
@pytest.mark.parametrize("call", [c for c in commands("deepcams") if c[1][0] == "-" or ".nc" in str(c)], ids=" ".join)
def test_deepcams_line_works_on_made_up_files(call, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    if call[1].startswith("--"):
        with pytest.raises(SystemExit) as end:
            main(list(call[1:]))
        assert end.value.code == 0
    else:
        assert main(list(call[1:])) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "output"), consoles(), ids=[" ".join(c[0]) for c in consoles()])
def test_console_line_ends_on_made_up_files_as_the_page_says(arguments, output, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    failed = output.startswith("deepcams: ")
    assert main(list(arguments)) == int(failed)
    said = capsys.readouterr()
    assert said.err == output if failed else said.out.count("\n") == output.strip("\n").count("\n") + 1


@pytest.mark.real
def test_console_outputs_are_those_of_the_real_files(real_samples, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, sample in REAL.items():
        os.symlink(real_samples / sample, tmp_path / name)
    for arguments, output in consoles():
        main(list(arguments))
        said = capsys.readouterr()
        assert (said.err if output.startswith("deepcams: ") else said.out).strip() == output.strip(), arguments


@pytest.mark.real
def test_readme_shows_scores_of_the_real_file(real_samples, capsys):
    (call,) = (call for call in commands("deepcams") if call[1:3] == ("score", "joint"))
    main([str(real_samples / REAL["geoscf.nc"]) if word == "geoscf.nc" else word for word in call[1:]])
    printed = capsys.readouterr().out
    (table,) = (text for _, text in blocks("text", [README]))
    assert table in printed


@pytest.mark.parametrize(("page", "snippet"), blocks("python"), ids=lambda value: getattr(value, "name", ""))
def test_python_snippet_runs(page, snippet, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_cams(tmp_path / "cams.nc", 9)
    for name in re.findall(r'"(results/[^"]+\.nc)"', snippet):
        (tmp_path / name).parent.mkdir(parents=True)
        if "collocated" in name:
            write_pairs(name, pairs_of("2018-07-01"))
        else:
            assert main(["downscale", "cams.nc", name]) == 0
    capsys.readouterr()
    exec(compile(snippet, page.name, "exec"), {})
    printed = capsys.readouterr().out
    assert printed.strip() and "nan" not in printed.lower()


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text()))
    if "://" not in target
]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=[f"{page.name}: {target}" for page, target in LINKS])
def test_link_leads_somewhere(page, target):
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    assert file.exists()
    if anchor:
        assert anchor in anchors(file)


def test_pictures_are_small_png_files():
    pictures = [page.parent / t for page, t in LINKS if t.endswith(".png")]
    assert len(pictures) >= 3
    for picture in pictures:
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert picture.stat().st_size < 2_000_000


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    for page in PAGES:
        assert page.name == "README.md" or f"({page.name})" in index
    assert len(README.read_text().splitlines()) <= 170
    for script in (ROOT / "docs").glob("*.py"):
        assert f"`{Path(script).name}`" in index
