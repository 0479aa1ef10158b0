"""Settings: defaults for one machine, every problem at once, no secret shown."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.statement import public_key_pem
from muniment.server.setting_values import duration, names, number, size_bytes, switch
from muniment.server.settings import BadSettings, Settings
from tests.support.keys import MemoryKeys


def read(**variables: str) -> Settings:
    return Settings.from_env(
        {f"MUNIMENT_{name.upper()}": value for name, value in variables.items()}
    )


def problems(**variables: str) -> dict[str, str]:
    with pytest.raises(BadSettings) as raised:
        read(**variables)
    return {one["field"]: one["message"] for one in raised.value.problems}


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.from_env({"HOME": "/home/ada"})
    assert settings.data_dir == Path("/home/ada/.local/share/muniment")
    assert settings.database_url is None
    assert settings.blob_url is None
    assert settings.host == "127.0.0.1"
    assert settings.log_public is False
    assert settings.part_bytes == 64 * 1024 * 1024


def test_the_data_directory_follows_xdg_then_home_then_the_variable() -> None:
    environ = {"HOME": "/home/ada", "XDG_DATA_HOME": "/data"}
    assert Settings.from_env(environ).data_dir == Path("/data/muniment")
    environ["MUNIMENT_DATA_DIR"] = "~/registry"
    assert Settings.from_env(environ).data_dir == Path("~/registry").expanduser()


def test_every_kind_of_value_is_read() -> None:
    settings = read(
        data_dir="/srv/muniment",
        database_url="postgresql://u:p@db/muniment",
        database_connections="25",
        port="0",
        public_url="https://models.example.com",
        origin="models.example.com",
        log_public="yes",
        blob_url="s3://models/registry",
        blob_endpoint="http://localhost:8333",
        blob_allow_http="true",
        blob_access_key="key",
        blob_secret_key="secret",
        upload_ttl="36h",
        part_bytes="8 MiB",
        max_file_bytes="10GB",
    )
    assert settings.database_connections == 25
    assert settings.port == 0
    assert settings.log_public is True
    assert settings.upload_ttl == dt.timedelta(hours=36)
    assert settings.part_bytes == 8 * 1024 * 1024
    assert settings.max_file_bytes == 10 * 10**9


def test_what_the_command_line_gave_wins_and_what_it_did_not_give_does_not() -> None:
    environ = {"MUNIMENT_DATA_DIR": "/d", "MUNIMENT_PORT": "9000", "MUNIMENT_HOST": "example.com"}
    settings = Settings.from_env(environ, port=9001, host=None)
    assert (settings.port, settings.host) == (9001, "example.com")


def test_secrets_are_not_in_repr_nor_in_problems() -> None:
    settings = read(
        database_url="postgresql://u:hush@db/m",
        bootstrap_token="hush-token",
        blob_access_key="k",
        blob_secret_key="hush-key",
    )
    assert "hush" not in repr(settings)
    with pytest.raises(BadSettings) as raised:
        read(database_url="mysql://u:hush@db/m", blob_secret_key="hush")
    assert "hush" not in str(raised.value)
    assert "hush" not in repr(raised.value.problems)


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        read().port = 1  # type: ignore[misc]


def test_all_unreadable_values_are_reported_at_once() -> None:
    found = problems(
        port="eighty", log_public="maybe", upload_ttl="soon", part_bytes="-1", host=" "
    )
    assert set(found) == {
        "MUNIMENT_PORT",
        "MUNIMENT_LOG_PUBLIC",
        "MUNIMENT_UPLOAD_TTL",
        "MUNIMENT_PART_BYTES",
        "MUNIMENT_HOST",
    }
    assert found["MUNIMENT_PORT"] == "expected a whole number, found 'eighty'"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "sqlite:///x"),
        ("database_connections", "0"),
        ("port", "65536"),
        ("public_url", "models.example.com"),
        ("public_url", "https://"),
        ("origin", "https://example.com"),
        ("origin", "Example.com"),
        ("origin", "a..b"),
        ("origin", "-a.example"),
        ("origin", "a" * 254),
        ("blob_url", "/srv/blobs"),
        ("blob_url", "s3://"),
        ("blob_url", "s3://No_Bucket"),
        ("blob_endpoint", "localhost:8333"),
        ("blob_endpoint", "http://localhost:8333"),
        ("part_bytes", "6GiB"),
        ("max_file_bytes", "1TiB"),
        ("max_file_bytes", "0"),
        ("upload_ttl", "59s"),
        ("max_body_bytes", "1KiB"),
        ("login_ttl", "13h"),
        ("login_ttl", "4m"),
    ],
)
def test_a_value_out_of_range_is_refused_with_a_fix(name: str, value: str) -> None:
    with pytest.raises(BadSettings) as raised:
        read(**{name: value})
    (problem,) = raised.value.problems
    assert problem["field"] == f"MUNIMENT_{name.upper()}"
    assert problem["message"]
    assert problem["fix"]
    assert problem["field"] in raised.value.message


@pytest.mark.parametrize("given_one", ["blob_access_key", "blob_secret_key"])
def test_half_a_pair_of_s3_keys_is_refused(given_one: str) -> None:
    assert set(problems(**{given_one: "x"})) == {"MUNIMENT_BLOB_SECRET_KEY"}


def test_a_misspelt_variable_is_reported_and_a_strange_one_is_not() -> None:
    with pytest.raises(BadSettings) as raised:
        read(databse_url="postgresql://db/m")
    (problem,) = raised.value.problems
    assert problem["fix"] == "did you mean MUNIMENT_DATABASE_URL?"
    read(url="https://models.example.com", token="t", something_else="x")


@given(st.integers(0, 10**15))
def test_plain_sizes_are_bytes(count: int) -> None:
    assert size_bytes(str(count)) == count
    assert size_bytes(f"{count}kib") == count * 1024


@given(st.text())
def test_no_text_breaks_a_reader(value: str) -> None:
    for reader in (size_bytes, duration, number, switch):
        try:
            result: object = reader(value)
        except ValueError as error:
            assert "expected" in str(error)  # noqa: PT017 -- most texts raise, some do not
        else:
            assert result is not None


def test_names_are_separated_by_commas() -> None:
    assert names("a.example, *.b.example ,,127.0.0.1:80") == (
        "a.example",
        "*.b.example",
        "127.0.0.1:80",
    )
    assert names(" ") == ()


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("MUNIMENT_MLFLOW_URL", "mlflow.example", "expected an http:// or https:// URL"),
        ("MUNIMENT_MLFLOW_URL", "https://a:b@mlflow.example", "has a user name or password"),
        ("MUNIMENT_MLFLOW_USER", "ada", "only work together"),
        ("MUNIMENT_FETCH_BUCKETS", "s3://good,gs://other", "gs://other"),
        ("MUNIMENT_FETCH_ACCESS_KEY", "k", "only work together"),
        ("MUNIMENT_JOBS_AT_ONCE", "1", "expected 2 to 1000"),
    ],
)
def test_settings_of_what_is_done_later_are_checked(variable: str, value: str, why: str) -> None:
    with pytest.raises(BadSettings) as caught:
        Settings.from_env({variable: value})
    assert any(why in problem["message"] for problem in caught.value.problems)


def test_keys_that_vouch_for_runs_are_p256_in_pem() -> None:
    key = MemoryKeys().record.public_key_der
    pem = public_key_pem(key)
    assert read(data_dir="/d", evidence_keys=pem + pem).evidence_keys == (key, key)
    other = public_key_pem(b"x" * 91)
    for wrong in ("nothing", pem + "rest", other, pem.replace("MFk", "MFj")):
        assert "MUNIMENT_EVIDENCE_KEYS" in problems(data_dir="/d", evidence_keys=wrong)
