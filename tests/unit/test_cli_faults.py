"""The command line when something is wrong: one sentence, no traceback, inputs untouched, nothing left behind."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from deepcams.cli.main import main
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from tests.conftest import hears_ctrl_c
from tests.unit.test_cli import cams_file, geoscf_file

HOURS = np.random.default_rng(8).gamma(2, 10, (7, 31, 37)).astype("f4")


@pytest.fixture
def cams(tmp_path):
    return cams_file(tmp_path / "in.nc", np.random.default_rng(3).gamma(2, 10, (2, 6, 8)).astype("f4"))


@pytest.fixture
def geoscf(tmp_path):
    return geoscf_file(tmp_path / "fine.nc", HOURS)


def sentence(capsys, *command):
    """What a command that must fail says."""
    assert main([str(word) for word in command]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.startswith("deepcams: ") or "\ndeepcams: " in error
    return error


def usage(capsys, *command):
    """What a command says whose options cannot be."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in command])
    assert stop.value.code == 2
    return capsys.readouterr().err


def without_hour(path, source, hour):
    with xr.open_dataset(source) as dataset:
        dataset.isel(time=[k for k in range(dataset.sizes["time"]) if k != hour]).to_netcdf(path)
    return path


@pytest.mark.parametrize("stage", ["temporal", "joint"])
def test_frames_that_are_no_consecutive_hours_are_not_scored_in_time(tmp_path, geoscf, capsys, stage):
    gappy = without_hour(tmp_path / "gap.nc", geoscf, 2)
    error = sentence(capsys, "score", stage, gappy)
    assert "2019-07-01T01:30" in error and "2019-07-01T03:30" in error
    assert main(["score", "spatial", str(gappy)]) == 0


@pytest.mark.parametrize(
    "command", [["downscale", "{cams}", "{out}", "--spatial"], ["score", "spatial", "{geoscf}", "--model"]]
)
def test_a_network_that_learns_is_not_run_untrained(tmp_path, cams, geoscf, capsys, command):
    words = [word.format(cams=cams, geoscf=geoscf, out=tmp_path / "out.nc") for word in command]
    assert "pixel_shuffle must be trained first; give its model file" in sentence(capsys, *words, "pixel_shuffle")
    assert "pixel_shuffle" not in sentence(capsys, *words, "bicubik")
    assert not (tmp_path / "out.nc").exists()


def test_help_offers_only_networks_that_need_no_training(capsys):
    with pytest.raises(SystemExit):
        main(["downscale", "--help"])
    text = capsys.readouterr().out
    assert "lanczos3" in text and "pixel_shuffle" not in text and "pretrained (the default)" in text


@pytest.mark.parametrize("bits", ["0", "24", "-1", "seven"])
def test_mantissa_bits_are_1_to_23(tmp_path, cams, capsys, bits):
    assert "1 … 23" in usage(capsys, "downscale", cams, tmp_path / "out.nc", "--mantissa-bits", bits)


@pytest.mark.parametrize(
    ("stage", "models", "words"),
    [
        ("joint", ["linear"], "two networks"),
        ("spatial", ["bicubic", "bilinear"], "one network"),
        ("joint", ["linear", "bicubic", "bicubic"], "two networks"),
    ],
)
def test_a_wrong_number_of_models_is_told(geoscf, capsys, stage, models, words):
    options = [word for model in models for word in ("--model", model)]
    assert words in sentence(capsys, "score", stage, geoscf, *options)


@pytest.mark.parametrize("command", ["downscale", "degrade"])
@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("folder", "is a folder"),
        ("file/x.nc", "is not a folder"),
        ("/proc/x.nc", "/proc/x.nc cannot be written"),
        ("/proc/new/x.nc", "/proc/new/x.nc cannot be written"),
        ("pipe", "is a device"),
        ("x" * 200, "too long"),
        ("x" * 300 + "/x.nc", "too long"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_anything_is_computed(
    tmp_path, cams, geoscf, capsys, monkeypatch, command, out, words
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")

    def computes(*_, **__):
        raise AssertionError("nothing should be computed")

    monkeypatch.setattr("deepcams.cli.downscale.write_product", computes)
    monkeypatch.setattr("deepcams.cli.degrade.degrade", computes)
    source = cams if command == "downscale" else geoscf
    assert words in sentence(capsys, command, source, tmp_path / out)


@pytest.mark.parametrize("command", ["downscale", "degrade"])
def test_the_input_is_never_overwritten(tmp_path, cams, geoscf, capsys, command):
    source = cams if command == "downscale" else geoscf
    before = Path(source).read_bytes()
    (tmp_path / "link.nc").symlink_to(source)
    (tmp_path / "hard.nc").hardlink_to(source)
    for out in (
        source,
        tmp_path / "link.nc",
        tmp_path / "hard.nc",
        tmp_path / ".." / tmp_path.name / Path(source).name,
    ):
        assert "is the input" in sentence(capsys, command, source, out)
    assert Path(source).read_bytes() == before


def test_sigma_belongs_to_the_gaussian(tmp_path, geoscf, capsys):
    for command in (
        ["score", "temporal", geoscf],
        ["score", "spatial", geoscf, "--degradation", "imresize"],
        ["degrade", geoscf, tmp_path / "out.nc"],
    ):
        assert "gaussian" in sentence(capsys, *command, "--sigma", "3")
    assert not (tmp_path / "out.nc").exists()


@pytest.mark.parametrize("sigma", ["0", "-1", "nan", "1000"])
def test_sigma_out_of_range_is_one_sentence(tmp_path, geoscf, capsys, sigma):
    assert "sigma" in sentence(capsys, "score", "spatial", geoscf, "--degradation", "gaussian", "--sigma", sigma)
    out = tmp_path / "out.nc"
    assert "sigma" in sentence(capsys, "degrade", geoscf, out, "--operator", "gaussian", "--sigma", sigma)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (["20", "75", "25", "80"], "south 25"),
        (["nan", "75", "20", "80"], "north nan"),
        (["25", "75", "20", "inf"], "east inf"),
        (["95", "75", "20", "80"], "north 95"),
    ],
)
def test_a_region_that_cannot_be_is_one_sentence(geoscf, capsys, box, words):
    assert words in sentence(capsys, "score", "temporal", geoscf, "--region", *box)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EISDIR, "directory"), (errno.ENAMETOOLONG, "too long"), (errno.EDQUOT, "quota"), (errno.EIO, "/output")],
)
def test_whatever_the_system_says_about_a_file_is_a_sentence(tmp_path, number, words):
    with pytest.raises(DeepcamsError, match=rf"(?i){words}"), atomic_path(tmp_path / "x.nc"):
        raise OSError(number, os.strerror(number), str(tmp_path / "x.nc"))
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_not_the_systems_passes_unchanged(tmp_path):
    with pytest.raises(OSError, match=r"^not the system's$"), atomic_path(tmp_path / "x.nc"):
        raise OSError("not the system's")


def test_interrupted_or_without_space_downscaling_leaves_nothing(tmp_path, cams, capsys, monkeypatch):
    from deepcams.product import months

    out = tmp_path / "out" / "hourly.nc"
    for error, status in (
        (KeyboardInterrupt(), 130),
        (DeepcamsError("The disk is full"), 1),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1),
    ):

        def fails(*_, error=error):
            assert list(out.parent.iterdir())  # the day stands there already
            raise error if not isinstance(error, OSError) else DeepcamsError(str(error))

        monkeypatch.setattr(months, "join_files", fails)
        assert main(["downscale", cams, str(out)]) == status
        assert list(out.parent.iterdir()) == []


SLOW = """
import sys
from deepcams.cli.main import main
from deepcams.product import months
def wait(*_):
    print("joining", flush=True)
    sys.stdin.readline()
    return join(*_)
join, months.join_files = months.join_files, wait
sys.exit(main(["downscale", sys.argv[1], sys.argv[2]]))
"""


@pytest.fixture
def start(cams):
    """Start a run that stops before it joins its days, until it is told to go on."""
    children = []

    def begin(out):
        child = subprocess.Popen(
            [sys.executable, "-c", SLOW, cams, str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=hears_ctrl_c,
        )
        children.append(child)
        assert child.stdout.readline() == "joining\n"
        return child

    yield begin
    for child in children:
        child.kill()
        child.communicate()


def test_two_runs_to_one_file_leave_each_others_days_alone(tmp_path, cams, start):
    out = tmp_path / "out" / "hourly.nc"
    first = start(out)
    assert main(["downscale", cams, str(out)]) == 0
    assert len(list(out.parent.iterdir())) == 2
    out.unlink()
    first.communicate("go on\n")
    assert first.returncode == 0
    assert [path.name for path in out.parent.iterdir()] == ["hourly.nc"]


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path, cams, start):
    out = tmp_path / "out" / "hourly.nc"
    child = start(out)
    child.kill()
    child.wait()
    (left,) = out.parent.iterdir()
    assert f"{socket.gethostname()}_{child.pid}" in left.name
    elsewhere = out.parent / left.name.replace(socket.gethostname(), "another-machine")
    elsewhere.mkdir()
    assert main(["downscale", cams, str(out)]) == 0
    assert set(out.parent.iterdir()) == {out, elsewhere}  # who knows whether that one still runs


def test_ctrl_c_leaves_nothing(tmp_path, start):
    out = tmp_path / "out" / "hourly.nc"
    child = start(out)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 130
    assert list(out.parent.iterdir()) == []


def test_scoring_and_degrading_hold_few_frames_at_once(tmp_path, geoscf, monkeypatch):
    """Every frame that was read is let go before many more are."""
    import weakref

    from deepcams.sources import geoscf as module

    alive, most = weakref.WeakSet(), []
    checked = module._checked_frame

    class Frame(np.ndarray):
        """An array that can be referred to weakly by identity."""

        __hash__ = object.__hash__

    def counted(source, index, *more):
        frame = checked(source, index, *more).view(Frame)
        alive.add(frame)
        most.append(len(alive))
        return frame

    monkeypatch.setattr(module, "_checked_frame", counted)
    many = geoscf_file(tmp_path / "many.nc", np.concatenate([HOURS + k for k in range(10)]))
    for command, limit in ((["score", "temporal", many], 8), (["degrade", many, str(tmp_path / "out.nc")], 50)):
        most.clear()
        assert main(command) == 0
        assert len(most) == 70
        assert max(most) <= limit
