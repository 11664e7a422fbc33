"""Make training and test material out of GEOS-CF: fine fields and their degraded companions."""


rule degrade_geoscf:
    """Degrade a month of GEOS-CF to the coarse grid and lay both out as memory-mappable shards.

    Out: fine.npy (T, H, W) and coarse.npy (T, h, w), float32, ug m-3, hourly; index.json with times, grids, operator
    and the arrays' checksums.
    """
    input:
        fields=ancient(RAW_GEOSCF),
        checksum=sidecar(RAW_GEOSCF),
    output:
        fine=f"{SHARDS}/fine.npy",
        coarse=f"{SHARDS}/coarse.npy",
        index=f"{SHARDS}/index.json",
    log:
        f"{RESULTS}/logs/degrade_geoscf/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/degrade_geoscf/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000),
        runtime=60,
    params:
        code=script_digest("degrade_geoscf.py"),
        degradation=config["degradation"],
    script:
        "../scripts/degrade_geoscf.py"
