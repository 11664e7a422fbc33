"""Write a year's report (rule write_year_report)."""

from pathlib import Path

from deepcams.logs import job_log
from deepcams.report.page import write_year_report
from deepcams.report.tables import Evaluation
from deepcams.validation.evaluation import configured_method

TITLES = {
    "temporal": "In time: ×3 at 0.25°, 16 fields a day",
    "spatial": "In space: ×3, 24 fields a day",
    "joint": "In time, then in space: 16 fields a day",
}

with job_log(snakemake.log[0]):
    write_year_report(
        snakemake.output.page,
        summary_path=snakemake.input.summary,
        figures={Path(path).stem: path for path in snakemake.input.figures},
        evaluations=[
            Evaluation(TITLES[Path(path).stem], path, configured_method(path)) for path in snakemake.input.evaluation
        ],
        details={name: str(value) for name, value in snakemake.params.details.items()},
    )
