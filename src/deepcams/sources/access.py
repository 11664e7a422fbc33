"""Can a configured source be used at all? Asked once, before the first job; never contacts a service."""

import os
from pathlib import Path

_ADS_PAGE = "https://ads.atmosphere.copernicus.eu/profile"


def access_problem(name: str, source: str, path: str | None = None) -> str | None:
    """One sentence that says why `source` of the data set `name` cannot be used and what to do; None if it can.

    name : "cams", "geoscf" or "openaq".  source : as in the configuration.  path : of files that are there already
    (source local), as in the configuration; a pattern for CAMS. None does not look for them.
    """
    if source == "nature_run":
        return None
    if source == "local":
        return _missing_folder(name, path) if path else None
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


def _missing_folder(name: str, path: str) -> str | None:
    folder = Path(path)
    if name == "cams":  # a pattern: the folder reaches as far as no date is in its name
        parts = Path(path).parent.parts
        folder = Path(*parts[: next((index for index, part in enumerate(parts) if "{" in part), len(parts))])
    if folder.is_dir():
        return None
    title = {"cams": "CAMS", "geoscf": "GEOS-CF", "openaq": "OpenAQ"}[name]
    return (
        f"{title} cannot be read: {folder.absolute()} is not a folder. Put the files there, or correct {name}.path in "
        "the configuration."
    )


def _ads_credentials() -> bool:
    if os.environ.get("ADSAPI_KEY") or os.environ.get("CDSAPI_KEY"):
        return True
    return Path(os.environ.get("CDSAPI_RC", "~/.cdsapirc")).expanduser().is_file()
