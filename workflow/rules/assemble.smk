"""Join the months of a year."""


rule assemble_year:
    """Join the configured months of a year by copying their compressed chunks.

    Out: pm25(time, latitude, longitude), ug m-3, 0.25°, hourly instants; CF-1.11, ACDD-1.3.
    """
    input:
        months=lambda wildcards: ancient(at(SPATIAL_MONTH, months_of_year(wildcards))),
        checksums=lambda wildcards: at(
            sidecar(SPATIAL_MONTH), months_of_year(wildcards)
        ),
    output:
        product=YEAR_PRODUCT,
        checksum=sidecar(YEAR_PRODUCT),
    log:
        f"{RESULTS}/logs/assemble_year/{{year}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/assemble_year/{{year}}.jsonl"
    wildcard_constraints:
        year="|".join(map(str, PRODUCT_YEARS)),
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=rising(1000),
        runtime=120,
    params:
        code=script_digest("assemble_year.py"),
        author=config["author"],
    script:
        "../scripts/assemble_year.py"
