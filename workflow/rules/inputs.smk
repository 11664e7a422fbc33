"""Input functions and parameters of the rules: which files and settings each job reads. It holds no rules."""


def source_files(source):
    """Input function: what month files of `source` are made of, as far as it lies on this disk.

    The nature run's files are told by their small manifest. The user's own files are `ancient`: their content is
    among the parameters (`source_content`), so that a touched file of any size reruns nothing.
    """

    def files(wildcards):
        section = config[source]
        if section["source"] == "nature_run":
            kind = {"cams": "ads", "geoscf": "portal", "openaq": "openaq"}[source]
            return f"{NATURE_RUN}/{kind}-{wildcards.year}-{wildcards.month}.sha256"
        if section["source"] == "local" and source == "cams":
            return ancient(
                section["path"].format(year=wildcards.year, month=wildcards.month)
            )
        return []

    return files


def source_content(source):
    """Parameter: a digest of the user's own files behind a month; nothing for other sources."""

    def content(wildcards):
        section = config[source]
        if section["source"] != "local":
            return None
        return fingerprint(source, section["path"], str(month_of(wildcards)))

    return content


def source_settings(source):
    """Parameter: where month files of `source` come from. The period is left out: adding a year reruns no month."""
    section = {
        key: value
        for key, value in config[source].items()
        if key not in ("first", "last")
    }
    if section["source"] == "nature_run":
        section["path"] = (
            f"{NATURE_RUN}/"
            + {
                "cams": "ads/{year}-{month}.nc",
                "geoscf": "portal",
                "openaq": "openaq",
            }[source]
        )
    return section


def restart_files(wildcards):
    """The state the previous month of the nature run ended with, if it was simulated."""
    previous = month_of(wildcards).previous()
    if previous not in NATURE_RUN_MONTHS:
        return {}
    path = at(f"{NATURE_RUN}/restart/{{year}}-{{month}}.npz", [previous])[0]
    return {"restart": ancient(path), "restart_checksum": sidecar(path)}


def training_shards(stage):
    """Input function: the shards of an experiment's training months, if the configured network learns."""

    def shards(wildcards):
        if not learns(stage, network_name(stage)):
            return {}
        months = TRAINING_MONTHS[wildcards.experiment]
        return {
            "index": at(f"{SHARDS}/index.json", months),
            "fine": ancient(at(f"{SHARDS}/fine.npy", months)),
            "coarse": ancient(at(f"{SHARDS}/coarse.npy", months)),
        }

    return shards


def network_settings(stage):
    """Parameter: the network's name, its recipe and sizes if it has any and, if it learns, how it is trained."""
    return chosen.network_settings(config, stage)


def training_outputs(stage):
    """What a training leaves beside the model: the last weights and the curves; nothing for an interpolation."""
    if not learns(stage, network_name(stage)):
        return {}
    folder = f"{RESULTS}/models/{{experiment}}/{stage}"
    return {"last": f"{folder}/last.safetensors", "curves": f"{folder}/curves.csv"}


def training_threads(stage):
    """CPU threads of a training; fixed, because its last digits depend on them."""
    settings = network_settings(stage)
    return settings["training"]["threads"] if "training" in settings else 1


def training_curves():
    """The curves that training left, of the networks that learn."""
    return [
        f"{RESULTS}/models/{experiment}/{stage}/curves.csv"
        for experiment in ("simulation", "real")
        for stage in ("temporal", "spatial")
        if learns(stage, network_name(stage))
    ]


def training_pictures():
    """Where the report draws each of `training_curves`."""
    return [
        f"{RESULTS}/report/figures/{{year}}/training_{path.parts[-3]}_{path.parts[-2]}.png"
        for path in map(Path, training_curves())
    ]


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
