"""Run the networks over CAMS, month by month: first in time, then in space."""

REAL_TEMPORAL = model_of("real", "temporal")
REAL_SPATIAL = model_of("real", "spatial")


rule downscale_temporal:
    """Interpolate a month of 3-hourly CAMS to hours. Analyses pass unchanged.

    Out: pm25(time, latitude, longitude), ug m-3, 0.75°, hourly instants hh:00 of the month; region and halo.
    """
    input:
        fields=ancient(RAW_CAMS),
        fields_checksum=sidecar(RAW_CAMS),
        model=ancient(REAL_TEMPORAL),
        model_checksum=sidecar(REAL_TEMPORAL),
    output:
        fields=TEMPORAL_MONTH,
        checksum=sidecar(TEMPORAL_MONTH),
    log:
        f"{RESULTS}/logs/downscale_temporal/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/downscale_temporal/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=rising(4000),
        runtime=120,
        gpu=gpus(*configured("temporal")),
    params:
        code=script_digest("downscale_temporal.py", *configured("temporal")),
        precision=config["inference"]["precision"],
        ends_record=lambda wildcards: month_of(wildcards) == CAMS_MONTHS[-1],
    script:
        "../scripts/downscale_temporal.py"


rule downscale_spatial:
    """Refine a month of hourly 0.75° fields to 0.25° and write them in the product's final encoding.

    Out: pm25(time, latitude, longitude), ug m-3, 0.25°, hourly instants hh:00 of the month; region only.
    """
    input:
        fields=ancient(TEMPORAL_MONTH),
        fields_checksum=sidecar(TEMPORAL_MONTH),
        model=ancient(REAL_SPATIAL),
        model_checksum=sidecar(REAL_SPATIAL),
    output:
        fields=SPATIAL_MONTH,
        checksum=sidecar(SPATIAL_MONTH),
    log:
        f"{RESULTS}/logs/downscale_spatial/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/downscale_spatial/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=rising(4000),
        runtime=720,
        gpu=gpus(*configured("spatial")),
    params:
        code=script_digest("downscale_spatial.py", *configured("spatial")),
        precision=config["inference"]["precision"],
        region=REGION,
        closure=closure(),
        encoding=config["encoding"],
    script:
        "../scripts/downscale_spatial.py"
