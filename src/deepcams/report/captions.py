"""What the figures of a year's report show, in words, and which of them show anything."""

from deepcams.report.folder import Validation
from deepcams.report.tables import capitalised
from deepcams.report.verdicts import subject
from deepcams.validation.bootstrap import LEVEL

# The table of the validation that a figure is drawn from.
TABLES = {
    "scorecard": "differences", "scatter": "scatter", "taylor": "scores", "target": "stations",
    "exceedances": "exceedances", "series": "series", "diurnal": "diurnal", "stations": "stations",
    "spectra": "spectra", "beat": "beat",
}  # fmt: skip


def has_content(name: str, validation: Validation) -> bool:
    """Whether a figure shows more than that there is nothing to show."""
    if name == "scores":
        return bool(validation.summary.get("truth")) or not validation.scores.empty
    return name not in TABLES or not validation.table(TABLES[name]).empty


def captions(validation: Validation) -> dict[str, str]:
    """Figure → its caption."""
    who, other = subject(validation.names["product"]), validation.names.get("cams")
    beside = {
        "mean": "Mean over the period, on one logarithmic scale, and the difference. Colours beyond the ends of a "
        "scale are cut off.",
        "sequence": f"{other} above, {who} below, hour by hour.",
        "zoom": "The part of the domain with most structure, at an analysis time.",
    }
    alone = {
        "mean": "Mean over the period, on a logarithmic scale. Colours beyond its ends are cut off.",
        "sequence": f"{capitalised(who)}, hour by hour.",
        "zoom": "The part of the domain with most structure.",
    }
    return {
        **(beside if other else alone),
        "scores": "Scores by method; the best of each in bold.",
        "scorecard": f"Where {who} is better and where worse, by group and score; dots mark differences whose interval "
        "excludes zero.",
        "differences": "The configured and further networks against every baseline, over all pairs of the test months, "
        f"with intervals of {100 * LEVEL:.0f} %. Left of zero the network's error is lower.",
        "months": "The same month by month, against each stage's main baseline.",
        "evaluation_temporal_zoom": "In time: the frames before and after, the truth between them, the main baseline "
        "and the configured network, and what both differ by from the truth.",
        "evaluation_spatial_zoom": "In space: the coarse input, the truth, the main baseline and the configured "
        "network, and what both differ by from the truth.",
        "scatter": "Pairs of observation and model, on logarithmic axes, as densities. Dotted: a factor of two.",
        "taylor": "Taylor diagram: correlation, standard deviation and centred error together.",
        "target": "FAIRMODE's target diagram: a station inside the circle meets the quality objective.",
        "exceedances": "Exceedances of health thresholds: what was observed, and what was hit.",
        "series": "Measured and modelled series at two places.",
        "diurnal": "Mean over the stations by local solar time.",
        "stations": "Stations that could be compared. Grey: too few pairs for scores.",
        "spectra": "Power by wavelength, over the fields of the period.",
        "beat": "Variance of fine detail by hour of the day (UTC), relative to the day's mean.",
    }
