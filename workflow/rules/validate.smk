"""Compare the product with stations, and with the truth where there is one."""

VALIDATION = f"{RESULTS}/validation/{{year}}"


rule collocate_stations:
    """Control the quality of a month's measurements and pair them with product and CAMS, hour by hour.

    Out: CSV table, one row a station and hour, ug m-3; JSON counts of the rows that each step removed.
    """
    input:
        unpack(previous_month_files),
        product=ancient(SPATIAL_MONTH),
        product_checksum=sidecar(SPATIAL_MONTH),
        coarse=ancient(RAW_CAMS),
        coarse_checksum=sidecar(RAW_CAMS),
        stations=ancient(RAW_OPENAQ),
        stations_checksum=sidecar(RAW_OPENAQ),
    output:
        table=COLLOCATED,
        checksum=sidecar(COLLOCATED),
        counts=COLLOCATED.replace(".csv.gz", "_counts.json"),
    log:
        f"{RESULTS}/logs/collocate_stations/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/collocate_stations/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=script_digest("collocate_stations.py"),
        pollutant=config["pollutant"],
        settings=config["validation"],
    script:
        "../scripts/collocate_stations.py"


rule validate_year:
    """Score a year at stations, check its fields, and score it against the truth of a synthetic run.

    Out: JSON summary and CSV tables of scores (ug m-3); the annual means of product and CAMS for maps.
    """
    input:
        unpack(truth_files),
        product=ancient(YEAR_PRODUCT),
        product_checksum=sidecar(YEAR_PRODUCT),
        coarse=lambda wildcards: ancient(at(RAW_CAMS, months_of_year(wildcards))),
        coarse_checksums=lambda wildcards: at(
            sidecar(RAW_CAMS), months_of_year(wildcards)
        ),
        pairs=lambda wildcards: ancient(at(COLLOCATED, station_months(wildcards))),
        pairs_checksums=lambda wildcards: at(
            sidecar(COLLOCATED), station_months(wildcards)
        ),
        counts=lambda wildcards: at(
            COLLOCATED.replace(".csv.gz", "_counts.json"), station_months(wildcards)
        ),
    output:
        summary=f"{VALIDATION}/summary.json",
        stations=f"{VALIDATION}/stations.csv",
        diurnal=f"{VALIDATION}/diurnal.csv",
        scatter=f"{VALIDATION}/scatter.csv",
        series=f"{VALIDATION}/series.csv",
        means=f"{VALIDATION}/means.npz",
        means_checksum=sidecar(f"{VALIDATION}/means.npz"),
    log:
        f"{RESULTS}/logs/validate_year/{{year}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/validate_year/{{year}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=240,
    params:
        code=script_digest("validate_year.py"),
    script:
        "../scripts/validate_year.py"
