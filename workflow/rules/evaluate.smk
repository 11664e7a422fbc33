"""The simulation experiment: networks trained on some years of GEOS-CF, scored on another (Tables 2 and 3)."""

EVALUATION_STAGES = ("temporal", "spatial", "joint")
EVALUATION = f"{RESULTS}/evaluation/{{stage}}/{{year}}-{{month}}.csv"
EVALUATION_DAYS = f"{RESULTS}/evaluation/{{stage}}/{{year}}-{{month}}-days.csv"
# Of each stage: all months' scores, the same as in the paper's tables, and the differences from the baselines.
EVALUATION_FILES = {
    f"{stage}_{kind}": f"{RESULTS}/evaluation/{stage}{ending}"
    for stage in EVALUATION_STAGES
    for kind, ending in (("csv", ".csv"), ("md", ".md"), ("skill", "_skill.csv"))
}
EVALUATION_TABLES = list(EVALUATION_FILES.values())
EVALUATION_SKILL = [EVALUATION_FILES[f"{stage}_skill"] for stage in EVALUATION_STAGES]
SIMULATION_TEMPORAL = MODEL.format(experiment="simulation", stage="temporal")
SIMULATION_SPATIAL = MODEL.format(experiment="simulation", stage="spatial")


rule evaluate_temporal:
    """Score ×3 interpolation in time over a test month: 16 fields a day, network beside baselines.

    At 0.75°, where the network is trained and used, and at 0.25°, as the paper does.

    Out: CSV, one row a method and resolution: R, RMSE and MAE (ug m-3), plain and weighted by area; and the sums of
    every day.
    """
    input:
        fine=ancient(f"{SHARDS}/fine.npy"),
        coarse=ancient(f"{SHARDS}/coarse.npy"),
        index=f"{SHARDS}/index.json",
        temporal=ancient(SIMULATION_TEMPORAL),
        temporal_checksum=sidecar(SIMULATION_TEMPORAL),
    output:
        scores=EVALUATION.replace("{stage}", "temporal"),
        days=EVALUATION_DAYS.replace("{stage}", "temporal"),
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
        gpu=gpus("temporal"),
    params:
        code=script_digest("evaluate_temporal.py", "temporal"),
        region=REGION,
    script:
        "../scripts/evaluate_temporal.py"


rule evaluate_spatial:
    """Score ×3 refinement in space over a test month: 24 fields a day, network beside baselines.

    Out: CSV, one row a method: R, RMSE and MAE (ug m-3), plain and weighted by area; and the sums of every day.
    """
    input:
        fine=ancient(f"{SHARDS}/fine.npy"),
        coarse=ancient(f"{SHARDS}/coarse.npy"),
        index=f"{SHARDS}/index.json",
        spatial=ancient(SIMULATION_SPATIAL),
        spatial_checksum=sidecar(SIMULATION_SPATIAL),
    output:
        scores=EVALUATION.replace("{stage}", "spatial"),
        days=EVALUATION_DAYS.replace("{stage}", "spatial"),
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
        gpu=gpus("spatial"),
    params:
        code=script_digest("evaluate_spatial.py", "spatial"),
        region=REGION,
        closure=closure(),
    script:
        "../scripts/evaluate_spatial.py"


rule evaluate_joint:
    """Score the whole chain, time first and then space, over a test month: the score the paper lacks.

    Out: CSV, one row a method: R, RMSE and MAE (ug m-3), plain and weighted by area; and the sums of every day.
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
        days=EVALUATION_DAYS.replace("{stage}", "joint"),
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
        gpu=max(gpus("temporal"), gpus("spatial")),
    params:
        code=script_digest("evaluate_joint.py", "temporal", "spatial"),
        region=REGION,
        closure=closure(),
    script:
        "../scripts/evaluate_joint.py"


rule summarise_evaluation:
    """Put the months' scores into the layout of the paper's Tables 2 and 3: a row a month, and the mean.

    Out: for time, space and both the table as CSV and as Markdown, and the networks' differences from each baseline
    (per cent) with intervals, as CSV and in words below the table.
    """
    input:
        **{
            f"{stage}{kind}": at(pattern.replace("{stage}", stage), TEST_MONTHS)
            for stage in EVALUATION_STAGES
            for kind, pattern in (("", EVALUATION), ("_days", EVALUATION_DAYS))
        },
    output:
        **EVALUATION_FILES,
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
