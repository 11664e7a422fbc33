"""Train the networks. An interpolation has nothing to learn: its model file is made without any data."""


rule train_temporal:
    """Train the network that interpolates ×3 in time.

    Out: weights and what is needed to use them (stage, network, settings, provenance) in one file: the best by held-out
    hours and the last; losses and held-out errors (ug m-3) as CSV. A killed training goes on from where it was.
    """
    input:
        unpack(training_shards("temporal")),
    output:
        **training_outputs("temporal"),
        model=MODEL.replace("{stage}", "temporal"),
        checksum=sidecar(MODEL.replace("{stage}", "temporal")),
    log:
        f"{RESULTS}/logs/train_temporal/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_temporal/{{experiment}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: training_threads("temporal")
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=gpus("temporal"),
    params:
        code=script_digest("train_temporal.py", "temporal", trains=True),
        settings=network_settings("temporal"),
    script:
        "../scripts/train_temporal.py"


rule train_spatial:
    """Train the network that refines ×3 in space.

    Out: weights and what is needed to use them (stage, network, settings, provenance) in one file: the best by held-out
    hours and the last; losses and held-out errors (ug m-3) as CSV. A killed training goes on from where it was.
    """
    input:
        unpack(training_shards("spatial")),
    output:
        **training_outputs("spatial"),
        model=MODEL.replace("{stage}", "spatial"),
        checksum=sidecar(MODEL.replace("{stage}", "spatial")),
    log:
        f"{RESULTS}/logs/train_spatial/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_spatial/{{experiment}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: training_threads("spatial")
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=gpus("spatial"),
    params:
        code=script_digest("train_spatial.py", "spatial", trains=True),
        settings=network_settings("spatial"),
    script:
        "../scripts/train_spatial.py"
