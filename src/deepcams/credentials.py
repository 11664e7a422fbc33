"""Keys and tokens: where they are looked for, and how they are kept out of everything that is written.

They come from the environment or from ~/.cdsapirc, and go nowhere but into the headers of requests.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

ADS_URL = "https://ads.atmosphere.copernicus.eu/api"
ADS_PAGE = "https://ads.atmosphere.copernicus.eu/profile"
OPENAQ_KEY = "OPENAQ_API_KEY"
EARTHDATA_TOKEN = "EARTHDATA_TOKEN"
_VARIABLES = ("ADSAPI_KEY", "CDSAPI_KEY", "ECMWF_DATASTORES_KEY", OPENAQ_KEY, EARTHDATA_TOKEN)
_SHORTEST = 6  # characters; hiding a shorter text would hide words of prose
HIDDEN = "<hidden>"


@dataclass(frozen=True)
class AdsAccount:
    """Address and key for the Atmosphere Data Store, and where they were found; the key is not shown."""

    url: str
    key: str = field(repr=False)
    found_in: str


def ads_account(url: str | None = None) -> AdsAccount | None:
    """The first account that is complete: ADSAPI_KEY (and _URL), CDSAPI_KEY (and _URL), then the file ~/.cdsapirc.

    url : as configured; it goes before any found with a key. The file (or the one CDSAPI_RC names) has lines
    "name: value". An address of the climate store, as found there and in CDSAPI_URL as a rule, is not taken: the same
    token serves both stores, and one file can name only one of them. Returns None if there is no key anywhere.
    """
    for prefix in ("ADSAPI", "CDSAPI"):
        key = os.environ.get(f"{prefix}_KEY", "").strip()
        if key:
            found = os.environ.get(f"{prefix}_URL", "").strip()
            return AdsAccount(url or _ads_address(found), key, f"the environment variable {prefix}_KEY")
    path = _rc_path()
    values = _rc_values(path)
    if not values.get("key"):
        return None
    return AdsAccount(url or _ads_address(values.get("url", "")), values["key"], str(path))


def _ads_address(found: str) -> str:
    return found if found and "cds.climate" not in found else ADS_URL


def openaq_key() -> str | None:
    """The key for OpenAQ's API, from the environment."""
    return os.environ.get(OPENAQ_KEY, "").strip() or None


def earthdata_token() -> str | None:
    """A bearer token of NASA Earthdata, from the environment; the portal works without one as a rule."""
    return os.environ.get(EARTHDATA_TOKEN, "").strip() or None


def hide(text: str) -> str:
    """`text` without any key or token that is known to this process."""
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    return text


def _secrets() -> list[str]:
    values = [os.environ.get(name, "").strip() for name in _VARIABLES] + [_rc_values(_rc_path()).get("key", "")]
    return sorted({value for value in values if len(value) >= _SHORTEST}, key=len, reverse=True)


def _rc_path() -> Path:
    return Path(os.environ.get("CDSAPI_RC", "~/.cdsapirc")).expanduser()


def _rc_values(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
