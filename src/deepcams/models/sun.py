"""The sun above a node: what the hours between two analyses follow that the analyses themselves do not show.

Emissions, mixing and chemistry follow the day. Two frames 3 hours apart say how much changed; the sun says when.
"""

import numpy as np

CHANNELS = 3


def sun(time: np.datetime64, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Cosine and sine of the local hour angle and cosine of the solar zenith angle: (3, H, W) float32.

    time : an instant, UTC.   latitude : (H,), longitude : (W,) degrees.
    Mean solar time, without the equation of time (at most 16 minutes); declination by Spencer (1971).
    """
    day = time.astype("datetime64[D]")
    hours = (time - day) / np.timedelta64(3600, "s")
    angle = np.deg2rad(15.0 * (hours - 12.0) + np.asarray(longitude))  # 0 at noon
    day_of_year = int((day - day.astype("datetime64[Y]")) / np.timedelta64(1, "D"))
    tilt = _declination(day_of_year + hours / 24)
    phi = np.deg2rad(np.asarray(latitude))[:, None]
    zenith = np.sin(phi) * np.sin(tilt) + np.cos(phi) * np.cos(tilt) * np.cos(angle)
    shape = zenith.shape
    return np.stack([np.broadcast_to(np.cos(angle), shape), np.broadcast_to(np.sin(angle), shape), zenith]).astype(
        np.float32
    )


def _declination(day: float) -> float:
    """Solar declination, radians; `day` from 0 at the beginning of the year."""
    gamma = 2 * np.pi * day / 365.25
    terms = ((-0.399912, 0.070257), (-0.006758, 0.000907), (-0.002697, 0.00148))
    return 0.006918 + sum(
        cosine * np.cos(order * gamma) + sine * np.sin(order * gamma) for order, (cosine, sine) in enumerate(terms, 1)
    )
