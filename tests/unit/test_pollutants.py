"""What pollutants are called and how their units are converted, against published factors and UDUNITS."""

import cf_units
import numpy as np
import pandas as pd
import pytest

from deepcams.grid.nodes import coarse_grid, refine
from deepcams.pollutants import PM25, POLLUTANTS, station_factor
from deepcams.product.attributes import KEYWORDS, Provenance, global_attributes, small_variables, variable_attributes
from deepcams.product.months import Product
from deepcams.sources.checks import unit_factor
from deepcams.validation.counts import total
from deepcams.validation.quality import COLUMNS, QualitySettings, control_quality

PROVENANCE = Provenance({}, {}, "-")
GASES = [item for item in POLLUTANTS.values() if item.is_gas]


@pytest.mark.parametrize(
    ("name", "factor"),
    # 1 ppb in µg/m³ at 20 °C and 1013 mbar, as Defra prints it for reporting under Directive 2008/50/EC
    [("o3", 1.9957), ("no2", 1.9125), ("co", 1.1642), ("so2", 2.6609)],
)
def test_a_station_in_micrograms_is_converted_as_the_european_union_does(name, factor):
    assert station_factor("µg/m³", POLLUTANTS[name]) == pytest.approx(1 / factor, rel=2e-3)


def test_stations_in_parts_are_converted_to_parts_per_billion():
    for gas in GASES:
        assert station_factor("ppm", gas) == 1000.0
        assert station_factor("ppb", gas) == 1.0


def test_particulate_matter_is_never_in_parts():
    assert station_factor("ppm", PM25) is None
    assert {station_factor(text, PM25) for text in ("µg/m³", "μg/m³", "ug/m3", "ug m-3", "µg/m**3")} == {1.0}


@pytest.mark.parametrize("gas", GASES, ids=lambda gas: gas.name)
def test_model_units_become_mole_fractions(gas):
    assert unit_factor("mol mol-1", "there", gas) == pytest.approx(
        cf_units.Unit("mol mol-1").convert(1.0, gas.units), rel=1e-12
    )
    # A kilogram of the gas in a kilogram of air: moles of gas over moles of air.
    moles = (1000 / gas.molar_mass) / (1000 / 28.9644)
    assert unit_factor("kg kg**-1", "there", gas) == pytest.approx(moles * 1e9, rel=1e-12)


@pytest.mark.parametrize("pollutant", POLLUTANTS.values(), ids=lambda item: item.name)
def test_the_product_says_what_it_holds(pollutant):
    cf_units.Unit(pollutant.units)
    grid = refine(coarse_grid())
    times = np.arange("2018-01-01T00", "2018-01-01T03", dtype="datetime64[h]").astype("datetime64[s]")
    everywhere = global_attributes(times, grid, PROVENANCE, pollutant=pollutant)
    field = variable_attributes(pollutant)
    assert everywhere["id"].startswith(f"deepcams_{pollutant.name}_hourly_")
    assert everywhere["keywords"] == KEYWORDS[pollutant.name]
    assert field["units"] == pollutant.units
    assert all(str(text).isascii() for text in (*everywhere.values(), *field.values()))
    words = f"{everywhere['title']} {everywhere['summary']} {field['long_name']}"
    assert ("PM2.5" in words) == (pollutant is PM25)
    assert Product(grid, (times[0], times[-1]), PROVENANCE, pollutant=pollutant).pollutant is pollutant
    height = next(
        item for item in small_variables(times, grid, (times[0], times[-1]), pollutant) if item.name == "height"
    )
    assert float(height.values) == (10.0 if pollutant.is_gas else 0.0)


def test_quality_control_gives_gases_in_the_units_of_the_product():
    row = dict.fromkeys(COLUMNS, "x") | {
        "latitude": 10.0, "longitude": 20.0, "averaging_hours": 1.0, "reference_grade": True,
    }  # fmt: skip
    values = [("ppm", 0.04), ("µg/m³", 80.0), ("ppb", 40.0), ("ppm", 0.9), ("mg/m³", 0.08), ("%", 3.0), ("ppm", -999.0)]
    table = pd.DataFrame(
        [
            row | {"station": str(k), "latitude": 10.0 + k, "time": "2018-01-01T01:00:00Z", "units": u, "value": v}
            for k, (u, v) in enumerate(values)
        ]
    )
    kept, counts = control_quality(table, QualitySettings(pollutant=POLLUTANTS["o3"]))
    np.testing.assert_allclose(kept["value"], [40.0, 80 / 1.9957, 40.0, 80 / 1.9957], rtol=2e-3)
    counts = total(counts)
    assert (counts["units not known"], counts["above the maximum"], counts["code for missing data"]) == (1, 1, 1)
