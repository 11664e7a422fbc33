"""Make docs/images/cams_sequence.png: real CAMS analyses, and the product's hours between them.

    python docs/make_cams_sequence.py cams.nc

cams.nc : some analyses of EAC4, as the Atmosphere Data Store delivers them; the picture in the repository shows the
evening of 2019-12-31. It contains modified Copernicus Atmosphere Monitoring Service information.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

from deepcams.cli.main import main as deepcams
from deepcams.pollutants import PM25
from deepcams.report.sequence import animate, sequence
from deepcams.report.snapshots import Snapshots
from deepcams.report.style import save_png
from deepcams.validation.fields import FieldFile

IMAGES = Path(__file__).resolve().parent / "images"
HOURS = 4


def main(path: str, animation: str | None = None) -> None:
    """Downscale the file and draw the part of the Earth with most structure; animation : a GIF of the globe, too."""
    opened = partial(FieldFile, pollutant=PM25)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "hourly.nc"
        if deepcams(["downscale", path, str(out)]):
            sys.exit(1)
        with opened(out) as product, opened(path) as cams:
            shown = Snapshots(product, cams, None, {"product": "product", "cams": "CAMS"})
            save_png(sequence(*shown.layers(HOURS, box=True)), IMAGES / "cams_sequence.png", 110)
            if animation:
                animate(*shown.layers(len(product.times), at_most=True), animation)


if __name__ == "__main__":
    main(*sys.argv[1:])
