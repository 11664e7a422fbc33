"""The simulation experiment: networks trained on some years of GEOS-CF, scored on another (Tables 2 and 3)."""

EVALUATION_STAGES = (*STAGES, "joint")
EVALUATION = f"{RESULTS}/evaluation/{{stage}}/{{method}}/{{year}}-{{month}}.csv"
EVALUATION_DAYS = (
    f"{RESULTS}/evaluation/{{stage}}/{{method}}/{{year}}-{{month}}-days.csv"
)
# Of each stage: all months' scores, the same in words and in the layout of the paper's tables, the daily sums, and the
# differences from the baselines.
EVALUATION_FILES = {
    f"{stage}_{kind}": f"{RESULTS}/evaluation/{stage}{ending}"
    for stage in EVALUATION_STAGES
    for kind, ending in (
        ("csv", ".csv"),
        ("table", "_table.csv"),
        ("md", ".md"),
        ("days", "_days.csv"),
        ("skill", "_skill.csv"),
    )
}
EVALUATION_TABLES = list(EVALUATION_FILES.values())
EVALUATION_SKILL = [EVALUATION_FILES[f"{stage}_skill"] for stage in EVALUATION_STAGES]
ZOOM = f"{RESULTS}/evaluation/{{stage}}_zoom.npz"


rule evaluate_temporal:
    """Score ×3 interpolation in time over a test month, 16 fields a day: the baselines, or a network.

    At 0.75°, where networks are trained and used, and at 0.25°, as the paper does.

    Out: CSV, one row a method and resolution: R, RMSE and MAE (ug m-3), plain and weighted by area; and the sums of
    every day.
    """
    input:
        unpack(models_to_score("temporal")),
        fine=ancient(f"{SHARDS}/fine.npy"),
        coarse=ancient(f"{SHARDS}/coarse.npy"),
        index=f"{SHARDS}/index.json",
    output:
        scores=EVALUATION.replace("{stage}", "temporal"),
        days=EVALUATION_DAYS.replace("{stage}", "temporal"),
    log:
        f"{RESULTS}/logs/evaluate_temporal/{{method}}-{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_temporal/{{method}}-{{year}}-{{month}}.jsonl"
    wildcard_constraints:
        method="|".join(scored_methods("temporal")).replace("+", r"\+"),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=240,
        gpu=scoring_gpus("temporal"),
    params:
        code=scoring_code("evaluate_temporal.py", "temporal"),
        weights=pretrained_content("temporal"),
        region=REGION,
        halo=HALO,
        every=config["experiments"]["simulation"]["every"],
    script:
        "../scripts/evaluate_temporal.py"


rule evaluate_spatial:
    """Score ×3 refinement in space over a test month, 24 fields a day: the baselines, or a network.

    From fields degraded by the configured operator; and from four fields a day degraded by each of the others.

    Out: CSV, one row a method and operator: R, RMSE and MAE (ug m-3), plain and weighted by area; and the sums of
    every day.
    """
    input:
        unpack(models_to_score("spatial")),
        fine=ancient(f"{SHARDS}/fine.npy"),
        coarse=ancient(f"{SHARDS}/coarse.npy"),
        index=f"{SHARDS}/index.json",
    output:
        scores=EVALUATION.replace("{stage}", "spatial"),
        days=EVALUATION_DAYS.replace("{stage}", "spatial"),
    log:
        f"{RESULTS}/logs/evaluate_spatial/{{method}}-{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_spatial/{{method}}-{{year}}-{{month}}.jsonl"
    wildcard_constraints:
        method="|".join(scored_methods("spatial")).replace("+", r"\+"),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=240,
        gpu=scoring_gpus("spatial"),
    params:
        code=scoring_code("evaluate_spatial.py", "spatial"),
        weights=pretrained_content("spatial"),
        region=REGION,
        halo=HALO,
        every=config["experiments"]["simulation"]["every"],
        closure=scoring_closure,
        sigma=config["degradation"]["sigma"],
    script:
        "../scripts/evaluate_spatial.py"


rule evaluate_joint:
    """Score the whole chain over a test month, the score the paper lacks: the baselines, or a pair in both orders.

    Out: CSV, one row a method: R, RMSE and MAE (ug m-3), plain and weighted by area; and the sums of every day.
    """
    input:
        unpack(models_to_score("joint")),
        fine=ancient(f"{SHARDS}/fine.npy"),
        coarse=ancient(f"{SHARDS}/coarse.npy"),
        index=f"{SHARDS}/index.json",
    output:
        scores=EVALUATION.replace("{stage}", "joint"),
        days=EVALUATION_DAYS.replace("{stage}", "joint"),
    log:
        f"{RESULTS}/logs/evaluate_joint/{{method}}-{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_joint/{{method}}-{{year}}-{{month}}.jsonl"
    wildcard_constraints:
        method="|".join(scored_methods("joint")).replace("+", r"\+"),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=240,
        gpu=scoring_gpus("joint"),
    params:
        code=scoring_code("evaluate_joint.py", "joint"),
        weights=pretrained_content("joint"),
        region=REGION,
        halo=HALO,
        every=config["experiments"]["simulation"]["every"],
        closure=scoring_closure,
    script:
        "../scripts/evaluate_joint.py"


rule summarise_evaluation:
    """Put the months' scores into the layout of the paper's Tables 2 and 3: a row a month, and the mean.

    Out: for time, space and both all scores as CSV, the paper's tables as CSV and as Markdown, the daily sums, and the
    networks' differences from each baseline (per cent) with intervals, as CSV and in words below the table.
    """
    input:
        **{
            f"{stage}{kind}": scores_of(stage, pattern)
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
        mem_mb=rising(2000),
        runtime=20,
    params:
        code=script_digest("summarise_evaluation.py"),
        pollutant=config["pollutant"],
        configured={
            stage: list(scored_methods(stage))[-1] for stage in EVALUATION_STAGES
        },
    script:
        "../scripts/summarise_evaluation.py"


rule cut_zoom:
    """Cut a box of most structure out of a moment or two of the test period, for figures as the paper's 3 and 4.

    Out: NumPy arrays: truth, input, the main baseline and the configured network (ug m-3) on the box's nodes.
    """
    input:
        unpack(zoom_shards),
        unpack(zoom_model),
    output:
        zoom=ZOOM,
    log:
        f"{RESULTS}/logs/cut_zoom/{{stage}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/cut_zoom/{{stage}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=60,
    params:
        code=lambda wildcards: script_digest(
            "cut_zoom.py", *configured(wildcards.stage)
        ),
        moments=lambda wildcards: zoom_moments(wildcards.stage),
        region=REGION,
        halo=HALO,
        closure=lambda wildcards: closure() if wildcards.stage == "spatial" else "none",
    script:
        "../scripts/cut_zoom.py"
