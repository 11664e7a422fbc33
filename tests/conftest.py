"""Fixtures shared by all tests."""

import logging
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def hears_ctrl_c() -> None:
    """For `preexec_fn`: undo what a shell does to whatever it starts in the background, tests among it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def logging_as_in_a_new_process() -> None:
    """Libraries change the level of all logging when they are imported or run; tests of messages come after them."""
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("deepcams").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def real_samples() -> Path:
    """The folder of real sample files beside the checkout; the test is skipped where it is absent."""
    folder = ROOT.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip("the real samples are not on this machine")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers produced by other implementations."""
    return ROOT / "tests" / "data" / "golden"
