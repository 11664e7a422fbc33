"""What the scripts of the rules do, for processes of their own.

Imports stand in the functions, so that a process holds no more than the rule's own would.
"""

# ruff: noqa: D103


def retrieve_cams(pattern: str, out: str) -> None:
    from benchmarks.periods import MONTH
    from deepcams.files.checksum import write_sidecar
    from deepcams.files.netcdf import Encoding, write_field
    from deepcams.sources.cams import retrieve_month

    field = retrieve_month("local", MONTH, path=pattern)
    origin = {"source_files": field.attrs.pop("source_files")}
    write_field(out, field, Encoding(), origin)
    write_sidecar(out)


def downscale_temporal(analyses: str, out: str, days: int, model: str | None = None) -> None:
    from benchmarks.periods import MONTH, Days
    from deepcams.files.checksum import write_sidecar
    from deepcams.inference.month import downscale_temporal
    from deepcams.models import pretrained

    period = MONTH if days == MONTH.days else Days(MONTH, days)
    model = model or str(pretrained.path("temporal"))
    downscale_temporal(analyses, model, period, out, ends_record=False, precision="auto", threads=2)
    write_sidecar(out)


def downscale_spatial(hourly: str, out: str, model: str | None = None) -> None:
    from deepcams.files.checksum import write_sidecar
    from deepcams.models import pretrained
    from deepcams.product.downscale import downscale_spatial
    from deepcams.product.verify import verify_product

    settings = {"closure": "block_mean", "mantissa_bits": 7, "level": 1, "precision": "auto"}
    model = model or str(pretrained.path("spatial"))
    downscale_spatial(hourly, model, out, region=None, code="benchmark", threads=2, **settings)
    verify_product(out)
    write_sidecar(out)


def assemble_year(parts: list[str], out: str, contiguous: bool = True, sidecar: bool = True) -> None:
    """Without the sidecar it is the joining alone, and until the file is on the disk."""
    import os

    from deepcams.files.checksum import write_sidecar
    from deepcams.product.year import assemble_year

    assemble_year(parts, out, contiguous=contiguous)
    if sidecar:
        write_sidecar(out)
    else:
        with open(out, "rb") as stream:
            os.fsync(stream.fileno())


def first_hour(hourly: str, out: str) -> None:
    """The first hour of a file of downscale_temporal, as a file like it."""
    from deepcams.files.netcdf import Encoding, read_field, read_layout, write_field

    everywhere = {key: value for key, value in read_layout(hourly).global_attributes.items() if key != "Conventions"}
    write_field(out, read_field(hourly)[:1], Encoding(), everywhere)
