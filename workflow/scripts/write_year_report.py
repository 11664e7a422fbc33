"""Draw the networks' figures and write a year's report (rule write_year_report)."""

from pathlib import Path

from deepcams.logs import job_log
from deepcams.report.networks import Evaluation
from deepcams.report.page import write_year_report
from deepcams.report.quantity import show
from deepcams.report.skill_figure import compare_by_month, differences, months
from deepcams.report.style import save_png
from deepcams.report.training_figure import read_curves, training
from deepcams.validation.skill import read_skill
from deepcams.validation.tables import configured_method, read_days

# Stage, resolution, heading, whether the summary judges by it, and whether the paper prints such scores.
EVALUATIONS = (
    ("temporal", 0.75, "In time: ×3 at 0.75°, where networks are used", True, False),
    ("temporal", 0.25, "In time: ×3 at 0.25°, as in the paper", False, True),
    ("spatial", 0.25, "In space: ×3", True, True),
    ("joint", 0.25, "In time, then in space", True, False),
)
EXPERIMENTS = {
    "simulation": "for the simulation experiment, whose scores stand above",
    "real": "for the product",
}
NETWORKS = {"temporal": "The network for time", "spatial": "The network for space"}


def caption(curves: str) -> str:
    """What a file models/{experiment}/{stage}/{network}/curves.* shows."""
    experiment, stage, network = Path(curves).parts[-4:-1]
    return (
        f"{NETWORKS[stage]} {network}, trained {EXPERIMENTS[experiment]}: loss, and errors on held-out examples beside "
        "those of the interpolation it is compared with."
    )


with job_log(snakemake.log[0]):
    show(snakemake.params.pollutant)
    files, out, dpi = snakemake.input, snakemake.output, snakemake.params.dpi
    tables, skill, days = (
        {Path(path).stem.removesuffix(ending): path for path in paths}
        for paths, ending in ((files.evaluation, ""), (files.skill, "_skill"), (files.days, "_days"))
    )
    save_png(differences([row for path in skill.values() for row in read_skill(path)]), out.differences, dpi)
    save_png(months({stage: compare_by_month(stage, read_days(path)) for stage, path in days.items()}), out.months, dpi)
    curves = list(zip(files.get("curves", []), out.get("curves", []), strict=True))
    for table, picture in curves:
        save_png(training(read_curves(table)), picture, dpi)
    write_year_report(
        out.page,
        folder=Path(files.tables[0]).parent,
        figures={Path(path).stem: path for path in [*files.figures, *files.zooms, out.differences, out.months]},
        slider=files.slider,
        evaluations=[
            Evaluation(
                title, tables[stage], configured_method(tables[stage]), step, skill[stage], judged, stage, printed
            )
            for stage, step, title, judged, printed in EVALUATIONS
        ],
        curves=[(caption(table), picture) for table, picture in curves],
        fusion=Path(files.fusion[0]).parent if files.get("fusion") else None,
        fusion_figures={Path(path).stem: path for path in files.get("fusion_figures", [])},
        details={name: str(value) for name, value in snakemake.params.details.items()},
    )
