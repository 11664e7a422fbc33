"""What the test of the beat of the analyses says in words, the same on the page and in its figure."""

from collections.abc import Mapping

FOUND, NONE, REVERSED, UNTOLD = "beat found", "no beat", "no beat of interpolation", ""


def beat_verdict(found: Mapping[str, object] | None) -> str:
    """`FOUND` only where the whole interval lies above 1, as interpolation in time leaves it.

    found : low and high of the ratio. `REVERSED` where all of it lies below 1; `UNTOLD` without an interval.
    """
    low, high = ((found or {}).get(key) for key in ("low", "high"))
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return UNTOLD
    return FOUND if low > 1 else REVERSED if high < 1 else NONE
