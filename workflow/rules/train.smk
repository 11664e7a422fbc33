"""Train the networks. An interpolation has nothing to learn: its model file is made without any data."""


rule train_temporal:
    """Train a network that interpolates ×3 in time.

    Out: weights and what is needed to use them (stage, network, settings, provenance) in one file: the best by held-out
    hours and the last; losses and held-out errors (ug m-3) as CSV. A killed training goes on from where it was.
    """
    input:
        **training_shards(),
    output:
        model=MODEL.replace("{stage}", "temporal"),
        checksum=sidecar(MODEL.replace("{stage}", "temporal")),
        last=beside_model("temporal", "last.safetensors"),
        curves=beside_model("temporal", "curves.csv"),
    log:
        f"{RESULTS}/logs/train_temporal/{{experiment}}-{{network}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_temporal/{{experiment}}-{{network}}.jsonl"
    wildcard_constraints:
        network=taught_networks("temporal"),
    conda:
        "../../envs/torch.yaml"
    threads: training_threads("temporal")
    resources:
        **chosen.training_means(config, "temporal"),
        mem_mb=rising(8000),
        runtime=1440,
        gpu=training_gpus("temporal"),
    params:
        code=training_code("train_temporal.py", "temporal"),
        settings=lambda wildcards: settings_of("temporal", wildcards.network),
    script:
        "../scripts/train_temporal.py"


rule train_spatial:
    """Train a network that refines ×3 in space.

    Out: weights and what is needed to use them (stage, network, settings, provenance) in one file: the best by held-out
    hours and the last; losses and held-out errors (ug m-3) as CSV. A killed training goes on from where it was.
    """
    input:
        **training_shards(),
    output:
        model=MODEL.replace("{stage}", "spatial"),
        checksum=sidecar(MODEL.replace("{stage}", "spatial")),
        last=beside_model("spatial", "last.safetensors"),
        curves=beside_model("spatial", "curves.csv"),
    log:
        f"{RESULTS}/logs/train_spatial/{{experiment}}-{{network}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_spatial/{{experiment}}-{{network}}.jsonl"
    wildcard_constraints:
        network=taught_networks("spatial"),
    conda:
        "../../envs/torch.yaml"
    threads: training_threads("spatial")
    resources:
        **chosen.training_means(config, "spatial"),
        mem_mb=rising(8000),
        runtime=1440,
        gpu=training_gpus("spatial"),
    params:
        code=training_code("train_spatial.py", "spatial"),
        settings=lambda wildcards: settings_of("spatial", wildcards.network),
    script:
        "../scripts/train_spatial.py"


rule derive_network:
    """Make the model file of a network that takes no training: solve for what fits the shards best, or state it.

    Out: one file: weights, if there are any, and what is needed to use them.
    """
    input:
        unpack(solving_shards),
    output:
        model=MODEL,
        checksum=sidecar(MODEL),
    log:
        f"{RESULTS}/logs/derive_network/{{experiment}}-{{stage}}-{{network}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/derive_network/{{experiment}}-{{stage}}-{{network}}.jsonl"
    wildcard_constraints:
        network=derived_networks(),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=240,
    params:
        code=lambda wildcards: script_digest(
            "derive_network.py", (wildcards.stage, wildcards.network), trains=True
        ),
        settings=lambda wildcards: settings_of(wildcards.stage, wildcards.network),
    script:
        "../scripts/derive_network.py"
