"""Fields to measure with: a global day of the nature run, repeated round the globe for longer periods."""

from functools import cached_property

import numpy as np

from benchmarks.periods import MONTH, Days
from deepcams.calendar import HOUR, Month
from deepcams.files.netcdf import Encoding
from deepcams.grid.nodes import coarse_globe, fine_globe
from deepcams.inference.spatial import refine_frames
from deepcams.inference.temporal import hourly_fields
from deepcams.models import pretrained
from deepcams.models.checkpoint import load
from deepcams.product.attributes import Provenance
from deepcams.product.months import Product
from deepcams.sources.nature_run.delivery import packed, spectral_sample
from deepcams.sources.nature_run.simulate import NatureRun, synthetic_label

SEED = 1
SPIN_UP = 12  # hours, enough for plumes to form
SHIFT = 37  # coarse columns by which every day is displaced
BITS = 7


class Inputs:
    """Made when first asked for, and kept."""

    @cached_property
    def hours(self) -> np.ndarray:
        """A day as a model of 0.75° would have it: (24, 241, 480) float32, ug m-3."""
        run = NatureRun(SEED, MONTH.start - SPIN_UP * HOUR, step_minutes=60)
        frames = []
        for hour in range(24):
            run.run_until(MONTH.start + hour * HOUR)
            frames.append(spectral_sample(run.field(), run.grid, run.coarse))
        return np.stack(frames).astype(np.float32)

    @cached_property
    def fine_hours(self) -> np.ndarray:
        """The product of that day, from its packed analyses by the pretrained pair: (24, 721, 1440) float32."""
        in_time, in_space = (load(pretrained.path(stage), stage) for stage in ("temporal", "spatial"))
        grid, period = coarse_globe(), Days(MONTH, 1)
        hours = hourly_fields(self.analyses(1), period.analyses(), period.hours(), in_time, grid)
        frames = [refine_frames(frame[None], grid, grid, in_space, "block_mean")[0] for frame in hours]
        return np.stack(frames)

    def analyses(self, days: int) -> np.ndarray:
        """Analyses of some days and the next 00 UTC, packed as CAMS is: (8 days + 1, 241, 480) float32, ug m-3."""
        frames = packed(self.hours[::3]).astype(np.float32)
        return np.stack([np.roll(frames[k % 8], SHIFT * (k // 8), axis=-1) for k in range(8 * days + 1)])

    def fine_day(self, day: int) -> np.ndarray:
        """The fine fields of a day of a longer period."""
        return np.roll(self.fine_hours, 3 * SHIFT * day, axis=-1)


def product_of(month: Month | Days) -> Product:
    """What files of a global product share."""
    provenance = Provenance({"made.nc": "0"}, {"temporal": "t", "spatial": "s"}, "0", synthetic=synthetic_label(SEED))
    encoding = Encoding(mantissa_bits=BITS)
    return Product(fine_globe(), (month.hours()[0], month.hours()[-1] + HOUR), provenance, encoding)
