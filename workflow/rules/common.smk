"""Checked configuration, paths, months, code digests: what the rules of every stage share. It holds no rules."""

import sys

from deepcams.calendar import Month, months_between
from deepcams.config.check import load_schema, require_valid, restore_types
from deepcams.digest import code_digest
from deepcams.errors import DeepcamsError
from deepcams.models.catalogue import learns, module_of, trainer_of, wants_gpu
from deepcams.sources.access import access_problem
from deepcams.sources.fingerprint import fingerprint

schema = load_schema(f"{workflow.basedir}/config/config.schema.yaml")
config.update(
    restore_types(config, schema)
)  # --config hands nested values over as text
try:
    require_valid(config, schema)
except DeepcamsError as error:
    sys.exit(str(error))


wildcard_constraints:
    year=r"\d{4}",
    month=r"\d{2}",
    experiment="simulation|real",
    stage="temporal|spatial",


RESULTS = config["results"]
REGION = config["region"]
SYNTHETIC = config["cams"]["source"] == "nature_run"
HALO = 8  # coarse nodes kept around a region: 4 for closure and as many for a network

RAW_CAMS = f"{RESULTS}/raw/cams/{{year}}-{{month}}.nc"
RAW_GEOSCF = f"{RESULTS}/raw/geoscf/{{year}}-{{month}}.nc"
RAW_OPENAQ = f"{RESULTS}/raw/openaq/{{year}}-{{month}}.csv.gz"
NATURE_RUN = f"{RESULTS}/nature_run"
TRUTH = f"{NATURE_RUN}/truth/{{year}}-{{month}}.nc"
SHARDS = f"{RESULTS}/shards/{{year}}-{{month}}"
MODEL = f"{RESULTS}/models/{{experiment}}/{{stage}}/model.safetensors"
TEMPORAL_MONTH = f"{RESULTS}/temporal/{{year}}-{{month}}.nc"
SPATIAL_MONTH = f"{RESULTS}/spatial/{{year}}-{{month}}.nc"
YEAR_PRODUCT = f"{RESULTS}/{{year}}/{config['pollutant']}_hourly.nc"
COLLOCATED = f"{RESULTS}/collocated/{{year}}-{{month}}.csv.gz"


def period(section):
    """Months from `first` to `last` of a part of the configuration, both included."""
    return months_between(Month.parse(section["first"]), Month.parse(section["last"]))


CAMS_MONTHS = period(config["cams"])
GEOSCF_MONTHS = period(config["geoscf"])
OPENAQ_MONTHS = [month for month in period(config["openaq"]) if month in CAMS_MONTHS]
NATURE_RUN_MONTHS = sorted({*CAMS_MONTHS, *GEOSCF_MONTHS, *OPENAQ_MONTHS})
PRODUCT_YEARS = sorted({month.year for month in CAMS_MONTHS})
TRAINING_MONTHS = {
    name: period(experiment["train"])
    for name, experiment in config["experiments"].items()
}
TEST_MONTHS = period(config["experiments"]["simulation"]["test"])


def at(pattern, months, **wildcards):
    """Paths of `pattern` for each of `months`."""
    return [
        pattern.format(year=f"{m.year:04d}", month=f"{m.month:02d}", **wildcards)
        for m in months
    ]


def month_of(wildcards):
    return Month(int(wildcards.year), int(wildcards.month))


def months_of_year(wildcards):
    """The configured months of a year; none if the year is not in the record."""
    return [month for month in CAMS_MONTHS if month.year == int(wildcards.year)]


def sidecar(path):
    """The checksum beside a file: what tells a rule that the file's content is another."""
    return f"{path}.sha256"


def script_digest(name, *stages, trains=False):
    """Digest of a script's code.

    With `stages`, the configured networks' modules belong to it, and if it `trains` them what they are trained by.
    """
    networks = [(stage, config[stage]["network"]) for stage in stages]
    modules = [module_of(*network) for network in networks]
    if trains:
        modules += [trainer_of(*network) for network in networks if learns(*network)]
    return code_digest(f"{workflow.basedir}/workflow/scripts/{name}", tuple(modules))


def gpus(stage):
    """GPUs that a job running the configured network asks for."""
    return int(wants_gpu(stage, config[stage]["network"]))


def require_access(dag):
    """Stop before the first job if a service is needed that cannot be used: one sentence, no traceback."""
    due = {job.rule.name for job in dag.needrun_jobs()}
    for source in ("cams", "geoscf", "openaq"):
        if f"retrieve_{source}" in due:
            problem = access_problem(
                source, config[source]["source"], config[source]["path"]
            )
            if problem:
                sys.exit(f"ERROR: {problem}")


def tell_what_to_look_at(dag):
    """After a run: name the reports and products that it made."""
    names = {f"{config['pollutant']}_hourly.nc", "index.html"}
    for path in sorted({Path(path) for job in dag.jobs for path in job.output}):
        if path.name in names:
            print(f"made {path}", file=sys.stderr)
