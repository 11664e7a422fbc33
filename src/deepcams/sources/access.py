"""Can a configured source be used at all? Asked once, before the first job; never contacts a service."""

from pathlib import Path

from deepcams.credentials import ADS_PAGE, OPENAQ_KEY, ads_account, openaq_key

_TITLES = {
    "cams": "CAMS",
    "geoscf": "GEOS-CF",
    "openaq": "OpenAQ",
    "meteorology": "The meteorology of GEOS-CF",
    "weather_stations": "ISD-lite",
}


def access_problem(name: str, source: str, path: str | None = None, *, graded: bool = False) -> str | None:
    """One sentence that says why `source` of the data set `name` cannot be used and what to do; None if it can.

    name : "cams", "geoscf", "openaq", "meteorology" or "weather_stations".  source : as in the configuration.
    path : of files that are there already (source local), as in the configuration; a pattern for CAMS. None does not
    look for them.  graded : whether only stations known to be of reference grade will be used. `deepcams doctor` asks
    the services themselves.
    """
    if source == "local":
        return _missing_folder(name, path) if path else None
    if source == "ads" and ads_account() is None:
        return (
            "CAMS cannot be retrieved: no credentials for the Atmosphere Data Store were found. Copy your personal "
            f"access token from {ADS_PAGE} into the environment variable ADSAPI_KEY or into ~/.cdsapirc. Put the files "
            "on this disk and set cams.source: local and cams.path in the configuration to run without the service."
        )
    if source == "archive" and graded and openaq_key() is None:
        return (
            "OpenAQ's archive does not say which stations are of reference grade, and validation.reference_grade_only "
            f"wants no others. Put a key of its API into the environment variable {OPENAQ_KEY}, or set it to false."
        )
    return None


def _missing_folder(name: str, path: str) -> str | None:
    folder = Path(path)
    if name == "cams":  # a pattern: the folder reaches as far as no date is in its name
        parts = Path(path).parent.parts
        folder = Path(*parts[: next((index for index, part in enumerate(parts) if "{" in part), len(parts))])
    if folder.is_dir():
        return None
    return (
        f"{_TITLES[name]} cannot be read: {folder.absolute()} is not a folder. Put the files there, or correct "
        f"{name}.path in the configuration."
    )
