"""Whether files may be joined along time, and what to tell the user where they may not."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError
from deepcams.files.layout import DIMENSIONS, Extra, Layout

_MAY_DIFFER = {"implementation"}  # of the rounding: a new version of this software rounds as the old one did


def check_all(paths: list[Path], parts: list[Layout], out: str | Path, step: np.timedelta64 | None) -> None:
    """Raise DeepcamsError unless the files may be joined into `out`; with a `step`, without a gap."""
    if not paths:
        raise DeepcamsError(f"There is nothing to join into {out}: the list of files is empty.")
    for index in range(1, len(parts)):
        check_pair(paths[0], parts[0], paths[index], parts[index])
        check_order(paths[index - 1], parts[index - 1], paths[index], parts[index])
    if step is not None:
        check_contiguous(paths, parts, step)
    check_lengths(paths, parts)


def check_pair(first_path: Path, first: Layout, path: Path, part: Layout) -> None:
    """Raise DeepcamsError unless two files may be joined."""
    both = f"{first_path} and {path} cannot be joined"
    if ("synthetic" in first.global_attributes) != ("synthetic" in part.global_attributes):
        synthetic, real = (first_path, path) if "synthetic" in first.global_attributes else (path, first_path)
        raise DeepcamsError(
            f"{both}: {synthetic} is synthetic and {real} is not. Keep synthetic and real runs under different "
            "`results` folders and make the odd one again."
        )
    again = "Make both with the same configuration and version."
    if first.global_attributes.get("synthetic") != part.global_attributes.get("synthetic"):
        raise DeepcamsError(f"{both}: they come from different synthetic data sets. {again}")
    if not (np.array_equal(first.latitude, part.latitude) and np.array_equal(first.longitude, part.longitude)):
        raise DeepcamsError(f"{both}: their grids differ ({_box(first)} and {_box(part)}). {again}")
    if (first.chunk, first.level) != (part.chunk, part.level):
        raise DeepcamsError(
            f"{both}: their encodings differ (chunks {first.chunk}, level {first.level} and chunks {part.chunk}, "
            f"level {part.level}). {again}"
        )
    if first.variable != part.variable:
        raise DeepcamsError(f"{both}: one holds {first.variable!r}, the other {part.variable!r}. {again}")
    pairs = [(first.variable, first.attributes, part.attributes)]
    pairs += [(name, first.coordinate_attributes[name], part.coordinate_attributes[name]) for name in DIMENSIONS]
    if [(item.name, item.dimensions) for item in first.extra] != [(item.name, item.dimensions) for item in part.extra]:
        raise DeepcamsError(f"{both}: they do not hold the same variables. {again}")
    for one, other in zip(first.extra, part.extra, strict=True):
        pairs.append((one.name, one.attributes, other.attributes))
        if one.dimensions[:1] != ("time",) and not np.array_equal(one.values, other.values):
            raise DeepcamsError(f"{both}: the values of {one.name!r} differ. {again}")
    for name, one, other in pairs:
        different = [
            key
            for key in sorted({*one, *other} - _MAY_DIFFER)
            if not (key in one and key in other and _same(one[key], other[key]))
        ]
        if different:
            raise DeepcamsError(f"{both}: attributes of {name!r} differ ({', '.join(different)}). {again}")


def check_order(before_path: Path, before: Layout, path: Path, part: Layout) -> None:
    """Raise DeepcamsError unless the second file begins after the first one's end."""
    if part.times[0] <= before.times[-1]:
        raise DeepcamsError(
            f"{before_path} and {path} cannot be joined: the first ends at {before.times[-1]} and the second begins at "
            f"{part.times[0]}, so they overlap or are out of order. Give each period once, in order of time."
        )


def check_contiguous(paths: list[Path], parts: list[Layout], step: np.timedelta64) -> None:
    """Raise DeepcamsError unless all frames of all files are `step` apart."""
    times = np.concatenate([part.times for part in parts])
    owner = np.repeat(np.arange(len(parts)), [len(part.times) for part in parts])
    gaps = np.flatnonzero(np.diff(times) != step)
    if gaps.size:
        gap = gaps[0]
        before, after = paths[owner[gap]], paths[owner[gap + 1]]
        where = f"within {before}" if before == after else f"between {before} and {after}"
        raise DeepcamsError(
            f"Frames are not {step / HOUR:g} h apart {where}: {times[gap + 1]} follows {times[gap]}. "
            "Make the missing period before joining."
        )


def check_lengths(paths: list[Path], parts: list[Layout]) -> None:
    """Raise DeepcamsError unless every file but the last one ends on a chunk border."""
    for path, part in zip(paths[:-1], parts[:-1], strict=True):
        if len(part.times) % part.chunk[0]:
            raise DeepcamsError(
                f"{path} has {len(part.times)} frames, not a multiple of its time chunk of {part.chunk[0]}; only the "
                f"last file may end inside a chunk. Write it in whole days before joining it with {paths[-1]}."
            )


def join(parts: list[Layout], global_attributes: dict[str, object]) -> Layout:
    """The layout of files that `check_all` has let pass, joined, with these global attributes."""
    return replace(
        parts[0],
        times=np.concatenate([part.times for part in parts]),
        extra=tuple(_join_extra(index, parts) for index in range(len(parts[0].extra))),
        global_attributes=global_attributes,
    )


def _join_extra(index: int, parts: list[Layout]) -> Extra:
    """The small variable number `index` of the joined file."""
    first = parts[0].extra[index]
    if first.dimensions[:1] != ("time",):
        return first
    return replace(first, values=np.concatenate([part.extra[index].values for part in parts]))


def _same(one: object, other: object) -> bool:
    return np.asarray(one).dtype == np.asarray(other).dtype and np.array_equal(one, other)


def _box(part: Layout) -> str:
    return (
        f"{len(part.latitude)} × {len(part.longitude)} nodes from {part.latitude[0]:g}°N {part.longitude[0]:g}°E to "
        f"{part.latitude[-1]:g}°N {part.longitude[-1]:g}°E"
    )
