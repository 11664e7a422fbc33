"""Retrieve the data sets, month by month: from the services, from local files, or from the nature run."""


rule simulate_nature_run:
    """Simulate a month of synthetic PM2.5 and its weather, and write them as the services would.

    Out: hourly GEOS-CF files (ug m-3, 0.25°), a CAMS file (kg m-3, 0.75°, 3-hourly), OpenAQ files (µg/m³), humidity and
    wind (1, m s-1, 0.25°, hourly), weather stations, each set listed in a manifest; the truth (ug m-3, 0.25°, hourly instants); the state at the month's end.
    """
    input:
        unpack(restart_files),
    output:
        ads=f"{NATURE_RUN}/ads-{{year}}-{{month}}.sha256",
        portal=f"{NATURE_RUN}/portal-{{year}}-{{month}}.sha256",
        openaq=f"{NATURE_RUN}/openaq-{{year}}-{{month}}.sha256",
        meteorology=f"{NATURE_RUN}/meteorology-{{year}}-{{month}}.sha256",
        weather=f"{NATURE_RUN}/weather-{{year}}-{{month}}.sha256",
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
        mem_mb=rising(3000),
        runtime=240,
    params:
        code=script_digest("simulate_nature_run.py"),
        settings=config["nature_run"],
        region=REGION,
        root=lambda wildcards, output: str(Path(output.portal).parent),
    script:
        "../scripts/simulate_nature_run.py"


rule retrieve_cams:
    """A month of the pollutant near the surface in CAMS EAC4, with the next day's 00 UTC.

    Out: pm25(time, latitude, longitude), ug m-3, 0.75°, 3-hourly instants; region and halo only. Gases in nmol mol-1.
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
    retries: 3 * fetched_from("cams")
    conda:
        "../../envs/retrieve.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000),
        runtime=1560 if fetched_from("cams") else 120,  # requests queue at the store
        ads_requests=fetched_from("cams"),
    params:
        code=reading_code("cams"),
        pollutant=config["pollutant"],
        settings=source_settings("cams"),
        content=source_content("cams"),
        region=REGION,
        halo=HALO,
        ends_record=lambda wildcards: month_of(wildcards) == CAMS_MONTHS[-1],
    script:
        "../scripts/retrieve_cams.py"


rule retrieve_geoscf:
    """A month of the pollutant near the surface in GEOS-CF, hourly, with the next day's first hour.

    Out: pm25(time, latitude, longitude), ug m-3, 0.25°, hourly means at hh:30 or instants at hh:00; missing hours NaN.
    Gases in nmol mol-1.
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
    retries: 3 * fetched_from("geoscf")
    conda:
        "../../envs/retrieve.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000),
        runtime=1440 if fetched_from("geoscf") else 720,
        nasa_jobs=fetched_from("geoscf"),
    params:
        code=reading_code("geoscf"),
        pollutant=config["pollutant"],
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
    retries: 3 * fetched_from("openaq")
    conda:
        "../../envs/retrieve.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=720,
        openaq_jobs=fetched_from("openaq"),
    params:
        code=reading_code("openaq"),
        pollutant=config["pollutant"],
        settings=source_settings("openaq"),
        content=source_content("openaq"),
        region=REGION,
    script:
        "../scripts/retrieve_openaq.py"


rule retrieve_meteorology:
    """A month of humidity and wind near the ground in GEOS-CF, for station fusion.

    Out: relative_humidity (1) and wind_speed (m s-1), each (time, latitude, longitude), 0.25°, hourly means at hh:30.
    """
    input:
        files=source_files("meteorology"),
    output:
        fields=RAW_METEOROLOGY,
        checksum=sidecar(RAW_METEOROLOGY),
    log:
        f"{RESULTS}/logs/retrieve_meteorology/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/retrieve_meteorology/{{year}}-{{month}}.jsonl"
    retries: 3 * fetched_from("meteorology")
    conda:
        "../../envs/retrieve.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000),
        runtime=1440,
        nasa_jobs=fetched_from("meteorology"),
    params:
        code=reading_code("meteorology"),
        settings=source_settings("meteorology"),
        content=source_content("meteorology"),
        region=REGION,
        halo=HALO,
    script:
        "../scripts/retrieve_meteorology.py"


rule retrieve_weather_stations:
    """A month of weather at stations (NOAA's ISD-lite), for station fusion.

    Out: CSV table: station, place, time (UTC), temperature, dew point, relative humidity, wind.
    """
    input:
        files=source_files("weather_stations"),
    output:
        table=RAW_WEATHER,
        checksum=sidecar(RAW_WEATHER),
    log:
        f"{RESULTS}/logs/retrieve_weather_stations/{{year}}-{{month}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/retrieve_weather_stations/{{year}}-{{month}}.jsonl"
    retries: 3 * fetched_from("weather_stations")
    conda:
        "../../envs/retrieve.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000),
        runtime=720,
        noaa_jobs=fetched_from("weather_stations"),
    params:
        code=reading_code("weather_stations"),
        settings=source_settings("weather_stations"),
        content=source_content("weather_stations"),
        region=REGION,
    script:
        "../scripts/retrieve_weather_stations.py"
