"""Trainings that were stopped, by a kill, by a worker's death or by numbers that run away, and how they go on."""

import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from deepcams.errors import DeepcamsError
from deepcams.training import engine
from deepcams.training.engine import fit
from deepcams.training.loader import Steps
from tests.unit.test_engine import SETTINGS, assert_same, line, points, squared, weights


class Killed(BaseException):
    """In place of a signal."""


def calls(number, action):
    """A function that does `action` when it is called for the `number`-th time."""
    count = iter(range(1, 10**6))
    return lambda: action() if next(count) == number else None


def stop():
    raise Killed


def noting(steps, until=math.inf):
    """A loss that notes every step, and stops the training at one."""

    def loss(network, points):
        steps.append(1)
        if len(steps) == until:
            raise Killed
        return squared(network, points)

    return loss


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9}, {"workers": 2}], ids=str)
@pytest.mark.parametrize("at", [1, 4, 20])
def test_a_killed_training_goes_on_to_the_same_bits_as_one_that_was_not(tmp_path, at, settings):
    settings, whole = SETTINGS | settings, line()
    expected = fit(whole, settings, name="line", state=tmp_path / "other.pt", key="k")
    state = tmp_path / "line.pt"
    with pytest.raises(Killed):
        fit(line(after_validation=calls(at, stop)), settings, name="line", state=state, key="k")
    steps = []
    again = line(loss=noting(steps))
    done = fit(again, settings, name="line", state=state, key="k")
    assert len(steps) == 60 - 3 * (at - 1)  # it did not begin anew
    assert_same(weights(again.module), weights(whole.module))
    assert_same(done.best, expected.best)
    assert (done.history, done.best_step) == (expected.history, expected.best_step)


def test_long_trainings_are_kept_between_validations_too(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "KEPT", 7)
    settings, state = SETTINGS | {"steps": 400}, tmp_path / "line.pt"  # a validation every 20 steps
    whole = line()
    expected = fit(whole, settings, name="line", state=tmp_path / "other.pt", key="k")
    ran = []
    with pytest.raises(Killed):
        fit(line(loss=noting(ran, until=37)), settings, name="line", state=state, key="k")
    assert torch.load(state)["done"]["step"] == 35
    steps = []
    again = line(loss=noting(steps))
    done = fit(again, settings, name="line", state=state, key="k")
    assert len(steps) == 400 - 35
    assert_same(weights(again.module), weights(whole.module))
    assert done.history == expected.history  # the means of the losses, too, take in what came before the kill


def test_what_is_kept_is_a_few_hundred_steps_old_at_most():
    assert engine.KEPT <= 300


def test_a_finished_training_is_not_repeated(tmp_path):
    first = line()
    expected = fit(first, SETTINGS, name="line", state=tmp_path / "line.pt", key="k")
    draws = []
    again = line(draws=draws)
    done = fit(again, SETTINGS, name="line", state=tmp_path / "line.pt", key="k")
    assert draws == []
    assert done.history == expected.history
    assert_same(weights(again.module), weights(first.module))


KILL = """
import os, signal, sys
from pathlib import Path
from deepcams.training.engine import fit
from tests.unit.test_engine import SETTINGS, line
from tests.unit.test_engine_resume import calls
kill = calls(7, lambda: os.kill(os.getpid(), signal.SIGKILL))
settings = SETTINGS | {"workers": int(sys.argv[2])}
fit(line(after_validation=kill), settings, name="line", state=Path(sys.argv[1]), key="k")
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_process_that_was_killed_is_gone_on_from_to_the_same_bits(tmp_path, pytestconfig, workers):
    state = tmp_path / "line.pt"
    run = subprocess.run(
        [sys.executable, "-c", KILL, state, str(workers)], cwd=pytestconfig.rootpath, capture_output=True, check=False
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert os.listdir(tmp_path) == ["line.pt"]
    steps = []
    whole, again = line(), line(loss=noting(steps))
    expected = fit(whole, SETTINGS, name="line")
    done = fit(again, SETTINGS, name="line", state=state, key="k")
    assert len(steps) == 60 - 6 * 3
    assert_same(weights(again.module), weights(whole.module))
    assert done.history == expected.history


def test_the_state_of_another_training_is_not_used(tmp_path):
    state = tmp_path / "line.pt"
    fit(line(), SETTINGS | {"steps": 30}, name="line", state=state, key="another")
    draws = []
    task, fresh = line(draws=draws), line()
    fit(task, SETTINGS, name="line", state=state, key="this")
    assert len(draws) == 60
    fit(fresh, SETTINGS, name="line")
    assert_same(weights(task.module), weights(fresh.module))


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other tensors", "no dictionary"])
def test_a_damaged_state_is_told_with_its_file(tmp_path, damage):
    state = tmp_path / "line.pt"
    fit(line(), SETTINGS, name="line", state=state, key="k")
    content = state.read_bytes()
    if damage == "cut":
        state.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        state.write_bytes(b"")
    elif damage == "text":
        state.write_text("not a state")
    elif damage == "other tensors":
        kept = torch.load(state)
        kept["weights"]["0.weight"] = torch.zeros(2, 2)
        torch.save(kept, state)
    else:
        torch.save([1, 2], state)
    with pytest.raises(DeepcamsError, match=r"line\.pt.* is damaged\. Delete it and run again"):
        fit(line(), SETTINGS, name="line", state=state, key="k")


def test_a_loss_that_is_not_finite_stops_with_step_rate_and_the_state_that_stays(tmp_path):
    def loss(network, points):
        steps.append(1)
        return network(points.x).sum() * (math.nan if len(steps) == 8 else 1), {}

    steps, state = [], tmp_path / "line.pt"
    with pytest.raises(DeepcamsError, match=r"line diverged at step 8: the loss is nan.*0\.05") as error:
        fit(line(loss=loss), SETTINGS, name="line", state=state, key="k")
    assert f"The state of step 6 is kept in {state}." in str(error.value)
    assert torch.load(state)["done"]["step"] == 6


def test_without_a_state_none_is_promised():
    def loss(network, points):
        return network(points.x).sum() * math.inf, {}

    with pytest.raises(DeepcamsError, match=r"step 1: the loss is -?(inf|nan)\. Lower"):
        fit(line(loss=loss), SETTINGS, name="line")


def test_weights_that_the_last_update_spoilt_are_not_kept(tmp_path):
    state = tmp_path / "line.pt"
    scores = iter([1.0, math.nan])
    with pytest.raises(DeepcamsError, match=r"step 6: the held-out error is nan\. The state of step 3 is kept"):
        fit(line(scores=scores), SETTINGS, name="line", state=state, key="k")
    assert torch.load(state)["done"]["step"] == 3


def killing(step, indices):
    if step == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return points(5, None, step, indices)


def failing(step, indices):
    if step == 20:
        raise DeepcamsError("Hardly any patch is complete.")
    return points(5, None, step, indices)


def raising_in_a_thread(step, indices):
    """As the thread does that hands tensors over, when nobody is there any more to take them."""
    for error in (ConnectionResetError("nobody there"), EOFError("nobody there"), ValueError("a fault")):
        sys.excepthook(type(error), error, None)
    return points(5, None, step, indices)


def test_a_worker_says_nothing_of_the_death_of_its_training(capfd):
    list(Steps(raising_in_a_thread, [1], [0], workers=1))
    said = capfd.readouterr().err
    assert "a fault" in said and "nobody there" not in said


def test_the_death_of_a_worker_is_one_sentence_and_the_state_stays(tmp_path):
    state = tmp_path / "line.pt"
    with pytest.raises(DeepcamsError, match=r"examples died .*exited unexpectedly.* memory .*--workers") as error:
        fit(line()._replace(draw=killing), SETTINGS | {"workers": 2}, name="line", state=state, key="k")
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) in ([], ["line.pt"])


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_worker_has_to_say_is_said_as_it_is(workers):
    with pytest.raises(DeepcamsError) as error:
        fit(line()._replace(draw=failing), SETTINGS | {"workers": workers}, name="line")
    assert str(error.value) == "Hardly any patch is complete."


ENDLESS = """
import os, sys, time
from tests.unit.test_engine import SETTINGS, line, points
from deepcams.training.engine import fit
def draw(step, indices):
    os.write(1, f"{os.getpid()}\\n".encode())  # whole, whoever else writes
    return points(5, None, step, indices)
def rest(network, points):
    time.sleep(0.05)
    return network(points.x).mean(), {}
fit(line(loss=rest)._replace(draw=draw), SETTINGS | {"steps": 100_000, "workers": 2}, name="line")
"""


def test_workers_end_with_a_training_that_was_killed(pytestconfig):
    words = [sys.executable, "-c", ENDLESS]
    with subprocess.Popen(words, cwd=pytestconfig.rootpath, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        workers = {int(run.stdout.readline()) for _ in range(6)}
        run.kill()
        assert run.pid not in workers
        assert len(workers) == 2
        run.stdout.close()
    wait_for_the_end_of(workers)


def wait_for_the_end_of(processes):
    until = time.monotonic() + 60
    while any(is_running(process) for process in processes):
        assert time.monotonic() < until, "processes were left behind"
        time.sleep(0.05)


def is_running(process):
    """Whether a process does anything still; one that nobody has buried is as good as gone."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
