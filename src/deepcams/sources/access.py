"""Can a configured source be used at all? Asked once, before the first job; never contacts a service."""

import os
from pathlib import Path

_ADS_PAGE = "https://ads.atmosphere.copernicus.eu/profile"


def access_problem(name: str, source: str) -> str | None:
    """One sentence that says why `source` of the data set `name` cannot be used and what to do; None if it can.

    name : "cams", "geoscf" or "openaq".  source : as in the configuration.
    """
    if source in ("local", "nature_run"):
        return None
    local = f"Put the files on this disk and set {name}.source: local and {name}.path in the configuration"
    if source == "ads":
        if not _ads_credentials():
            return (
                "CAMS cannot be retrieved: no credentials for the Atmosphere Data Store were found. Copy your personal "
                f"access token from {_ADS_PAGE} into the environment variable ADSAPI_KEY or into ~/.cdsapirc. {local} "
                "to run without the service."
            )
        return f"CAMS cannot be retrieved: this version does not fetch from the Atmosphere Data Store yet. {local}."
    service = {"geoscf": "NASA's GEOS-CF portal", "openaq": "the OpenAQ archive"}[name]
    title = {"geoscf": "GEOS-CF", "openaq": "OpenAQ"}[name]
    return f"{title} cannot be retrieved: this version does not fetch from {service} yet. {local}."


def _ads_credentials() -> bool:
    if os.environ.get("ADSAPI_KEY") or os.environ.get("CDSAPI_KEY"):
        return True
    return Path(os.environ.get("CDSAPI_RC", "~/.cdsapirc")).expanduser().is_file()
