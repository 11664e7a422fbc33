"""Checked configuration, paths, months, code digests: what the rules of every stage share. It holds no rules."""

import sys
from functools import cache

from deepcams.calendar import Month, months_between
from deepcams.config import networks as chosen
from deepcams.config.check import load_schema, require_valid, restore_types
from deepcams.digest import code_digest
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.records import check_records
from deepcams.files.run_lock import LOCAL, claim, clear_locks
from deepcams.logs import name_run
from deepcams.models import pretrained
from deepcams.models.catalogue import learns, modules_of, names, trainer_of, wants_gpu
from deepcams.models.checkpoint import read
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
    network="[a-z0-9_]+",
    method="[a-z0-9_+]+",
    background="product|climatology|none",
    step="daily|hourly",


STAGES = ("temporal", "spatial")
# PM2.5 lies at the top; each other pollutant has a folder of its own beside the years of the products.
RESULTS = (
    config["results"]
    if config["pollutant"] == "pm25"
    else f"{config['results']}/{config['pollutant']}"
)
REGION = config["region"]
SYNTHETIC = config["cams"]["source"] == "nature_run"
HALO = chosen.HALO

RAW_CAMS = f"{RESULTS}/raw/cams/{{year}}-{{month}}.nc"
RAW_GEOSCF = f"{RESULTS}/raw/geoscf/{{year}}-{{month}}.nc"
RAW_OPENAQ = f"{RESULTS}/raw/openaq/{{year}}-{{month}}.csv.gz"
NATURE_RUN = f"{RESULTS}/nature_run"
TRUTH = f"{NATURE_RUN}/truth/{{year}}-{{month}}.nc"
SHARDS = f"{RESULTS}/shards/{{year}}-{{month}}"
MODEL = f"{RESULTS}/models/{{experiment}}/{{stage}}/{{network}}/model.safetensors"
TEMPORAL_MONTH = f"{RESULTS}/temporal/{{year}}-{{month}}.nc"
SPATIAL_MONTH = f"{RESULTS}/spatial/{{year}}-{{month}}.nc"
RAW_METEOROLOGY = f"{config['results']}/raw/meteorology/{{year}}-{{month}}.nc"
RAW_WEATHER = f"{config['results']}/raw/weather/{{year}}-{{month}}.csv.gz"
YEAR_PRODUCT = f"{config['results']}/{{year}}/{config['pollutant']}_hourly.nc"
COLLOCATED = f"{RESULTS}/collocated/{{year}}-{{month}}.nc"
FUSION_MODEL = (
    f"{RESULTS}/models/{{experiment}}/fusion/{{background}}/model.safetensors"
)
DAYS = f"{RESULTS}/days/{{year}}-{{month}}"
FUSED_MONTH = f"{RESULTS}/fused/{{step}}/{{year}}-{{month}}.nc"
FUSED_YEAR = f"{config['results']}/{{year}}/{config['pollutant']}_fused_{{step}}.nc"
FUSED_COUNTS = FUSED_MONTH.replace(".nc", "_counts.csv.gz")
CROSS_VALIDATED = f"{RESULTS}/fusion/cross_validation/{{year}}-{{month}}.csv.gz"
REPRODUCED = f"{RESULTS}/fusion/reproduction/{{year}}-{{month}}.csv"
FUSION_SCORES = f"{RESULTS}/validation/{{year}}/fusion"
COLLOCATED_COUNTS = f"{RESULTS}/collocated/{{year}}-{{month}}_counts.csv.gz"


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
FUSION_BACKGROUNDS = [chosen.fusion_background(config), *config["fusion"]["compare"]]
FUSION_YEARS = sorted({month.year for month in OPENAQ_MONTHS})
TEST_MONTHS = period(config["experiments"]["simulation"]["test"])
# Of its figures 3 (in time) and 4 (in space), UTC.
PAPER_MOMENTS = {
    "temporal": ("2020-01-01T01:30", "2020-04-01T08:30"),
    "spatial": ("2020-03-01T10:30",),
}


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


def network_name(stage):
    """The network that is configured for a stage, whether by its name or with `networks`."""
    return chosen.network_name(config, stage)


def compared(stage):
    """Further networks that are trained and scored in the simulation experiment, in the order they were given."""
    return config["experiments"]["simulation"]["compare"][stage]


def settings_of(stage, network):
    """How a network is set up, and trained if it learns: its recipe and sizes, and what the configuration chooses.

    A further network is set up as its recipe says; of the configured training it takes the effort, but neither sizes,
    patch nor learning rate, which were chosen for another one.
    """
    section = config[stage]
    if network != network_name(stage):
        section = {key: None for key in section} | {
            "network": network,
            "training": section["training"] | {"patch": None, "learning_rate": None},
        }
    return chosen.network_settings(config | {stage: section}, stage)


def is_taught(stage, network):
    """Whether a network learns step by step, which leaves curves."""
    return "training" in settings_of(stage, network)


def model_of(experiment, stage, network=None):
    """The model file of a network, by default the configured one.

    Where both experiments learn from the same months one training serves both.
    """
    if TRAINING_MONTHS["real"] == TRAINING_MONTHS["simulation"]:
        experiment = "simulation"
    return MODEL.format(
        experiment=experiment, stage=stage, network=network or network_name(stage)
    )


def fusion_model_of(experiment, background):
    """The model file of a fusion network. Where both experiments learn from the same months one training serves both."""
    if TRAINING_MONTHS["real"] == TRAINING_MONTHS["simulation"]:
        experiment = "simulation"
    return FUSION_MODEL.format(experiment=experiment, background=background)


def closure():
    """Parameter: how fine fields are made to give back their coarse input; "none" if they are not."""
    return chosen.closure(config)


@cache
def script_digest(name, *networks, trains=False):
    """Digest of a script's code.

    networks : stage and name of each that it runs, or with `trains` teaches: their modules belong to it.
    """
    modules = [module for network in networks for module in modules_of(*network)]
    if trains:
        modules += [trainer_of(*network) for network in networks if learns(*network)]
    return code_digest(
        f"{workflow.basedir}/workflow/scripts/{name}",
        tuple(modules),
        kept=".snakemake/code_digests.json",
    )


def gpus(*networks):
    """GPUs that a job running some networks, each a stage and a name, asks for."""
    return int(any(wants_gpu(*network) for network in networks))


def rising(megabytes):
    """Memory of a rule, in MB: as much again with each attempt. Where a profile retries, it helps what ran out of it."""
    return lambda wildcards, attempt: megabytes * attempt


def configured(*stages):
    """The configured networks of some stages, each as stage and name."""
    return [(stage, network_name(stage)) for stage in stages]


def make_way():
    """Before Snakemake reads its own folder: what was killed or damaged there shall not stand in the way unexplained."""
    try:
        for run in clear_locks(".snakemake"):
            print(
                f"Another run may be at work in this folder: {run.who}.",
                file=sys.stderr,
            )
        check_records(".snakemake")
    except DeepcamsError as error:
        sys.exit(f"ERROR: {error}")


def claim_files(dag):
    """Stop before the first job if another run makes what this one reads or makes, or reads what it makes."""
    due = list(dag.needrun_jobs())
    try:
        claim(
            ".snakemake",
            [path for job in due for path in job.input],
            [path for job in due for path in job.output],
            executor=LOCAL if workflow.local_exec else workflow.executor_plugin.name,
        )
    except DeepcamsError as error:
        sys.exit(f"ERROR: {error}")


def require_access(dag):
    """Stop before the first job if a service is needed that cannot be used: one sentence, no traceback."""
    due = {job.rule.name for job in dag.needrun_jobs()}
    for source in ("cams", "geoscf", "openaq", "meteorology", "weather_stations"):
        if f"retrieve_{source}" in due:
            problem = access_problem(
                source,
                config[source]["source"],
                config[source]["path"],
                graded=config["validation"]["reference_grade_only"],
            )
            if problem:
                sys.exit(f"ERROR: {problem}")


def tell_what_to_look_at(dag):
    """After a run: name the reports and products that it made, and how the networks did against the baselines."""
    pollutant = config["pollutant"]
    fused = {f"{pollutant}_fused_{step}.nc" for step in ("daily", "hourly")}
    names = {f"{pollutant}_hourly.nc", "index.html", *fused}
    for path in sorted({Path(path) for job in dag.jobs for path in job.output}):
        if path.name in names:
            print(f"made {path}", file=sys.stderr)
    made = {
        path
        for job in dag.jobs
        if job.rule.name == "summarise_evaluation" and dag.needrun(job)
        for path in job.output
    }
    skill = [path for path in EVALUATION_SKILL if path in made]
    if skill:
        from deepcams.validation.skill import lines_to_tell, read_skill

        for line in lines_to_tell([row for path in skill for row in read_skill(path)]):
            print(line, file=sys.stderr)
