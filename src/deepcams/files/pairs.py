"""Names and values in one line of text, as attributes of files hold them."""

from collections.abc import Mapping


def write_pairs(pairs: Mapping[str, str]) -> str:
    """Pairs as one line: name value; name value; …, in the given order. Values hold no space, names no "; "."""
    return "; ".join(f"{name} {value}" for name, value in pairs.items())


def read_pairs(text: object) -> dict[str, str]:
    """The inverse of `write_pairs`."""
    return dict(item.rsplit(" ", 1) for item in str(text).split("; ") if item)
