"""Fit the learned kernel: random patches of the shards, L1 distance (Xiao et al. 2022, Eq. 8), Adam."""

import numpy as np
import torch

from deepcams.degrade.operators import margin
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FACTOR
from deepcams.models.learned_kernel import SIZE, bicubic_kernels
from deepcams.progress import progress
from deepcams.training.shards import Shard

MARGIN = SIZE // 2


def fit(shards: list[Shard], settings: dict) -> tuple[dict[str, np.ndarray], list[dict]]:
    """Learn the nine kernels from the fields of `shards`.

    settings : steps, batch_size, patch (coarse nodes), learning_rate, seed.
    Returns the weights and the history: the mean loss (ug m-3) of every tenth of the steps.
    Raises DeepcamsError if the loss is no longer finite, or if the shards are smaller than a patch.
    """
    torch.manual_seed(settings["seed"])
    random = np.random.default_rng(settings["seed"])
    kernel = torch.tensor(bicubic_kernels()[:, None], dtype=torch.float32, requires_grad=True)
    optimiser = torch.optim.Adam([kernel], lr=settings["learning_rate"])
    history, losses = [], []
    every = max(1, settings["steps"] // 10)
    for step in progress(range(1, settings["steps"] + 1), "train the learned kernel", "steps"):
        coarse, fine = _batch(shards, settings["batch_size"], settings["patch"], random)
        loss = (torch.nn.functional.conv2d(coarse, kernel) - fine).abs().mean()
        if not torch.isfinite(loss):
            raise DeepcamsError(
                f"Training the learned kernel diverged at step {step}: the loss is {loss.item()}. "
                f"Lower spatial.training.learning_rate (now {settings['learning_rate']})."
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if step % every == 0:
            history.append({"step": step, "loss": float(np.mean(losses))})
            losses = []
    return {"kernel": kernel.detach().numpy()[:, 0]}, history


def _batch(
    shards: list[Shard], size: int, patch: int, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random patches: coarse (B, 1, p + 6, p + 6) with the margin the kernel needs, fine (B, 9, p, p) as blocks."""
    coarse, fine = [], []
    for _ in range(100 * size):
        shard = shards[random.integers(len(shards))]
        # Nodes at the edge whose degradation lacks support are no example of anything.
        lost = 0 if shard.coarse_grid.is_global else margin(shard.operator, **shard.parameters)
        rows, columns = (size - 2 * lost for size in shard.coarse_grid.shape)
        reach = patch + 2 * MARGIN
        if rows < reach or columns < reach:
            raise DeepcamsError(
                f"The training fields have {rows} × {columns} coarse nodes that can be used, too few for patches of "
                f"{patch} with a margin of {MARGIN}. Lower spatial.training.patch or enlarge the region."
            )
        frame = random.integers(shard.own)
        top, left = lost + random.integers(rows - reach + 1), lost + random.integers(columns - reach + 1)
        low = shard.coarse[frame, top : top + reach, left : left + reach]
        first_row, first_column = FACTOR * (top + MARGIN) - 1, FACTOR * (left + MARGIN) - 1
        high = shard.fine[frame, first_row : first_row + FACTOR * patch, first_column : first_column + FACTOR * patch]
        if np.isfinite(low).all() and np.isfinite(high).all():
            coarse.append(low)
            fine.append(high.reshape(patch, FACTOR, patch, FACTOR).transpose(1, 3, 0, 2).reshape(-1, patch, patch))
        if len(coarse) == size:
            return torch.tensor(np.stack(coarse))[:, None], torch.tensor(np.stack(fine))
    raise DeepcamsError("The training shards hold hardly any complete patch: too many hours are missing.")
