"""Draw figures and write the report."""

# As deepcams.report.plot.FIGURES names them; a test keeps both equal.
FIGURE_NAMES = (
    "mean",
    "sequence",
    "animation",
    "slider",
    "zoom",
    "scores",
    "scorecard",
    "scatter",
    "taylor",
    "target",
    "exceedances",
    "series",
    "diurnal",
    "stations",
    "spectra",
    "beat",
)

FIGURES = {
    name: f"{RESULTS}/report/figures/{{year}}/{name}"
    + {"animation": ".gif", "slider": ".json"}.get(name, ".png")
    for name in FIGURE_NAMES
}
YEAR_REPORT = f"{RESULTS}/report/{{year}}.html"
DIFFERENCES = f"{RESULTS}/report/figures/{{year}}/differences.png"
MONTHS = f"{RESULTS}/report/figures/{{year}}/months.png"
ZOOM_PICTURE = f"{RESULTS}/report/figures/evaluation_{{stage}}_zoom.png"


rule plot_year:
    """Draw a year's maps, sequences, station figures and scores.

    Out: PNG pictures, an animation (GIF) and the maps of the report's time slider (JSON), concentrations in µg/m³.
    """
    input:
        unpack(snapshot_truth),
        **VALIDATED,
        product=ancient(YEAR_PRODUCT),
        product_checksum=sidecar(YEAR_PRODUCT),
        coarse=lambda wildcards: ancient(middle_month(RAW_CAMS)(wildcards)),
        coarse_checksum=lambda wildcards: sidecar(middle_month(RAW_CAMS)(wildcards)),
    output:
        **{
            name: report(
                path,
                caption=f"../report/{name}.rst",
                category="Year {year}",
                labels={"figure": name},
            )
            for name, path in FIGURES.items()
            if name != "slider"
        },
        slider=FIGURES["slider"],
    log:
        f"{RESULTS}/logs/plot_year/{{year}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_year/{{year}}.jsonl"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=60,
    params:
        code=script_digest("plot_year.py"),
        pollutant=config["pollutant"],
        settings=config["report"],
    script:
        "../scripts/plot_year.py"


rule plot_zoom:
    """Draw what a network makes of a moment or two of the test period, as the paper's figures 3 and 4 do.

    Out: PNG picture, concentrations and errors in µg/m³.
    """
    input:
        zoom=ZOOM,
    output:
        picture=report(
            ZOOM_PICTURE,
            caption="../report/zooms.rst",
            category="Simulation",
            labels={"figure": "{stage} zoom"},
        ),
    log:
        f"{RESULTS}/logs/plot_zoom/{{stage}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_zoom/{{stage}}.jsonl"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000),
        runtime=10,
    params:
        code=script_digest("plot_zoom.py"),
        pollutant=config["pollutant"],
        dpi=config["report"]["dpi"],
    script:
        "../scripts/plot_zoom.py"


rule write_year_report:
    """Write a year's report: one HTML file that needs nothing else.

    Out: what was made and how, maps, scores (µg/m³), the networks' differences from the baselines (%), training,
    checks, provenance; figures of the differences and of the training.
    """
    input:
        unpack(fusion_of_year),
        **VALIDATED,
        figures=[path for name, path in FIGURES.items() if name != "slider"],
        slider=FIGURES["slider"],
        zooms=collect(ZOOM_PICTURE, stage=STAGES),
        evaluation=[EVALUATION_FILES[f"{stage}_csv"] for stage in EVALUATION_STAGES],
        days=[EVALUATION_FILES[f"{stage}_days"] for stage in EVALUATION_STAGES],
        skill=EVALUATION_SKILL,
        curves=training_curves(),
    output:
        page=report(
            YEAR_REPORT,
            caption="../report/years.rst",
            category="Report",
            labels={"page": "{year}"},
        ),
        differences=report(
            DIFFERENCES,
            caption="../report/differences.rst",
            category="Year {year}",
            labels={"figure": "differences"},
        ),
        months=report(
            MONTHS,
            caption="../report/months.rst",
            category="Year {year}",
            labels={"figure": "months"},
        ),
        curves=training_pictures(),
    log:
        f"{RESULTS}/logs/write_year_report/{{year}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_year_report/{{year}}.jsonl"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000),
        runtime=10,
    params:
        code=script_digest("write_year_report.py"),
        pollutant=config["pollutant"],
        dpi=config["report"]["dpi"],
        details={
            "region": REGION or "global",
            "networks": {
                stage: settings_of(stage, network)
                for stage, network in configured(*STAGES)
            },
            "closure": closure(),
            "degradation of training input": config["degradation"],
            "encoding": config["encoding"],
            "station values used": config["validation"],
        },
    script:
        "../scripts/write_year_report.py"


rule write_report:
    """Write the page of all years, which links to each year's report.

    Out: one HTML file with a row of scores (µg/m³) a year; the table of these; the years' density scatters; the bill of
    the software that made them (CycloneDX).
    """
    input:
        tables=collect(VALIDATED["tables"], year=PRODUCT_YEARS),
        means=ancient(collect(f"{VALIDATION}/means.npz", year=PRODUCT_YEARS)),
        means_checksums=collect(sidecar(f"{VALIDATION}/means.npz"), year=PRODUCT_YEARS),
        pages=collect(YEAR_REPORT, year=PRODUCT_YEARS),
    output:
        record=f"{RESULTS}/validation/years.csv",
        scatter=report(
            f"{RESULTS}/report/figures/years.png",
            caption="../report/scatter.rst",
            category="Report",
            labels={"page": "density of pairs"},
        ),
        page=report(
            f"{RESULTS}/report/index.html",
            caption="../report/years.rst",
            category="Report",
            labels={"page": "all years"},
        ),
        software=f"{RESULTS}/report/software.cdx.json",
    log:
        f"{RESULTS}/logs/write_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_report.jsonl"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=rising(1000),
        runtime=10,
    params:
        code=script_digest("write_report.py"),
        pollutant=config["pollutant"],
        dpi=config["report"]["dpi"],
    script:
        "../scripts/write_report.py"
