"""The pollutants that can be downscaled: what the product and each of the services call them, and in which units.

Particulate matter is a mass concentration (ug m-3); gases are mole fractions (nmol mol-1, that is ppb by volume), which
both models deliver and which need neither temperature nor pressure.

Sources: ECMWF parameter database (paramIds 210073, 210074, 210121, 210122, 210123, 210203; model level 60 is EAC4's
lowest); GMAO Office Note 17 (GEOS-CF v1; aqc_tavg_1hr has no PM10), GMAO's pages on v2;
OpenAQ API v3, /v3/parameters.
"""

from dataclasses import dataclass, field, replace

AIR = 28.9644  # g mol-1, dry air (U.S. Standard Atmosphere 1976)
# Of a gas at 20 °C and 101.3 kPa, at which the European Union has gases reported (Directive 2008/50/EC, annex VI C).
MOLAR_VOLUME = 24.055  # L mol-1


# What health guidelines and alerts name, by the means it is for, in ug m-3. Daily: guideline level and interim targets
# of 24 h in the World Health Organization's Global Air Quality Guidelines (2021), Table 0.1; it judges ozone by 8 h.
# Hourly, particulate matter: the last concentrations below "unhealthy for sensitive groups", "unhealthy", "very
# unhealthy" and "hazardous" in the Air Quality Index of the United States (40 CFR 58, appendix G, as of 2024), made for
# 24 h but shown by the hour. Hourly, gases: limit values and information and alert thresholds of Directive 2008/50/EC
# (annexes XI and XII), for carbon monoxide Table 0.2 of the Guidelines.
THRESHOLDS = {
    "pm25": {"hourly": (35.4, 55.4, 125.4, 225.4), "daily": (15.0, 25.0, 37.5, 50.0, 75.0)},
    "pm10": {"hourly": (154.0, 254.0, 354.0, 424.0), "daily": (45.0, 50.0, 75.0, 100.0, 150.0)},
    "o3": {"hourly": (180.0, 240.0), "daily": ()},
    "no2": {"hourly": (200.0, 400.0), "daily": (25.0, 50.0, 120.0)},
    "co": {"hourly": (35_000.0,), "daily": (4000.0, 7000.0)},
    "so2": {"hourly": (350.0, 500.0), "daily": (40.0, 50.0, 125.0)},
}


@dataclass(frozen=True)
class Fairmode:
    """The uncertainty of a measurement as FAIRMODE models it, and how many times that a model may err.

    relative_uncertainty : at the reference value (U).  reference_value : RV.  alpha : the share of that uncertainty
    that does not grow with the value.  beta : the tolerance.
    """

    relative_uncertainty: float
    reference_value: float
    alpha: float
    beta: float = 2.0


# ug m-3; Janssen and Thunis (2022), Guidance Document on Modelling Quality Objectives and Benchmarking, v3.3. Made for
# daily means of particulate matter, the day's highest 8 h mean of ozone and hourly means of nitrogen dioxide.
FAIRMODE = {
    "pm25": Fairmode(0.36, 25.0, 0.5),
    "pm10": Fairmode(0.28, 50.0, 0.25),
    "o3": Fairmode(0.18, 120.0, 0.79),
    "no2": Fairmode(0.24, 200.0, 0.2),
}


@dataclass(frozen=True)
class Pollutant:
    """One pollutant.

    name : in the configuration, in file names and as the product's variable.  label : in figures and prose.
    units : of the product (UDUNITS), `units_label` in figures.  molar_mass : g mol-1; None for particulate matter.
    request : what the Atmosphere Data Store is asked for.  cams, geoscf_v1, geoscf_v2 : spellings of the variable in
    files; none where a collection does not carry it.  openaq_ids : parameters of the API, in all their units.
    lowest, highest : between these a field's median lies, or its units are wrong; ceiling : the largest measurement
    that is believed (validation.maximum where that is null); all in the product's units.  height : m above the ground.
    """

    name: str
    label: str
    long_name: str
    standard_name: str
    units: str
    units_label: str
    request: dict[str, list[str]] = field(hash=False)
    cams: tuple[str, ...]
    geoscf_v1: tuple[str, ...]
    geoscf_v2: tuple[str, ...]
    openaq_ids: tuple[int, ...]
    lowest: float
    highest: float
    ceiling: float = 2000.0
    height: float = 0.0  # CAMS delivers particulate matter as a field of the surface, not of a level above it
    molar_mass: float | None = None

    @property
    def is_gas(self) -> bool:
        """Whether it is a mole fraction."""
        return self.molar_mass is not None

    @property
    def thresholds(self) -> dict[str, tuple[float, ...]]:
        """`THRESHOLDS` of "hourly" and of "daily" means, rising, in the product's units; () where there are none."""
        return {
            key: tuple(value * self._from_mass for value in values) for key, values in THRESHOLDS[self.name].items()
        }

    @property
    def fairmode(self) -> Fairmode | None:
        """FAIRMODE's parameters, in the product's units; None where there are none."""
        found = FAIRMODE.get(self.name)
        return found and replace(found, reference_value=found.reference_value * self._from_mass)

    @property
    def _from_mass(self) -> float:
        """The product's units in one ug m-3."""
        return MOLAR_VOLUME / self.molar_mass if self.is_gas else 1.0


def _particles(name: str, label: str, size: str, **names) -> Pollutant:
    return Pollutant(
        name,
        label,
        long_name=f"particulate matter with diameter below {size} um near the surface",
        standard_name=f"mass_concentration_of_{name.replace('25', '2p5')}_ambient_aerosol_particles_in_air",
        units="ug m-3",
        units_label="µg m⁻³",
        request={"variable": [f"particulate_matter_{size}um"]},
        lowest=0.01,
        highest=1000.0,
        **names,
    )


def _gas(
    name: str, label: str, words: str, mass: float, short: str, lowest: float, highest: float, ceiling: float, ids
) -> Pollutant:
    upper = name.upper()
    return Pollutant(
        name,
        label,
        long_name=f"{words} near the surface",
        standard_name=f"mole_fraction_of_{words.replace(' ', '_').replace('sulphur', 'sulfur')}_in_air",
        units="nmol mol-1",
        units_label="nmol mol⁻¹",
        request={"variable": [words.replace(" ", "_")], "model_level": ["60"]},
        cams=(short, name) if short != name else (name,),
        geoscf_v1=(upper, name),
        geoscf_v2=(upper, name),
        openaq_ids=ids,
        lowest=lowest,
        highest=highest,
        ceiling=ceiling,
        height=10.0,  # the middle of the lowest level of EAC4
        molar_mass=mass,
    )


POLLUTANTS = {
    item.name: item
    for item in (
        # The median over the cells that hold anything at all lies near 5 µg m-3 in both reanalyses (EAC4 on
        # 2020-01-01: 4.7; GEOS-CF, western hemisphere: 1.9); wrong units are off by 10^3 or 10^9.
        _particles(
            "pm25",
            "PM2.5",
            "2.5",
            cams=("pm2p5", "PM2P5"),
            geoscf_v1=("PM25_RH35_GCC", "pm25_rh35_gcc"),
            geoscf_v2=("PM25_RH35", "pm25_rh35"),
            openaq_ids=(2,),
        ),
        _particles(
            "pm10",
            "PM10",
            "10",
            cams=("pm10", "PM10"),
            geoscf_v1=(),
            geoscf_v2=("PM10_RH35", "pm10_rh35"),
            openaq_ids=(1,),
        ),
        _gas("o3", "O₃", "ozone", 47.9982, "go3", 0.1, 500.0, 600.0, (3, 10, 32)),
        _gas("no2", "NO₂", "nitrogen dioxide", 46.0055, "no2", 1e-6, 200.0, 1000.0, (5, 7, 15)),
        _gas("co", "CO", "carbon monoxide", 28.0101, "co", 1.0, 20_000.0, 50_000.0, (4, 8, 102)),
        _gas("so2", "SO₂", "sulphur dioxide", 64.0638, "so2", 1e-6, 500.0, 5000.0, (6, 9, 101)),
    )
}
PM25 = POLLUTANTS["pm25"]


def station_factor(units: str, pollutant: Pollutant) -> float | None:
    """What a station's values in `units` are multiplied with to be in the product's; None for units that are not known.

    Mass concentrations of gases are taken to be at 20 °C and 101.3 kPa (`MOLAR_VOLUME`).
    """
    spelling = " ".join(units.strip().lower().replace("µ", "u").replace("μ", "u").replace("³", "3").split())
    spelling = spelling.replace("**", "^").replace(" m^-3", "/m3").replace(" m-3", "/m3").replace("m^3", "m3")
    mass = {"ug/m3": 1.0, "mg/m3": 1e3}.get(spelling)
    if not pollutant.is_gas:
        return mass if mass == 1.0 else None
    if mass is not None:
        return mass * MOLAR_VOLUME / pollutant.molar_mass
    return {"ppb": 1.0, "ppm": 1e3, "nmol mol-1": 1.0, "umol mol-1": 1e3}.get(spelling)
