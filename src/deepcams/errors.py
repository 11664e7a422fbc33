"""The one exception whose message is written for the person at the keyboard."""

import re

_WORD = 400  # characters of a word; a file without line ends is quoted as a single one


class DeepcamsError(Exception):
    """Something the user can mend: says what is wrong, where, and what to do.

    Scripts and the command line print the message alone, without a traceback, and exit with status 1. What it quotes of
    a file or an answer is shortened and cannot steer the terminal: control characters are shown as \\x1b.
    """

    def __str__(self) -> str:
        text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", _shown, super().__str__())
        return re.sub(rf"\S{{{_WORD},}}", lambda found: f"{found[0][: _WORD // 2]}…{found[0][-_WORD // 4 :]}", text)


def damaged(error: Exception, told: str) -> DeepcamsError:
    """What to raise for whatever a library came upon in a file: `told`, unless it is that memory ran out.

    A file must not be called damaged, and deleted, for want of memory; though a hostile one may ask for any amount.
    """
    if isinstance(error, MemoryError):
        name = told.split(" ", 1)[0]
        told = f"{name} could not be read: memory ran out. Give more; if the file is small, it is damaged."
    return DeepcamsError(told)


def _shown(found: re.Match) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
