"""Compare the product with stations, and with the truth where there is one."""

VALIDATION = f"{RESULTS}/validation/{{year}}"
# As deepcams.validation.summary.FILES names them; a test keeps both equal.
VALIDATION_FILES = (
    "summary.json",
    "scores.csv",
    "stations.csv",
    "exceedances.csv",
    "differences.csv",
    "diurnal.csv",
    "scatter.csv",
    "series.csv",
    "spectra.csv",
    "beat.csv",
    "counts.csv",
    "means.npz",
    "clicks.npz",
)
ARRAYS = [name for name in VALIDATION_FILES if name.endswith(".npz")]

# The same as inputs: arrays are large, and told by their checksums.
VALIDATED = {
    "tables": [
        f"{VALIDATION}/{name}" for name in VALIDATION_FILES if not name.endswith(".npz")
    ],
    "arrays": ancient([f"{VALIDATION}/{name}" for name in ARRAYS]),
    "arrays_checksums": [sidecar(f"{VALIDATION}/{name}") for name in ARRAYS],
}


rule collocate_stations:
    """Control the quality of a month's measurements and pair them with product and CAMS, hour by hour.

    Out: NetCDF table of pairs, one a station and hour, ug m-3; CSV counts of the rows that each step removed, by country.
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
        counts=COLLOCATED_COUNTS,
    log:
        f"{RESULTS}/logs/collocate_stations/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/collocate_stations/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=60,
    params:
        code=script_digest("collocate_stations.py"),
        pollutant=config["pollutant"],
        quality=config["validation"],
        method=config["comparison"]["collocation"],
    script:
        "../scripts/collocate_stations.py"


rule validate_year:
    """Score a year at stations, check its fields, and score it against the truth of a synthetic run.

    Out: JSON summary and CSV tables of scores (ug m-3); the annual means of product and CAMS for maps; stations' series.
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
        counts=lambda wildcards: at(COLLOCATED_COUNTS, station_months(wildcards)),
    output:
        [f"{VALIDATION}/{name}" for name in VALIDATION_FILES],
        [sidecar(f"{VALIDATION}/{name}") for name in ARRAYS],
    log:
        f"{RESULTS}/logs/validate_year/{{year}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/validate_year/{{year}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=rising(6000),
        runtime=240,
    params:
        code=script_digest("validate_year.py"),
        pollutant=config["pollutant"],
        settings=config["comparison"],
    script:
        "../scripts/validate_year.py"
