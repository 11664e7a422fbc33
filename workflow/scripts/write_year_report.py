"""Draw the networks' figures and write a year's report (rule write_year_report)."""

from pathlib import Path

from deepcams.logs import job_log
from deepcams.report.page import write_year_report
from deepcams.report.skill_figure import differences
from deepcams.report.style import save_png
from deepcams.report.tables import Evaluation
from deepcams.report.training_figure import read_curves, training
from deepcams.validation.evaluation import configured_method
from deepcams.validation.skill import read_skill

# Stage, resolution, heading, and whether the summary judges by it.
EVALUATIONS = (
    ("temporal", 0.75, "In time: ×3 at 0.75°, where networks are used, 16 fields a day", True),
    ("temporal", 0.25, "In time: ×3 at 0.25°, as in the paper, 16 fields a day", False),
    ("spatial", 0.25, "In space: ×3, 24 fields a day", True),
    ("joint", 0.25, "In time, then in space: 16 fields a day", True),
)
EXPERIMENTS = {
    "simulation": "for the simulation experiment, whose scores stand above",
    "real": "for the product",
}
NETWORKS = {"temporal": "The network for time", "spatial": "The network for space"}


def caption(curves: str) -> str:
    """What a file models/{experiment}/{stage}/curves.* shows."""
    experiment, stage = Path(curves).parts[-3:-1]
    return (
        f"{NETWORKS[stage]}, trained {EXPERIMENTS[experiment]}: loss, and errors on held-out examples beside those of "
        "the interpolation it is compared with."
    )


with job_log(snakemake.log[0]):
    tables = {Path(path).stem: path for path in snakemake.input.evaluation}
    skill = {Path(path).stem.removesuffix("_skill"): path for path in snakemake.input.skill}
    dpi = snakemake.params.dpi
    save_png(
        differences([row for path in skill.values() for row in read_skill(path)]), snakemake.output.differences, dpi
    )
    curves = list(zip(snakemake.input.get("curves", []), snakemake.output.get("curves", []), strict=True))
    for table, picture in curves:
        save_png(training(read_curves(table)), picture, dpi)
    write_year_report(
        snakemake.output.page,
        summary_path=snakemake.input.summary,
        figures={Path(path).stem: path for path in [*snakemake.input.figures, snakemake.output.differences]},
        evaluations=[
            Evaluation(title, tables[stage], configured_method(tables[stage]), step, skill[stage], judged)
            for stage, step, title, judged in EVALUATIONS
        ],
        curves=[(caption(table), picture) for table, picture in curves],
        details={name: str(value) for name, value in snakemake.params.details.items()},
    )
