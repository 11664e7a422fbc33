"""(a) The published networks against their plain form, and the light pair in both precisions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.fields import BITS, Inputs
from benchmarks.periods import MONTH
from benchmarks.plain import CLIP, WINDOW, PlainAbpn, PlainXvfi, interpolate_globe, refine_globe
from benchmarks.timing import Row, by_turns, median, ratios
from deepcams.calendar import ANALYSIS_STEP
from deepcams.files.rounding import round_mantissa
from deepcams.grid.nodes import coarse_globe
from deepcams.inference.temporal import hourly_fields
from deepcams.models import abpn, pretrained, xvfi
from deepcams.models.checkpoint import load
from deepcams.models.frames import SpatialFrames, TemporalFrames
from deepcams.models.precision import device

FRACTIONS = (1 / 3, 2 / 3)
INTERVALS = 4  # in a row
SMALL = 60  # coarse nodes of a window, where it shall be quick


def published_abpn() -> nn.Module:
    """At published size and run as published. Its weights are such that features keep their size, as trained ones do.

    The published start blows features up a thousandfold; the softmax is one-hot then, and rounding decides on nodes.
    """
    torch.manual_seed(0)
    net = abpn.make({"features": 32, "recipe": "published"})
    start = abpn.Abpn(32)
    for part in (start.reconstruct, start.closure):
        nn.init.normal_(part.weight, std=0.02)
    for attention in (start.enter_attention, *start.attentions):
        nn.init.normal_(attention.weigh.weight, std=0.1)
    net.load_state_dict(start.state_dict())
    return _with_biases(net)


def published_xvfi() -> nn.Module:
    """At published size, run as published, from the published start."""
    torch.manual_seed(0)
    return _with_biases(xvfi.make({"features": 64, "levels": 1, "recipe": "published"}))


def published(inputs: Inputs, folder: Path, quick: bool) -> Iterator[Row]:
    """ABPN on a global frame, or if quick on a window of it; XVFI on a global interval, alone and in a row."""
    grid, place = coarse_globe(), device()
    analyses = inputs.analyses(1)
    net = published_abpn().to(place)
    plain = PlainAbpn(net.state_dict())
    size = SMALL if quick else WINDOW
    window = torch.from_numpy(analyses[:1, None, 60 : 60 + size, 300 : 300 + size]).to(place).clamp(0, CLIP) / CLIP
    if quick:
        ours, theirs = by_turns(lambda: _run(net, window), lambda: _run(plain, window), 1)
    else:
        runner, found = SpatialFrames(net), {}
        _run(net, window)
        ours, theirs = by_turns(
            lambda: found.update(ours=runner.refine(analyses[:1], grid)[0]),
            lambda: found.update(plain=refine_globe(plain, analyses[0])),
            2 if place.type == "cpu" else 5,
        )
    about = {"ours_s": ours, "peer_s": theirs}
    if not quick:  # rows that are no pole in ours
        about["difference"] = float(np.abs(found["ours"][1:720] - found["plain"][1:]).max())
    single = [CLIP * _run(each, window).double() for each in (net, plain)]
    exact = PlainAbpn({name: weight.double() for name, weight in net.state_dict().items()})
    truth = CLIP * _run(exact, window.double())
    what = f"a window of {SMALL} nodes" if quick else "a global frame"
    yield _published_row(f"ABPN, 32 features, {what}", about, single, truth, 3)

    net = published_xvfi().to(place)
    plain, runner = PlainXvfi(net.state_dict()), TemporalFrames(net)
    first, last, time = analyses[0], analyses[1], MONTH.start
    alone = {
        "ours": lambda: runner.between(first, last, FRACTIONS, grid, time),
        "plain": lambda: interpolate_globe(plain, first, last, FRACTIONS),
    }
    single = [torch.from_numpy(call()).double()[:, 1:-1] for call in alone.values()]
    exact = PlainXvfi({name: weight.double() for name, weight in net.state_dict().items()})
    truth = torch.from_numpy(interpolate_globe(exact, first, last, FRACTIONS))[:, 1:-1]
    turns = 2 if quick else 7
    ours, theirs = by_turns(*alone.values(), turns)
    about = {"ours_s": ours, "peer_s": theirs, "difference": float((single[0] - single[1]).abs().max())}
    yield _published_row("XVFI, 64 features, both hours of a global interval", about, single, truth, 2)

    times = time + np.arange(INTERVALS + 1) * ANALYSIS_STEP
    hours = np.arange(times[0], times[-1], ANALYSIS_STEP // 3)
    frames = analyses[: INTERVALS + 1]
    ours, theirs = by_turns(
        lambda: list(hourly_fields(frames, times, hours, runner, grid)),
        lambda: [interpolate_globe(plain, *frames[k : k + 2], FRACTIONS) for k in range(INTERVALS)],
        2 if quick else 4,
    )
    ours, theirs = ([took / INTERVALS for took in both] for both in (ours, theirs))
    yield Row(
        f"XVFI, each of {INTERVALS} intervals in a row",
        f"{median(ours):.2f} s",
        f"plain eager, {median(theirs):.2f} s",
        ratios(ours, theirs),
        "≥ 2",
        figures={"ours_s": ours, "peer_s": theirs},
    )


def light(inputs: Inputs, folder: Path, quick: bool) -> Iterator[Row]:
    """The pretrained pair: float32 and bfloat16, and how far they are apart beside what rounding in the file does."""
    grid, analyses, time = coarse_globe(), inputs.analyses(1), MONTH.start
    for stage, name, what in (
        ("temporal", "flow_residual", "both hours of a global interval"),
        ("spatial", "pixel_shuffle", "a global frame"),
    ):
        nets = {precision: load(pretrained.path(stage), stage, precision) for precision in ("float32", "bfloat16")}

        def run(net, stage=stage):
            if stage == "temporal":
                return net.between(analyses[0], analyses[1], FRACTIONS, grid, time)
            return net.refine(analyses[:1], grid)

        exact, reduced = run(nets["float32"]), run(nets["bfloat16"])
        took = by_turns(lambda: run(nets["bfloat16"]), lambda: run(nets["float32"]), 2 if quick else 15)  # noqa: B023
        rounded = round_mantissa(exact.copy(), BITS)
        error, rounding = (_rms(field - exact) / _rms(exact) for field in (reduced, rounded))
        yield Row(
            f"{name}, {what}",
            f"bfloat16, {median(took[0]):.3f} s",
            f"float32, {median(took[1]):.3f} s",
            ratios(*took),
            remark=f"RMS between the two {100 * error:.3f} % of the field's; rounding to {BITS} bits: "
            f"{100 * rounding:.3f} %",
            figures={"ours_s": took[0], "peer_s": took[1], "relative_rms": error, "relative_rounding": rounding},
        )


def _published_row(what: str, about: dict, single: list[torch.Tensor], truth: torch.Tensor, asked: int) -> Row:
    distances = [float((found - truth).square().mean().sqrt()) for found in single]
    largest = about.setdefault("difference", float((single[0] - single[1]).abs().max()))
    about["distances"] = distances
    return Row(
        what,
        f"{median(about['ours_s']):.2f} s",
        f"plain eager, {median(about['peer_s']):.2f} s",
        ratios(about["ours_s"], about["peer_s"]),
        f"≥ {asked}",
        f"largest difference {largest:.1e} of {float(truth.max() - truth.min()):.0f} µg m⁻³; RMS from float64 "
        f"{distances[0]:.1e}, plain {distances[1]:.1e}: {distances[0] / distances[1]:.2f} times (asked ≤ 2)",
        about,
    )


def _run(network: nn.Module, field: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(field).cpu()


def _with_biases(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if name.endswith("bias"):
                tensor.copy_(0.002 * torch.randn(tensor.shape, generator=generator))
    return network.eval()


def _rms(field: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(field, dtype=np.float64))))
