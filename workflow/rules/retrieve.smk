"""Retrieve the three data sets, month by month: from the services, from local files, or from the nature run."""


rule simulate_nature_run:
    """Simulate a month of synthetic PM2.5 and write it as the three services would.

    Out: hourly GEOS-CF files (ug m-3, 0.25°), a CAMS file (kg m-3, 0.75°, 3-hourly), OpenAQ files (µg/m³),
    each set listed in a manifest; the truth (ug m-3, 0.25°, hourly instants); the state at the month's end.
    """
    input:
        unpack(restart_files),
    output:
        ads=f"{NATURE_RUN}/ads-{{year}}-{{month}}.sha256",
        portal=f"{NATURE_RUN}/portal-{{year}}-{{month}}.sha256",
        openaq=f"{NATURE_RUN}/openaq-{{year}}-{{month}}.sha256",
        truth=TRUTH,
        truth_checksum=sidecar(TRUTH),
        restart=f"{NATURE_RUN}/restart/{{year}}-{{month}}.npz",
        restart_checksum=sidecar(f"{NATURE_RUN}/restart/{{year}}-{{month}}.npz"),
    log:
        f"{RESULTS}/logs/simulate_nature_run/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/simulate_nature_run/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1 if REGION else 2  # on a small box threads wait for one another more than they work
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        code=script_digest("simulate_nature_run.py"),
        settings=config["nature_run"],
        region=REGION,
        root=lambda wildcards, output: str(Path(output.portal).parent),
    script:
        "../scripts/simulate_nature_run.py"


rule retrieve_cams:
    """A month of CAMS EAC4 surface PM2.5 with the next day's 00 UTC.

    Out: pm25(time, latitude, longitude), ug m-3, 0.75°, 3-hourly instants; region and halo only.
    """
    input:
        files=source_files("cams"),
    output:
        fields=RAW_CAMS,
        checksum=sidecar(RAW_CAMS),
    log:
        f"{RESULTS}/logs/retrieve_cams/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/retrieve_cams/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
        ads_requests=1,
    params:
        code=script_digest("retrieve_cams.py"),
        settings=source_settings("cams"),
        content=source_content("cams"),
        region=REGION,
        halo=HALO,
        ends_record=lambda wildcards: month_of(wildcards) == CAMS_MONTHS[-1],
    script:
        "../scripts/retrieve_cams.py"


rule retrieve_geoscf:
    """A month of hourly GEOS-CF surface PM2.5 with the next day's first hour.

    Out: pm25(time, latitude, longitude), ug m-3, 0.25°, hourly means at hh:30 or instants at hh:00; missing hours NaN.
    """
    input:
        files=source_files("geoscf"),
    output:
        fields=RAW_GEOSCF,
        checksum=sidecar(RAW_GEOSCF),
    log:
        f"{RESULTS}/logs/retrieve_geoscf/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/retrieve_geoscf/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=720,
    params:
        code=script_digest("retrieve_geoscf.py"),
        settings=source_settings("geoscf"),
        content=source_content("geoscf"),
        region=REGION,
        halo=HALO,
    script:
        "../scripts/retrieve_geoscf.py"


rule retrieve_openaq:
    """A month of station measurements, as reported: one row a value, no quality control.

    Out: CSV table: station, place, end of the averaging period (UTC), value, units, provider.
    """
    input:
        files=source_files("openaq"),
    output:
        table=RAW_OPENAQ,
        checksum=sidecar(RAW_OPENAQ),
    log:
        f"{RESULTS}/logs/retrieve_openaq/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/retrieve_openaq/{{year}}-{{month}}.jsonl"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        code=script_digest("retrieve_openaq.py"),
        settings=source_settings("openaq"),
        content=source_content("openaq"),
        region=REGION,
    script:
        "../scripts/retrieve_openaq.py"
