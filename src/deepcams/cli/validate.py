"""`deepcams validate`: a file of fields and stations in, a folder with scores, figures and a report out."""

import argparse
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from deepcams.cli.options import add_pollutant, must_exist
from deepcams.errors import DeepcamsError
from deepcams.files.folder import atomic_folder
from deepcams.pollutants import POLLUTANTS
from deepcams.report.page import write_year_report
from deepcams.report.plot import FIGURES, SUFFIXES, plot_year
from deepcams.report.quantity import show
from deepcams.sources.station_files import read_stations
from deepcams.validation.any_file import validate_file
from deepcams.validation.cf_time import STAMPS
from deepcams.validation.collocation import METHODS, CollocationSettings
from deepcams.validation.fields import FieldFile
from deepcams.validation.quality import QualitySettings
from deepcams.validation.station_summary import SummarySettings

HELP = """\
Compare a file of hourly or daily fields with stations, and check the fields themselves, as the workflow does with its
product.

PRODUCT.nc   any CF NetCDF file with one field over time, latitude and longitude (any grid of these two, any of the
             units kg m-3, ug m-3, mol mol-1 …): instants, or means whose time bounds or --stamps tell their hours
STATIONS     files or folders: tables of the workflow, OpenAQ's archive or real-time fetches, or any CSV table with
             columns for latitude, longitude, time and value
--beside     a second field, such as the analyses that the product was made from: scored on the same pairs

OUT gets report.html (one file, to be opened in a browser), figures/, tables/ (CSV) and pairs/ (NetCDF)."""

MARK = "report.html"
HOURS = 4  # fields of the sequence
LOWEST_DPI, HIGHEST_DPI = 30, 600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("product", metavar="PRODUCT.nc", help="the fields that are validated")
    parser.add_argument("stations", metavar="STATIONS", nargs="+", help="measurements")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the report; it must not exist yet")
    parser.add_argument("--overwrite", action="store_true", help="replace DIR if it is such a folder")
    add_pollutant(parser)
    parser.add_argument("--variable", help="of PRODUCT.nc, where it has several")
    parser.add_argument("--name", default="product", help="what the product is called in figures (default: product)")
    parser.add_argument("--stamps", choices=STAMPS, help="where time means without bounds are stamped")
    parser.add_argument("--beside", metavar="CAMS.nc", help="fields to compare with")
    parser.add_argument("--beside-variable", metavar="VARIABLE", help="of CAMS.nc, where it has several")
    parser.add_argument("--beside-stamps", choices=STAMPS, help="as --stamps, for CAMS.nc")
    parser.add_argument("--beside-name", metavar="NAME", default="CAMS", help="what they are called (default: CAMS)")
    parser.add_argument("--collocation", choices=METHODS, default="nearest", help="node or nodes (default: nearest)")
    parser.add_argument(
        "--utc-offset", type=float, metavar="HOURS", help="of measurements whose times do not say their zone"
    )
    parser.add_argument("--reference-grade-only", action="store_true", help="leave out low-cost sensors")
    parser.add_argument("--dpi", type=int, default=110, help="of the figures (default: 110)")


def run(options: argparse.Namespace) -> None:
    """Validate, draw and write the report."""
    product = must_exist(options.product)
    reference = must_exist(options.beside) if options.beside else None
    if reference is not None and reference.resolve() == product.resolve():
        raise DeepcamsError(f"--beside is {product} itself. Name the file that it is compared with.")
    if not LOWEST_DPI <= options.dpi <= HIGHEST_DPI:
        raise DeepcamsError(f"--dpi {options.dpi} is not within {LOWEST_DPI} … {HIGHEST_DPI}.")
    pollutant = POLLUTANTS[options.pollutant]
    show(pollutant.name)
    opened = partial(FieldFile, variable=options.variable, pollutant=pollutant, stamps=options.stamps)
    opened_reference = partial(
        FieldFile, variable=options.beside_variable, pollutant=pollutant, stamps=options.beside_stamps
    )
    with opened(product):  # its faults come before the stations', which take longer to read
        pass
    stations = read_stations(options.stations, pollutant, options.utc_offset)
    quality = QualitySettings(reference_grade_only=options.reference_grade_only, pollutant=pollutant)
    names = {"product": options.name, "cams": options.beside_name}
    with atomic_folder(options.out, MARK, overwrite=options.overwrite) as folder:
        summary = validate_file(
            folder,
            product,
            stations,
            opened=opened,
            reference=reference,
            opened_reference=opened_reference,
            names=names,
            title=f"{options.name}: surface {pollutant.label} against stations",
            collocation=CollocationSettings(method=options.collocation, quality=quality),
            summary=SummarySettings(pollutant=pollutant),
        )
        outputs = {name: folder / "figures" / f"{name}{SUFFIXES.get(name, '.png')}" for name in FIGURES}
        with opened(product) as shown, ExitStack() as stack:
            beside = stack.enter_context(opened_reference(reference)) if reference else None
            plot_year(
                outputs,
                folder=folder / "tables",
                product_path=shown,
                coarse_path=beside if beside and _can_be_shown_together(shown, beside) else None,
                hours=min(HOURS, len(shown.times)),
                dpi=options.dpi,
            )
        figures = {name: path for name, path in outputs.items() if name != "slider"}
        write_year_report(
            folder / MARK,
            folder=folder / "tables",
            figures=figures,
            slider=outputs["slider"],
            details=_details(options, quality),
            index=None,
        )
    print(f"{options.out}/{MARK}: {summary['stations']['number']} stations, {summary['stations']['pairs']} pairs")


def _can_be_shown_together(product: FieldFile, beside: FieldFile) -> bool:
    """Whether both are instants, and some are of the same time with as many after it as are drawn."""
    if product.bounds is not None or beside.bounds is not None:
        return False
    count = min(HOURS, len(product.times))
    common = np.isin(product.times[: len(product.times) - count + 1], beside.times)
    return bool(np.any(common & (product.times[count - 1 :] <= beside.times[-1])))


def _details(options: argparse.Namespace, quality: QualitySettings) -> dict[str, str]:
    """What the report says of how it was made."""
    told = {name: value for name, value in vars(quality).items() if name != "pollutant"}
    words = {
        "fields": Path(options.product).name,
        "beside": options.beside and Path(options.beside).name,
        "stations": ", ".join(Path(path).name for path in options.stations),
        "stamps": options.stamps,
        "collocation": options.collocation,
        "quality control": ", ".join(f"{name} {value}" for name, value in told.items()),
    }
    return {name: value for name, value in words.items() if value}
