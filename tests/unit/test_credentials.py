"""Where keys are found, in which order, and that they stay hidden."""

import pytest

from deepcams.credentials import ADS_URL, ads_account, earthdata_token, hide, openaq_key

NAMES = ("ADSAPI_KEY", "ADSAPI_URL", "CDSAPI_KEY", "CDSAPI_URL", "CDSAPI_RC", "OPENAQ_API_KEY", "EARTHDATA_TOKEN")


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """An environment without keys, and an empty home."""
    for name in (*NAMES, "ECMWF_DATASTORES_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_nothing_is_found_where_nothing_is():
    assert ads_account() is None and openaq_key() is None and earthdata_token() is None


def test_the_order_is_adsapi_cdsapi_file(monkeypatch, home):
    (home / ".cdsapirc").write_text("url: https://ads.example/api\nkey: from-the-file\n")
    account = ads_account()
    assert (account.url, account.key) == ("https://ads.example/api", "from-the-file")
    assert account.found_in == str(home / ".cdsapirc")
    monkeypatch.setenv("CDSAPI_KEY", "from-cdsapi")
    assert (ads_account().url, ads_account().key) == (ADS_URL, "from-cdsapi")
    monkeypatch.setenv("ADSAPI_URL", "https://other.example/api")
    monkeypatch.setenv("ADSAPI_KEY", " from-adsapi\n")
    assert (ads_account().url, ads_account().key) == ("https://other.example/api", "from-adsapi")
    assert ads_account().found_in == "the environment variable ADSAPI_KEY"
    assert ads_account("https://configured.example/api").url == "https://configured.example/api"


def test_the_file_of_the_climate_store_gives_its_key_and_not_its_address(monkeypatch, tmp_path):
    path = tmp_path / "rc"
    path.write_text("# mine\nurl : https://cds.climate.copernicus.eu/api\nkey:a-token-of-both\nverify: 1\n")
    monkeypatch.setenv("CDSAPI_RC", str(path))
    assert (ads_account().url, ads_account().key) == (ADS_URL, "a-token-of-both")


def test_the_climate_stores_address_in_the_environment_is_not_taken_either(monkeypatch):
    monkeypatch.setenv("CDSAPI_KEY", "a-token-of-both")
    monkeypatch.setenv("CDSAPI_URL", "https://cds.climate.copernicus.eu/api")
    assert (ads_account().url, ads_account().key) == (ADS_URL, "a-token-of-both")
    monkeypatch.setenv("CDSAPI_URL", "https://ads.example/api")
    assert ads_account().url == "https://ads.example/api"


@pytest.mark.parametrize("content", [b"", b"url: https://ads.example/api\n", b"key:\n", b"\xff\xfe\x00"])
def test_a_file_without_a_key_is_none(home, content):
    (home / ".cdsapirc").write_bytes(content)
    assert ads_account() is None


def test_keys_are_hidden_wherever_they_were_found(monkeypatch, home):
    (home / ".cdsapirc").write_text("url: https://ads.example/api\nkey: key-of-the-file\n")
    keys = dict(zip(("ADSAPI_KEY", "CDSAPI_KEY", "OPENAQ_API_KEY", "EARTHDATA_TOKEN"), "abcd", strict=True))
    for name, letter in keys.items():
        monkeypatch.setenv(name, letter * 9)
    text = hide("key-of-the-file aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd words")
    assert text == "<hidden> <hidden> <hidden> <hidden> <hidden> words"
    assert "aaaaaaaaa" not in repr(ads_account())


def test_of_two_keys_one_within_the_other_nothing_is_left(monkeypatch):
    monkeypatch.setenv("ADSAPI_KEY", "abcdefgh")
    monkeypatch.setenv("CDSAPI_KEY", "abcdefgh-and-more")
    assert hide("abcdefgh-and-more") == "<hidden>"


def test_short_texts_are_no_keys(monkeypatch):
    monkeypatch.setenv("ADSAPI_KEY", "key")
    assert hide("the key is missing") == "the key is missing"
