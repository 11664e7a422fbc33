"""What a report shows: the pollutant and its unit, in words for figures and pages.

A process makes one report, of one pollutant, so it is said once, by `show`, and not handed through every figure.
"""

from deepcams.pollutants import PM25, POLLUTANTS

_shown = PM25


def show(name: str) -> None:
    """Make everything that follows in this process a report on the pollutant `name`."""
    global _shown
    _shown = POLLUTANTS[name]


def label() -> str:
    """The pollutant: PM2.5."""
    return _shown.label


def unit() -> str:
    """Its unit in figures: µg m⁻³."""
    return _shown.units_label


def text_unit() -> str:
    """Its unit in prose and tables: µg/m³."""
    return "nmol/mol" if _shown.is_gas else "µg/m³"


def lowest() -> float:
    """Where its colour scales begin at the lowest: 0.1 µg m⁻³."""
    return 10 * _shown.lowest


def is_of_paper() -> bool:
    """Whether Xiao et al. (2022) printed scores of it."""
    return _shown is PM25
