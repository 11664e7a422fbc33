"""The simulation experiment: networks trained on some years of GEOS-CF, scored on another (Tables 2 and 3)."""

EVALUATION = f"{RESULTS}/evaluation/{{stage}}/{{year}}-{{month}}.csv"
EVALUATION_TABLES = [
    f"{RESULTS}/evaluation/{stage}.{kind}"
    for stage in ("temporal", "spatial", "joint")
    for kind in ("csv", "md")
]
SIMULATION_TEMPORAL = MODEL.format(experiment="simulation", stage="temporal")
SIMULATION_SPATIAL = MODEL.format(experiment="simulation", stage="spatial")


rule evaluate_temporal:
    """Score ×3 interpolation in time over a test month at 0.25°: 16 fields a day, network beside baselines.

    Out: CSV, one row a method: R, RMSE and MAE (ug m-3), plain and weighted by area.
    """
    input:
        fine=ancient(f"{SHARDS}/fine.npy"),
        index=f"{SHARDS}/index.json",
        temporal=ancient(SIMULATION_TEMPORAL),
        temporal_checksum=sidecar(SIMULATION_TEMPORAL),
    output:
        scores=EVALUATION.replace("{stage}", "temporal"),
    log:
        f"{RESULTS}/logs/evaluate_temporal/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_temporal/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=script_digest("evaluate_temporal.py", "temporal"),
        region=REGION,
    script:
        "../scripts/evaluate_temporal.py"


rule evaluate_spatial:
    """Score ×3 refinement in space over a test month: 24 fields a day, network beside baselines.

    Out: CSV, one row a method: R, RMSE and MAE (ug m-3), plain and weighted by area.
    """
    input:
        fine=ancient(f"{SHARDS}/fine.npy"),
        coarse=ancient(f"{SHARDS}/coarse.npy"),
        index=f"{SHARDS}/index.json",
        spatial=ancient(SIMULATION_SPATIAL),
        spatial_checksum=sidecar(SIMULATION_SPATIAL),
    output:
        scores=EVALUATION.replace("{stage}", "spatial"),
    log:
        f"{RESULTS}/logs/evaluate_spatial/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_spatial/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=script_digest("evaluate_spatial.py", "spatial"),
        region=REGION,
        closure=config["spatial"]["closure"],
    script:
        "../scripts/evaluate_spatial.py"


rule evaluate_joint:
    """Score the whole chain, time first and then space, over a test month: the score the paper lacks.

    Out: CSV, one row a method: R, RMSE and MAE (ug m-3), plain and weighted by area.
    """
    input:
        fine=ancient(f"{SHARDS}/fine.npy"),
        coarse=ancient(f"{SHARDS}/coarse.npy"),
        index=f"{SHARDS}/index.json",
        temporal=ancient(SIMULATION_TEMPORAL),
        temporal_checksum=sidecar(SIMULATION_TEMPORAL),
        spatial=ancient(SIMULATION_SPATIAL),
        spatial_checksum=sidecar(SIMULATION_SPATIAL),
    output:
        scores=EVALUATION.replace("{stage}", "joint"),
    log:
        f"{RESULTS}/logs/evaluate_joint/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_joint/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=script_digest("evaluate_joint.py", "temporal", "spatial"),
        region=REGION,
        closure=config["spatial"]["closure"],
    script:
        "../scripts/evaluate_joint.py"


rule summarise_evaluation:
    """Put the months' scores into the layout of the paper's Tables 2 and 3: a row a month, and the mean.

    Out: the table as CSV and as Markdown, one pair each for time, space and both.
    """
    input:
        **{
            stage: at(EVALUATION.replace("{stage}", stage), TEST_MONTHS)
            for stage in ("temporal", "spatial", "joint")
        },
    output:
        tables=EVALUATION_TABLES,
    log:
        f"{RESULTS}/logs/summarise_evaluation.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_evaluation.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=script_digest("summarise_evaluation.py"),
    script:
        "../scripts/summarise_evaluation.py"
