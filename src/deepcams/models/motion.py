"""Motion between two fields, without learning: what moved where, told from the fields themselves.

Least squares within a window, after Lucas and Kanade (1981), on a coarser and then on a finer smoothing. Each window
has a trend of its own beside its displacement (covariances in place of mean products): over three hours mixing and
emissions change whole regions, which is not motion. Box filters throughout, so that a node sees exactly `REACH` nodes
around, on a region as on the globe.

Seen on real GEOS-CF (western hemisphere, three hours): displacing both frames by 0.8 of it, by splines, and blending
them leaves 53 % of the RMSE of linear interpolation at 0.25° and 73 % at 0.75°. Without the trend there is hardly any
gain.
"""

import torch
from torch.nn import functional

from deepcams.models.warping import backward_warp

# Radii, nodes: smoothing of the fields, the window, smoothing of the displacement.
SCALES = ((1, 4, 3), (0, 3, 3))
REACH = sum(sum(radii) + 1 for radii in SCALES)  # one for the gradient
LARGEST_STEP = 1.5  # of a scale, in widths of its smoothing: beyond, the fields' linear part says nothing
DAMPING = 1e-4  # squared gradients, (transformed units a node)²: where fields are smoother they tell no motion


def motion(first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Displacement from `first` to `last`, as seen at the middle of the way.

    first, last : (B, 1, H, W) float32, transformed (asinh of ug m-3).
    Returns (B, 2, H, W), cells (x, y): what is at p - d/2 in `first` is at p + d/2 in `last`. The outer `REACH` nodes
    are made with repeated edges.
    """
    found = first.new_zeros(first.shape[0], 2, *first.shape[2:])
    for number, (smoothing, window, evenness) in enumerate(SCALES):
        fields = _box(torch.cat([first, last], dim=1), smoothing)
        ahead, behind = fields[:, :1], fields[:, 1:]
        if number:
            ahead = backward_warp(ahead, -found / 2, "replicate")
            behind = backward_warp(behind, found / 2, "replicate")
        step = _least_squares(ahead, behind, window)
        limit = LARGEST_STEP * (smoothing + 1)
        length = torch.hypot(step[:, :1], step[:, 1:])
        found = _box(found + step * (limit / length.clamp(min=limit)), evenness)
    return found


def _least_squares(first: torch.Tensor, last: torch.Tensor, window: int) -> torch.Tensor:
    """The displacement that explains a window's change best, beside a change of the window as a whole."""
    change = last - first
    x, y = _gradient((first + last) / 2)
    means = _box(torch.cat([x * x, x * y, y * y, x * change, y * change, x, y, change], dim=1), window)
    xx, xy, yy, xt, yt, mean_x, mean_y, mean_t = means.split(1, dim=1)
    xx, yy = xx - mean_x**2 + DAMPING, yy - mean_y**2 + DAMPING
    xy, xt, yt = xy - mean_x * mean_y, xt - mean_x * mean_t, yt - mean_y * mean_t
    return torch.cat([xy * yt - yy * xt, xy * xt - xx * yt], dim=1) / (xx * yy - xy**2)


def _gradient(field: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Central differences along the columns and down the rows."""
    wide = functional.pad(field, (1, 1, 1, 1), mode="replicate")
    return (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def _box(fields: torch.Tensor, radius: int) -> torch.Tensor:
    """Means over the square of nodes within `radius`."""
    if not radius:
        return fields
    edge = 2 * radius + 1
    wide = functional.pad(fields, (radius,) * 4, mode="replicate")
    return _runs(_runs(wide, edge, 2), edge, 3) / edge**2


def _runs(fields: torch.Tensor, length: int, axis: int) -> torch.Tensor:
    """Sums of `length` nodes in a row: of one, two, four … nodes, and of those of them that make up the length."""
    count = fields.shape[axis] - length + 1
    total, size, done = None, 1, 0
    while True:
        if length & size:
            part = fields.narrow(axis, done, count)
            total, done = part if total is None else total + part, done + size
        if done == length:
            return total
        left = fields.shape[axis] - size
        fields = fields.narrow(axis, 0, left) + fields.narrow(axis, size, left)
        size *= 2
