"""Displace fields: fetch each cell from where it was (backward), or send each cell to where it goes (forward).

A displacement is (x, y) in cells, x along the columns and y down the rows. It is split into whole cells and a fraction
before the cell's own index is added, so the fraction is as exact in column 1439 as in column 0, no displacement returns
the field bit by bit, and a field rolled round the globe is displaced exactly as before. Coordinates scaled to -1 … 1,
as torch's grid_sample takes them, are good to about 1e-4 cells there.
"""

import torch

from deepcams.models.edges import EDGES

IMPORTANCE_FLOOR = 1e-5  # as in the released code: what lands anywhere has a weight there, and can be divided by it
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # the nodes around a position, (rows, columns) from the upper left one


def backward_warp(field: torch.Tensor, flow: torch.Tensor, edges: str) -> torch.Tensor:
    """Sample a field bilinearly at positions displaced by `flow`: Eqs. 1–2 of Xiao et al. (2022).

    field : (B, C, H, W) float.   flow : (B, 2, H, W) float, cells (x, y).
    edges : "zeros" (zero outside; torch's grid_sample with align_corners, as in the published code), "replicate"
    (the edge continued) or "periodic" (columns wrap round the globe, rows as "replicate").
    Returns (B, C, H, W). Raises ValueError for shapes that disagree, or other edges.
    """
    _check(field, flow, edges)
    batch, channels, rows, columns = field.shape
    cells = _as_rows(field)
    whole = torch.floor(flow.detach())
    x, y = (flow - whole).unbind(1)
    sampled = 0
    for south, east in CORNERS:
        index, inside = _nodes(whole, south, east, edges)
        weight = (y if south else 1 - y) * (x if east else 1 - x)
        if edges == "zeros":
            weight = weight * inside
        sampled = sampled + cells.index_select(0, index.flatten()) * weight.reshape(-1, 1)
    return sampled.reshape(batch, rows, columns, channels).permute(0, 3, 1, 2)


def forward_splat(
    values: torch.Tensor, flow: torch.Tensor, importance: torch.Tensor, edges: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Send each cell's values to the four nodes around where `flow` takes it, and add up what arrives.

    The weight of a node at distance (dx, dy) is (importance + 1e-5) exp(-(dx² + dy²)), as in the complementary flow
    reversal of XVFI (Sim et al., 2021). What lands outside the frame is lost; with "periodic" edges columns wrap.

    values : (B, C, H, W) float.   flow : (B, 2, H, W) float, cells (x, y).   importance : (B, 1, H, W), 0 … 1.
    Returns the weighted sums (B, C, H, W) and the sums of weights (B, 1, H, W); their quotient is the mean of what
    arrives. Raises ValueError for shapes that disagree, or other edges.
    """
    _check(values, flow, edges)
    if importance.shape != (values.shape[0], 1, *values.shape[2:]):
        raise ValueError(f"Importance {_shape(importance)} does not fit values {_shape(values)}: one number a cell")
    batch, channels, rows, columns = values.shape
    sources = _as_rows(torch.cat([values, torch.ones_like(importance)], dim=1))
    whole = torch.floor(flow.detach())
    x, y = (flow - whole).unbind(1)
    indices, arrivals = [], []
    for south, east in CORNERS:
        index, inside = _nodes(whole, south, east, edges)
        weight = (importance[:, 0] + IMPORTANCE_FLOOR) * torch.exp(-((x - east) ** 2 + (y - south) ** 2)) * inside
        indices.append(index.flatten())
        arrivals.append(sources * weight.reshape(-1, 1))
    sums = torch.zeros_like(sources).index_add(0, torch.cat(indices), torch.cat(arrivals))
    sums = sums.reshape(batch, rows, columns, channels + 1).permute(0, 3, 1, 2)
    return sums[:, :channels], sums[:, channels:]


def _as_rows(field: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) as one row of C values for each cell: (B H W, C)."""
    return field.permute(0, 2, 3, 1).reshape(-1, field.shape[1])


def _nodes(whole: torch.Tensor, south: int, east: int, edges: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The node `south` and `east` of each cell's displaced whole position: its index among all B H W, and whether it
    is inside the frame. Both (B, H, W); nodes outside get the index of the nearest inside.
    """
    batch, _, rows, columns = whole.shape
    x, y = whole.long().unbind(1)
    x = x + torch.arange(east, east + columns, device=whole.device)
    y = y + torch.arange(south, south + rows, device=whole.device)[:, None]
    inside = (y >= 0) & (y < rows)
    if edges == "periodic":
        x = x.remainder(columns)
    else:
        inside = inside & (x >= 0) & (x < columns)
        x = x.clamp(0, columns - 1)
    frame = torch.arange(batch, device=whole.device)[:, None, None]
    return (frame * rows + y.clamp(0, rows - 1)) * columns + x, inside


def _check(field: torch.Tensor, flow: torch.Tensor, edges: str) -> None:
    if edges not in EDGES:
        raise ValueError(f"Unknown edges {edges!r}; choose one of {', '.join(EDGES)}")
    if field.ndim != 4:
        raise ValueError(f"Expected a field of shape (B, C, H, W) but got {_shape(field)}")
    if flow.shape != (field.shape[0], 2, *field.shape[2:]):
        raise ValueError(f"Displacement {_shape(flow)} does not fit field {_shape(field)}: (x, y) for each cell")


def _shape(x: torch.Tensor) -> str:
    return str(tuple(x.shape))
