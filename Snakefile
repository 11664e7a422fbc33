"""Global hourly 0.25° PM2.5 from the CAMS EAC4 reanalysis. `snakemake -n all` shows what would be done."""

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

# The package runs from this checkout, installed or not, here and in every job.
SOURCE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, SOURCE)
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))
)

# Threads that wait for one another give way: where more run than there are processors, spinning costs many times the work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


configfile: Path(workflow.basedir) / "config" / "config.yaml"


# One GPU job at a time on one machine; on a cluster the cap holds within one submission.
resource_scopes:
    gpu="local",


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/retrieve.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/downscale.smk"
include: "workflow/rules/assemble.smk"
include: "workflow/rules/validate.smk"
include: "workflow/rules/fusion.smk"
include: "workflow/rules/report.smk"


report: "workflow/report/workflow.rst"


localrules:
    all,


rule all:
    """Every year's product, the scores of the simulation experiment, the validation and the report."""
    default_target: True
    input:
        collect(YEAR_PRODUCT, year=PRODUCT_YEARS),
        EVALUATION_TABLES,
        f"{RESULTS}/report/index.html",
        fused_products(),


name_run()
if workflow.is_main_process:
    make_way()


onstart:
    require_access(workflow.dag)
    claim_files(workflow.dag)


onsuccess:
    tell_what_to_look_at(workflow.dag)
