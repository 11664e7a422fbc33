"""Input functions and parameters of the rules: which files and settings each job reads. It holds no rules."""

from functools import cache


def source_files(source):
    """Input function: what month files of `source` are made of, as far as it lies on this disk.

    The nature run's files are told by their small manifest. The user's own files are `ancient`: their content is
    among the parameters (`source_content`), so that a touched file of any size reruns nothing.
    """

    def files(wildcards):
        section = config[source]
        if section["source"] == "nature_run":
            name = f"{kind_of_synthetic(source)}-{wildcards.year}-{wildcards.month}"
            return f"{NATURE_RUN}/{name}.sha256"
        if section["source"] == "local" and source == "cams":
            return ancient(
                section["path"].format(year=wildcards.year, month=wildcards.month)
            )
        return []

    return files


def kind_of_synthetic(source):
    """What the nature run calls the files of a source: a folder, and the first word of a manifest's name."""
    others = {"cams": "ads", "geoscf": "portal", "weather_stations": "weather"}
    return others.get(source, source)


def source_content(source):
    """Parameter: a digest of the user's own files behind a month; nothing for other sources."""

    def content(wildcards):
        section = config[source]
        if section["source"] != "local":
            return None
        return fingerprint(source, section["path"], str(month_of(wildcards)))

    return content


def source_settings(source):
    """Parameter: where month files of `source` come from.

    The period is left out: adding a year reruns no month. So is how much may be missing, which changes no month that is there.
    """
    section = {
        key: value
        for key, value in config[source].items()
        if key not in ("first", "last", "max_missing")
    }
    if section["source"] == "nature_run":
        folder = f"{NATURE_RUN}/{kind_of_synthetic(source)}"
        section["path"] = (
            f"{folder}/{{year}}-{{month}}.nc" if source == "cams" else folder
        )
    return section


def reading_code(source):
    """Parameter: digest of the code that reads a source's files; none for what a service delivers.

    A month that was fetched is fetched again when something else is asked for, never because this program changed: that
    would cost months of waiting. `--forcerun retrieve_cams` does it where it is wanted.
    """
    if fetched_from(source):
        return None
    return script_digest(f"retrieve_{source}.py")


def fetched_from(source):
    """Resource: whether jobs of a source fetch from a service; 0 or 1."""
    return int(config[source]["source"] not in ("local", "nature_run"))


def restart_files(wildcards):
    """The state the previous month of the nature run ended with, if it was simulated."""
    previous = month_of(wildcards).previous()
    if previous not in NATURE_RUN_MONTHS:
        return {}
    path = at(f"{NATURE_RUN}/restart/{{year}}-{{month}}.npz", [previous])[0]
    return {"restart": ancient(path), "restart_checksum": sidecar(path)}


def training_shards():
    """Inputs: the shards of an experiment's training months."""

    def files(name):
        return lambda wildcards: at(
            f"{SHARDS}/{name}", TRAINING_MONTHS[wildcards.experiment]
        )

    return {
        "index": files("index.json"),
        "fine": lambda wildcards: ancient(files("fine.npy")(wildcards)),
        "coarse": lambda wildcards: ancient(files("coarse.npy")(wildcards)),
    }


def solving_shards(wildcards):
    """The shards of an experiment's training months, if a network is solved for; an interpolation needs none."""
    if not learns(wildcards.stage, wildcards.network):
        return {}
    return {name: files(wildcards) for name, files in training_shards().items()}


def beside_model(stage, name):
    """A file in the folder of a network's model."""
    return str(Path(MODEL.replace("{stage}", stage)).with_name(name))


def taught_networks(stage):
    """Pattern of the networks that learn step by step."""
    return "|".join(network for network in names(stage) if is_taught(stage, network))


def derived_networks():
    """Pattern of the networks that do not."""
    return "|".join(
        sorted(
            {
                network
                for stage in STAGES
                for network in names(stage)
                if not is_taught(stage, network)
            }
        )
    )


def training_threads(stage):
    """CPU threads of a training: those of a process, fixed because its last digits depend on them, times processes."""
    training = config[stage]["training"]
    return training["threads"] * training["processes"]


def training_gpus(stage):
    """Resource: GPUs of a training, one for each process, if the network wants any."""
    processes = config[stage]["training"]["processes"]
    return lambda wildcards: processes * gpus((stage, wildcards.network))


def training_code(script, stage):
    """Parameter: digest of a training's code, with the network and what teaches it."""
    return lambda wildcards: script_digest(
        script, (stage, wildcards.network), trains=True
    )


def trained(experiment, stage):
    """Networks whose training the report shows: the configured one, in the simulation those compared too."""
    further = compared(stage) if experiment == "simulation" else []
    return [
        network
        for network in dict.fromkeys([network_name(stage), *further])
        if is_taught(stage, network)
    ]


def training_curves():
    """The curves that training left, of the networks that learn step by step."""
    models = [
        model_of(experiment, stage, network)
        for experiment in ("simulation", "real")
        for stage in STAGES
        for network in trained(experiment, stage)
    ]
    return list(dict.fromkeys(str(Path(m).with_name("curves.csv")) for m in models))


def training_pictures():
    """Where the report draws each of `training_curves`."""
    return [
        f"{RESULTS}/report/figures/{{year}}/training_{'_'.join(path.parts[-4:-1])}.png"
        for path in map(Path, training_curves())
    ]


def scored_networks(stage):
    """Networks that are scored in the simulation experiment, the configured one last.

    Least squares, the best that any interpolation can do, is among them if there is training data anyway.
    """
    further = compared(stage)
    learning = any(
        learns(part, network)
        for part in STAGES
        for network in (network_name(part), *compared(part))
    )
    if stage == "spatial" and learning:
        further = ["least_squares", *further]
    own = network_name(stage)
    return [network for network in dict.fromkeys(further) if network != own] + [own]


def scored_pairs():
    """Pairs of networks, as {"temporal": …, "spatial": …}: compared ones in their order, the configured ones last.

    Where one list of compared networks is the shorter, the configured network stands in.
    """
    own = {stage: network_name(stage) for stage in STAGES}
    number = max(len(compared(stage)) for stage in STAGES)
    pairs = [
        {
            stage: dict(enumerate(compared(stage))).get(place, own[stage])
            for stage in STAGES
        }
        for place in range(number)
    ]
    return [pair for pair in pairs if pair != own] + [own]


@cache
def scored_methods(stage):
    """The jobs that score a stage's test months, by name: {name: networks by stage}. The configured one is last."""
    pretrained_pair = {part: pretrained_network(part) for part in STAGES}
    if stage == "joint":
        further = {"+".join(pair.values()): pair for pair in scored_pairs()}
    else:
        further = {network: {stage: network} for network in scored_networks(stage)}
        pretrained_pair = {stage: pretrained_pair[stage]}
    return {"baselines": {}, "pretrained": pretrained_pair} | further


@cache
def pretrained_network(stage):
    """The name of the network that comes with the package."""
    return read(pretrained.path(stage), stage).network


def networks_of(wildcards, stage):
    """The networks that a job of a stage scores, each as stage and name."""
    return list(scored_methods(stage).get(wildcards.method, {}).items())


def models_to_score(stage):
    """Input function: the model files of what is scored; the package's own are no inputs but among the parameters."""

    def files(wildcards):
        if wildcards.method == "pretrained":
            return {}
        found = {}
        for part, network in networks_of(wildcards, stage):
            path = model_of("simulation", part, network)
            found |= {part: ancient(path), f"{part}_checksum": sidecar(path)}
        return found

    return files


def pretrained_content(stage):
    """Parameter: digests of the networks that come with the package, where they are scored."""

    def content(wildcards):
        if wildcards.method != "pretrained":
            return None
        return {
            part: sha256(pretrained.path(part))[:16]
            for part, _ in networks_of(wildcards, stage)
        }

    return content


def scoring_code(script, stage):
    """Parameter: digest of a scoring's code, with the networks that it runs."""
    return lambda wildcards: script_digest(script, *networks_of(wildcards, stage))


def scoring_gpus(stage):
    """Resource: GPUs for what is scored."""
    return lambda wildcards: gpus(*networks_of(wildcards, stage))


def scoring_closure(wildcards):
    """Parameter: closure after networks; baselines have their own."""
    return None if wildcards.method == "baselines" else closure()


def scores_of(stage, pattern):
    """A file of every job of a stage: of each method, month by month."""
    return [
        path
        for method in scored_methods(stage)
        for path in at(pattern, TEST_MONTHS, stage=stage, method=method)
    ]


def zoom_moments(stage):
    """Parameter: the moments that the paper's figures show, where they are in the test period; else the rule's own."""
    moments = PAPER_MOMENTS[stage] if not SYNTHETIC else ()
    return [time for time in moments if Month.parse(time[:7]) in TEST_MONTHS]


def zoom_shards(wildcards):
    """The shards of the moments that a zoom shows."""
    moments = zoom_moments(wildcards.stage)
    months = [Month.parse(time[:7]) for time in moments] or TEST_MONTHS[:1]
    return {
        "index": at(f"{SHARDS}/index.json", months),
        "fine": ancient(at(f"{SHARDS}/fine.npy", months)),
        "coarse": ancient(at(f"{SHARDS}/coarse.npy", months)),
    }


def zoom_model(wildcards):
    """The configured network of a zoom's stage."""
    path = model_of("simulation", wildcards.stage)
    return {"model": ancient(path), "model_checksum": sidecar(path)}


def previous_month_files(wildcards):
    """The month before, if it belongs to the product: the first hour's mean needs its last field."""
    previous = month_of(wildcards).previous()
    if previous not in CAMS_MONTHS:
        return {}
    product = at(SPATIAL_MONTH, [previous])
    coarse = at(RAW_CAMS, [previous])
    return {
        "previous_product": ancient(product),
        "previous_product_checksum": [sidecar(path) for path in product],
        "previous_coarse": ancient(coarse),
        "previous_coarse_checksum": [sidecar(path) for path in coarse],
    }


def station_months(wildcards):
    """Months of a year that have stations."""
    return [month for month in OPENAQ_MONTHS if month.year == int(wildcards.year)]


def truth_files(wildcards):
    """The nature run's fields behind a year, if the run is synthetic."""
    if not SYNTHETIC:
        return {}
    paths = at(TRUTH, months_of_year(wildcards))
    return {
        "truth": ancient(paths),
        "truth_checksums": [sidecar(path) for path in paths],
    }


def middle_month(pattern):
    """Input function: the file of a year's middle month, from which the snapshots are taken."""

    def file(wildcards):
        months = months_of_year(wildcards)
        return at(pattern, [months[len(months) // 2]])[0]

    return file


def snapshot_truth(wildcards):
    """The truth of the middle month, if the run is synthetic."""
    if not SYNTHETIC:
        return {}
    path = middle_month(TRUTH)(wildcards)
    return {"truth": ancient(path), "truth_checksum": sidecar(path)}


def told_by_sidecars(name, paths):
    """Inputs: large files under a name, and the checksums that they are told by."""
    return {name: ancient(paths), f"{name}_checksums": [sidecar(p) for p in paths]}


def days_of_month(wildcards):
    """What a month's days are made of: GEOS-CF, and its meteorology where other variables are observed as well."""
    month = [month_of(wildcards)]
    files = told_by_sidecars("fields", at(RAW_GEOSCF, month))
    if config["fusion"]["variables"]:
        files |= told_by_sidecars("meteorology", at(RAW_METEOROLOGY, month))
    return files


def day_arrays():
    """Outputs: the arrays of a month's days."""
    return [
        f"{DAYS}/{name}.npy"
        for name in (config["pollutant"], *config["fusion"]["variables"])
    ]


def training_days(wildcards):
    """Inputs: the days of an experiment's training months."""
    months = TRAINING_MONTHS[wildcards.experiment]
    return {
        "index": at(f"{DAYS}/index.json", months),
        "arrays": ancient([p for name in day_arrays() for p in at(name, months)]),
    }


def climatology_of(experiment):
    """The climatology that a fusion network of an experiment has learnt with; the same for all of them."""
    model = fusion_model_of(experiment, FUSION_BACKGROUNDS[0])
    return str(Path(model).with_name("climatology.npz"))


def near_months(month, months):
    """A month and its neighbours, as far as they are among `months`: days are local, so they reach over its ends."""
    return [m for m in (month.previous(), month, month.next()) if m in months]


def fusion_stations(wildcards):
    """Inputs: the stations of a month and its neighbours, and the weather stations."""
    months = near_months(month_of(wildcards), OPENAQ_MONTHS)
    files = told_by_sidecars("stations", at(RAW_OPENAQ, months))
    if config["fusion"]["variables"]:
        files |= told_by_sidecars("weather", at(RAW_WEATHER, months))
    return files


def fusion_fields(wildcards, backgrounds):
    """Inputs: what the backgrounds of some networks are made of."""
    files = {}
    if "product" in backgrounds:
        months = near_months(month_of(wildcards), CAMS_MONTHS)
        files |= told_by_sidecars("product", at(SPATIAL_MONTH, months))
    if "climatology" in backgrounds:
        files |= told_by_sidecars("climatology", [climatology_of("real")])
    return files


def fuse_inputs(wildcards):
    """Inputs of a month's fused fields."""
    background = FUSION_BACKGROUNDS[0]
    model = [fusion_model_of("real", background)]
    return {
        **fusion_stations(wildcards),
        **fusion_fields(wildcards, [background]),
        **told_by_sidecars("model", model),
    }


def cross_validation_inputs(wildcards):
    """Inputs of a month's cross-validation: all networks, and the product, which the competitors start from as well."""
    models = [fusion_model_of("real", name) for name in FUSION_BACKGROUNDS]
    return {
        **fusion_stations(wildcards),
        **fusion_fields(wildcards, ["product", *FUSION_BACKGROUNDS]),
        **told_by_sidecars("models", models),
    }


def reproduction_inputs(wildcards):
    """Inputs of a month's reproduction. Without stations of that month those of the nearest one say where they are."""
    month = month_of(wildcards)
    there = month if month in OPENAQ_MONTHS else nearest_stations(month)
    files = told_by_sidecars("stations", at(RAW_OPENAQ, [there]))
    if config["fusion"]["variables"]:
        files |= told_by_sidecars("weather", at(RAW_WEATHER, [there]))
    models = [fusion_model_of("simulation", name) for name in FUSION_BACKGROUNDS]
    return {
        **files,
        **told_by_sidecars("models", models),
        **told_by_sidecars("climatology", [climatology_of("simulation")]),
        "index": at(f"{DAYS}/index.json", [month]),
        "arrays": ancient([p for name in day_arrays() for p in at(name, [month])]),
    }


def nearest_stations(month):
    """The month with stations that is nearest to another one."""
    return min(
        OPENAQ_MONTHS,
        key=lambda m: (abs(12 * (m.year - month.year) + m.month - month.month), m),
    )


def fusion_code(script):
    """Parameter: digest of a script's code with the fusion network."""
    return script_digest(script, ("fusion", chosen.FUSION_NETWORK))


def fused_year(wildcards):
    """Inputs: a year's fused daily means, and the network that made them."""
    product = FUSED_YEAR.format(year=wildcards.year, step="daily")
    return {
        **told_by_sidecars("product", [product]),
        **told_by_sidecars("model", [fusion_model_of("real", FUSION_BACKGROUNDS[0])]),
    }


def fusion_of_year(wildcards):
    """Inputs: what the report shows of a year's fusion, if it is wanted and the year has stations."""
    if not config["fusion"]["produce"] or int(wildcards.year) not in FUSION_YEARS:
        return {}
    tables = [f"{FUSION_SCORES}/{name}" for name in FUSION_TABLES]
    return {
        "fusion": collect(tables, year=wildcards.year),
        "fusion_figures": collect(list(FUSION_FIGURES.values()), year=wildcards.year),
    }


def fused_products():
    """Targets: the fused fields of all years that have stations, if they are wanted, and their scores."""
    if not config["fusion"]["produce"]:
        return []
    return [
        *collect(FUSED_YEAR, year=FUSION_YEARS, step="daily"),
        *collect(f"{FUSION_SCORES}/scores.csv", year=FUSION_YEARS),
    ]
