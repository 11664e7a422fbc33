"""Station fusion after Lyu et al. (2022): learn from days of GEOS-CF, make fields of stations, cross-validate them."""

FUSION_TABLES = (
    "scores.csv",
    "classes.csv",
    "seasons.csv",
    "months.csv",
    "reproduction.csv",
    "counts.csv",
    "summary.json",
)
# As deepcams.report.fusion_plot.FIGURES names them; a test keeps both equal.
FUSION_FIGURE_NAMES = (
    "fusion_day",
    "fusion_seasons",
    "fusion_cross_validation",
    "fusion_classes",
    "fusion_kernels",
)
FUSION_FIGURES = {
    name: f"{RESULTS}/report/figures/{{year}}/{name}.png"
    for name in FUSION_FIGURE_NAMES
}


rule average_geoscf:
    """Average a month of GEOS-CF, and its humidity and wind, over local days.

    Out: an array (days, H, W) float32 for each variable, ug m-3, 1 and m s-1; index.json with dates, grid and checksums.
    """
    input:
        unpack(days_of_month),
    output:
        index=f"{DAYS}/index.json",
        arrays=day_arrays(),
    log:
        f"{RESULTS}/logs/average_geoscf/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/average_geoscf/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000),
        runtime=60,
    params:
        code=script_digest("average_geoscf.py"),
        variables=config["fusion"]["variables"],
        day=config["fusion"]["day"],
    script:
        "../scripts/average_geoscf.py"


rule train_fusion:
    """Train the network that makes fields of stations, on days of GEOS-CF alone.

    Out: weights and what is needed to use them in one file: the best by held-out days and the last; losses and held-out
    errors (ug m-3) as CSV; the mean field (ug m-3) of the training's days by calendar month.
    """
    input:
        unpack(training_days),
    output:
        model=FUSION_MODEL,
        checksum=sidecar(FUSION_MODEL),
        last=FUSION_MODEL.replace("model.", "last."),
        curves=FUSION_MODEL.replace("model.safetensors", "curves.csv"),
        climatology=FUSION_MODEL.replace("model.safetensors", "climatology.npz"),
        climatology_checksum=sidecar(
            FUSION_MODEL.replace("model.safetensors", "climatology.npz")
        ),
    log:
        f"{RESULTS}/logs/train_fusion/{{experiment}}-{{background}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_fusion/{{experiment}}-{{background}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: training_threads("fusion")
    resources:
        **chosen.training_means(config, "fusion"),
        mem_mb=rising(12000),
        runtime=1440,
        gpu=config["fusion"]["training"]["processes"]
        * gpus(("fusion", chosen.FUSION_NETWORK)),
    params:
        code=script_digest(
            "train_fusion.py", ("fusion", chosen.FUSION_NETWORK), trains=True
        ),
        settings=lambda wildcards: chosen.fusion_settings(config, wildcards.background),
    script:
        "../scripts/train_fusion.py"


rule fuse_month:
    """Make fields of a month's stations.

    Out: daily or hourly means, ug m-3, 0.25°, with the distance to the nearest station (km); CSV counts of the
    measurements that were not used, by reason and country.
    """
    input:
        unpack(fuse_inputs),
    output:
        fields=FUSED_MONTH,
        checksum=sidecar(FUSED_MONTH),
        counts=FUSED_COUNTS,
    log:
        f"{RESULTS}/logs/fuse_month/{{step}}-{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fuse_month/{{step}}-{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=rising(8000),
        runtime=240,
        gpu=gpus(("fusion", chosen.FUSION_NETWORK)),
    params:
        code=fusion_code("fuse_month.py"),
        pollutant=config["pollutant"],
        region=REGION,
        day=config["fusion"]["day"],
        min_hours=config["fusion"]["min_hours"],
        quality=config["validation"],
        encoding=config["encoding"],
        precision=config["inference"]["precision"],
    script:
        "../scripts/fuse_month.py"


rule assemble_fused_year:
    """Join the fused months of a year that have stations.

    Out: pm25(time, latitude, longitude), ug m-3, 0.25°, daily or hourly means; distance_to_station, km.
    """
    input:
        months=lambda wildcards: ancient(
            at(FUSED_MONTH, station_months(wildcards), step=wildcards.step)
        ),
        checksums=lambda wildcards: at(
            sidecar(FUSED_MONTH), station_months(wildcards), step=wildcards.step
        ),
    output:
        product=FUSED_YEAR,
        checksum=sidecar(FUSED_YEAR),
    log:
        f"{RESULTS}/logs/assemble_fused_year/{{step}}-{{year}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/assemble_fused_year/{{step}}-{{year}}.jsonl"
    wildcard_constraints:
        year="|".join(map(str, FUSION_YEARS)),
    conda:
        "../../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=rising(2000),
        runtime=120,
    params:
        code=script_digest("assemble_fused_year.py"),
        author=config["author"],
    script:
        "../scripts/assemble_fused_year.py"


rule cross_validate_fusion:
    """Estimate every daily mean of a month's stations from stations, and from cities, of other folds.

    Out: CSV table of observed and estimated daily means (ug m-3), a column for each network and each competitor.
    """
    input:
        unpack(cross_validation_inputs),
    output:
        CROSS_VALIDATED,
    log:
        f"{RESULTS}/logs/cross_validate_fusion/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/cross_validate_fusion/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=rising(12000),
        runtime=480,
        gpu=gpus(("fusion", chosen.FUSION_NETWORK)),
    params:
        code=fusion_code("cross_validate_fusion.py"),
        pollutant=config["pollutant"],
        region=REGION,
        day=config["fusion"]["day"],
        min_hours=config["fusion"]["min_hours"],
        quality=config["validation"],
        folds=config["fusion"]["folds"],
        backgrounds=FUSION_BACKGROUNDS,
    script:
        "../scripts/cross_validate_fusion.py"


rule reproduce_geoscf:
    """Reproduce the days of a test month of GEOS-CF from its own values in the cells that hold stations.

    Out: CSV scores of each day and of all (R2, RMSE in ug m-3, NME), by network and competitor.
    """
    input:
        unpack(reproduction_inputs),
    output:
        REPRODUCED,
    log:
        f"{RESULTS}/logs/reproduce_geoscf/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/reproduce_geoscf/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=rising(12000),
        runtime=240,
        gpu=gpus(("fusion", chosen.FUSION_NETWORK)),
    params:
        code=fusion_code("reproduce_geoscf.py"),
        pollutant=config["pollutant"],
        region=REGION,
        day=config["fusion"]["day"],
        min_hours=config["fusion"]["min_hours"],
        quality=config["validation"],
        backgrounds=FUSION_BACKGROUNDS,
    script:
        "../scripts/reproduce_geoscf.py"


rule score_fusion:
    """Score a year's cross-validation: of all, by concentration, by season and for the months of early 2020.

    Out: CSV tables with intervals of 95 %; JSON with what the names of the methods do not tell.
    """
    input:
        tables=lambda wildcards: at(CROSS_VALIDATED, station_months(wildcards)),
        reproduced=at(REPRODUCED, TEST_MONTHS),
        counts=lambda wildcards: at(
            FUSED_COUNTS, station_months(wildcards), step="daily"
        ),
    output:
        [f"{FUSION_SCORES}/{name}" for name in FUSION_TABLES],
    log:
        f"{RESULTS}/logs/score_fusion/{{year}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_fusion/{{year}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=60,
    params:
        code=script_digest("score_fusion.py"),
        synthetic=SYNTHETIC,
        facts=lambda wildcards: {
            "networks, by background": ", ".join(FUSION_BACKGROUNDS),
            "observed as well": ", ".join(config["fusion"]["variables"]).replace(
                "_", " "
            )
            or "nothing",
            "folds": config["fusion"]["folds"],
            "least hours of a day": config["fusion"]["min_hours"],
        },
    script:
        "../scripts/score_fusion.py"


rule plot_fusion:
    """Draw a year's fused fields, their cross-validation and the kernels of their network.

    Out: PNG pictures, concentrations and errors in µg/m³, distances in km.
    """
    input:
        unpack(fused_year),
        tables=lambda wildcards: at(CROSS_VALIDATED, station_months(wildcards)),
        scores=[f"{FUSION_SCORES}/{name}" for name in FUSION_TABLES],
    output:
        **{
            name: report(
                path,
                caption=f"../report/{name}.rst",
                category="Year {year}",
                labels={"figure": name.replace("_", " ")},
            )
            for name, path in FUSION_FIGURES.items()
        },
    log:
        f"{RESULTS}/logs/plot_fusion/{{year}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_fusion/{{year}}.jsonl"
    conda:
        "../../envs/plot.yaml"
    threads: 2
    resources:
        mem_mb=rising(4000),
        runtime=60,
    params:
        code=script_digest("plot_fusion.py"),
        pollutant=config["pollutant"],
        dpi=config["report"]["dpi"],
    script:
        "../scripts/plot_fusion.py"
