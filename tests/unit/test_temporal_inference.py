"""Hours and months between analyses, by a network that learns."""

import numpy as np
import torch
import xarray as xr

from deepcams.calendar import Month
from deepcams.files.netcdf import Encoding, read_field, write_field
from deepcams.grid.nodes import Grid, Region, coarse_grid
from deepcams.inference.month import downscale_temporal
from deepcams.inference.temporal import hourly_fields
from deepcams.models.catalogue import make
from deepcams.models.checkpoint import load, save
from deepcams.models.frames import TemporalFrames

SMALL = Grid(90 - 9.0 * np.arange(21), -180 + 9.0 * np.arange(40), 9.0)  # a globe
THIRDS = (1 / 3, 2 / 3)


def plumes(grid, frames):
    fields = np.random.default_rng(0).gamma(1, 15, (frames, *grid.shape)).astype(np.float32)
    fields[:, [0, -1]] = 10
    return fields


def roused(settings):
    """A network with random weights, also where it starts from zero."""
    torch.manual_seed(0)
    module = make("temporal", "flow_residual", settings)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.1 * torch.randn(tensor.shape))
    return module


def test_hours_between_analyses_come_from_the_network_and_analyses_pass_unchanged():
    grid = SMALL
    network = TemporalFrames(roused({"features": 4}))
    frames = plumes(grid, 3)
    times = np.datetime64("2019-06-21T21:00", "s") + np.arange(3) * np.timedelta64(3, "h")
    hours = times[0] + np.arange(9) * np.timedelta64(1, "h")
    found = np.stack(list(hourly_fields(frames, times, hours, network, grid)))
    np.testing.assert_array_equal(found[[0, 3, 6]], frames)
    assert np.isnan(found[7:]).all()
    for k in range(2):
        expected = network.between(frames[k], frames[k + 1], THIRDS, grid, times[k])
        np.testing.assert_array_equal(found[3 * k + 1 : 3 * k + 3], expected)
        moved = network.between(frames[k], frames[k + 1], THIRDS, grid, times[k] + np.timedelta64(3, "h"))
        assert np.abs(moved - expected).max() > 0.1


def test_a_month_is_downscaled_in_time_by_a_network_that_learns(tmp_path):
    settings = {"network": "flow_residual", "features": 4, "recipe": "corrected"}
    weights = {name: tensor.detach().numpy() for name, tensor in roused(settings).state_dict().items()}
    save(tmp_path / "model", "temporal", "flow_residual", settings=settings, weights=weights, provenance={})
    month, grid = Month(2018, 2), coarse_grid(Region(30.0, 0.0, 24.0, 6.0))
    times = month.analyses()
    field = xr.DataArray(
        plumes(grid, len(times)),
        coords={"time": times, "latitude": grid.latitude, "longitude": grid.longitude},
        dims=("time", "latitude", "longitude"),
        name="pm25",
        attrs={"units": "ug m-3", "cell_methods": "time: point"},
    )
    write_field(tmp_path / "raw.nc", field, Encoding())
    downscale_temporal(tmp_path / "raw.nc", tmp_path / "model", month, tmp_path / "hourly.nc", ends_record=False)
    found, analyses = read_field(tmp_path / "hourly.nc").values, read_field(tmp_path / "raw.nc").values
    np.testing.assert_array_equal(found[::3], analyses[:-1])
    network = load(tmp_path / "model", "temporal")
    for k in (0, 100, len(times) - 2):
        expected = network.between(analyses[k], analyses[k + 1], THIRDS, grid, times[k])
        np.testing.assert_array_equal(found[3 * k + 1 : 3 * k + 3], expected)
