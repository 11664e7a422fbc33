"""Join the months' scores into tables, and compare the networks with the baselines (rule summarise_evaluation)."""

from deepcams.files.atomic import atomic_path
from deepcams.logs import job_log
from deepcams.pollutants import POLLUTANTS
from deepcams.validation.skill import compare, notes, write_skill
from deepcams.validation.tables import join, write_tables

with job_log(snakemake.log[0]):
    pollutant = POLLUTANTS[snakemake.params.pollutant]
    for stage, configured in snakemake.params.configured.items():
        out = {kind: snakemake.output[f"{stage}_{kind}"] for kind in ("csv", "table", "md", "days", "skill")}
        days = join(snakemake.input[f"{stage}_days"], configured)
        with atomic_path(out["days"]) as temporary:
            days.to_csv(temporary, index=False, float_format="%.12g")
        rows = compare(stage, days)
        write_skill(rows, out["skill"])
        scores = join(snakemake.input[stage], configured)
        write_tables(stage, scores, out["csv"], out["table"], out["md"], notes(rows), pollutant)
