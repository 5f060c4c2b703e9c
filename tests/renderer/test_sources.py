"""Where settings come from, and which source wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from renderer import ConfigurationError, Problem, load_settings, read_env_file, read_settings_file
from tests.renderer.support import env

VAULT = "https://my-vault.vault.azure.net"


def vault_of(secrets: Mapping[str, str]) -> Callable[..., Mapping[str, str]]:
    """A vault with those variables, which hands out only what is wanted of it."""

    def read(url: str, wanted: Callable[[str], bool], client_id: str | None) -> Mapping[str, str]:
        return {name: value for name, value in secrets.items() if wanted(name)}

    return read


def key_of(env_value: str | None, vault_value: str | None, file_value: str | None) -> str:
    """The backend's key when each source has that value for it."""
    name = "AZURE_OPENAI_KEY_0"
    settings = load_settings(
        env(KEY_VAULT_URL=VAULT, AZURE_OPENAI_KEY_0=env_value),
        env_file={name: file_value} if file_value else {},
        read_vault=vault_of({name: vault_value} if vault_value else {}),
    )
    key = settings.backends[0].key
    assert key is not None
    return key.get_secret_value()


def test_the_environment_wins_over_key_vault_and_the_file() -> None:
    assert key_of("from-env", "from-vault", "from-file") == "from-env"


def test_key_vault_wins_over_the_file() -> None:
    assert key_of(None, "from-vault", "from-file") == "from-vault"


def test_the_file_is_the_last_resort() -> None:
    assert key_of(None, None, "from-file") == "from-file"


def test_an_empty_environment_variable_leaves_the_choice_to_key_vault() -> None:
    assert key_of("", "from-vault", None) == "from-vault"


def test_the_address_of_the_vault_may_come_from_the_file() -> None:
    settings = load_settings(
        env(AZURE_OPENAI_KEY_0=None),
        env_file={"KEY_VAULT_URL": VAULT},
        read_vault=vault_of({"AZURE_OPENAI_KEY_0": "from-vault"}),
    )
    assert settings.backends[0].key is not None


def test_a_variable_that_the_environment_has_is_not_asked_of_the_vault() -> None:
    asked = []

    def read(url: str, wanted: Callable[[str], bool], client_id: str | None) -> Mapping[str, str]:
        asked.extend(name for name in ("AZURE_OPENAI_KEY_0", "REDIS_PASSWORD", "PATH") if wanted(name))
        return {}

    load_settings(env(KEY_VAULT_URL=VAULT), read_vault=read)
    assert asked == ["REDIS_PASSWORD"]


def test_a_whole_client_can_come_from_the_vault() -> None:
    secrets = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": "key-of-team-b-0123"}
    settings = load_settings(env(KEY_VAULT_URL=VAULT), read_vault=vault_of(secrets))
    assert [client.name for client in settings.clients] == ["team-a", "team-b"]


@pytest.mark.parametrize("url", ["http://my-vault.vault.azure.net", f"{VAULT}/secrets", "my-vault"])
def test_a_wrong_vault_address_is_reported_and_no_vault_is_asked(url: str) -> None:
    def read(url: str, wanted: Callable[[str], bool], client_id: str | None) -> Mapping[str, str]:
        raise AssertionError("asked")

    with pytest.raises(ConfigurationError) as caught:
        load_settings(env(KEY_VAULT_URL=url), read_vault=read)
    assert [problem.setting for problem in caught.value.problems] == ["KEY_VAULT_URL"]


def problem_of_line(directory: Path, text: str) -> Problem:
    """The one problem of an env file with that text."""
    (directory / "x.env").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(directory / "x.env")
    (found,) = caught.value.problems
    return found


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("  export NAME = value  ", "value"),
        ("NAME=with=equals", "with=equals"),
        ("NAME='quoted # not a comment'", "quoted # not a comment"),
        ('NAME="quoted" # comment', "quoted"),
        ("NAME=value # comment", "value"),
        ("NAME=value#no-comment", "value#no-comment"),
        ("NAME=$OTHER", "$OTHER"),
        ('NAME={"a":1}', '{"a":1}'),
        ("export\tNAME=value", "value"),
        ("""NAME='{"a":"b"}'""", '{"a":"b"}'),
        ("NAME=it's", "it's"),
        ("NAME=a\u2028b\x0bc", "a\u2028b\x0bc"),
        ("NAME=", ""),
        ("NAME= # only a comment", ""),
    ],
)
def test_a_line_of_an_env_file(line: str, value: str, tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text(f"# comment\n\n{line}\r\n")
    assert {name: text.strip() for name, text in read_env_file(file).items()} == {"NAME": value}


def test_a_setting_that_is_repeated_is_named(tmp_path: Path) -> None:
    assert str(problem_of_line(tmp_path, "REDIS_HOST=a\nREDIS_HOST=b\n")) == (
        f"{tmp_path}/x.env, line 2, sets REDIS_HOST again, after line 1. Keep one of the two lines."
    )


def test_a_setting_with_an_open_quotation_mark_is_named(tmp_path: Path) -> None:
    assert "too few in REDIS_HOST" in str(problem_of_line(tmp_path, 'REDIS_HOST="a\n'))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("set REDIS_HOST=a", "begins with set, as in the Windows command prompt"),
        ('SET "REDIS_HOST=a"', "begins with set, as in the Windows command prompt"),
        ("setx REDIS_HOST a", "begins with setx, as in the Windows command prompt"),
        ('$env:REDIS_HOST = "a"', "is an assignment of PowerShell"),
        ("ENV REDIS_HOST=a", "is an instruction of a Dockerfile"),
        ("export REDIS_HOST", "exports a variable without a value"),
        ("REDIS_HOST: a", "is YAML"),
        ("redis:\n  host: a", "is YAML, and so is 1 more"),
        ("backends:\n  - endpoint: a\n    key: b", "is YAML, and so are 2 more"),
    ],
)
def test_a_line_of_another_format_is_told_as_such(line: str, what: str, tmp_path: Path) -> None:
    assert problem_of_line(tmp_path, line).message == what


def test_bad_lines_of_an_env_file_are_all_reported_without_their_text(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text("A=1\nmy-secret-text\nA=2\n-=3\nbXktc2VjcmV0=\nbXktc2VjcmV0=\n")
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(file)
    assert [problem.setting for problem in caught.value.problems] == [
        f"{file}, line {n}," for n in (2, 3, 4, 6)
    ]
    assert not any(secret in str(caught.value) for secret in ("my-secret-text", "bXktc2VjcmV0"))


def test_bad_lines_of_an_env_file_are_reported_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text("REDIS_PORT: 1\n" + "#\n" * 8 + "no assignment\nset REDIS_HOST=a\n")
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(file)
    assert [problem.setting for problem in caught.value.problems] == [
        f"{file}, line {n}," for n in (1, 10, 11)
    ]


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        (
            "x.env",
            "no assignment\nREDIS_PORT=ten\nAZURE_OPENAI_KEY_0=a",
            "REDIS_PORT ({file}, line 2) is not a whole number (it is 'ten')",
        ),
        (
            "x.yaml",
            "redis: {host: my-cache, host: other, port: ten}\nbackends: [{key: a}]",
            "REDIS_PORT (redis.port in {file}, line 1) is not a whole number (it is 'ten')",
        ),
    ],
)
def test_bad_lines_of_a_file_do_not_hide_what_is_wrong_with_its_values(
    name: str, text: str, wrong: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_settings_file(file)
    expected = f"{wrong.format(file=file)}. Write digits only, such as 10."
    assert list(map(str, caught.value.problems[1:])) == [expected]


def test_a_bad_line_shows_no_unknown_name_beside_it_which_may_be_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text("-----BEGIN\nbXktc2VjcmV0=\n")
    with pytest.raises(ConfigurationError) as caught:
        read_settings_file(file)
    assert "bXktc2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ['"unterminated', "'a' b", '"{"a":1}"', '"a","b"', '"first line\nsecond line"']
)
def test_a_value_that_does_not_end_with_its_quotation_mark_is_wrong(value: str, tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text(f"A=1\nNAME={value}\n")
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(file)
    first = caught.value.problems[0]
    assert (first.setting, "quotation mark" in first.message) == (f"{file}, line 2,", True)


def test_an_env_file_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.env").write_bytes(b"\xef\xbb\xbfA=1\r\nB=2\r\n")
    assert read_env_file(tmp_path / "x.env") == {"A": "1", "B": "2"}


def test_an_env_file_in_utf_16_is_told_how_to_be_saved(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("A=1\n", encoding="utf-16")
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(tmp_path / "x.env")
    assert "Save it as UTF-8" in caught.value.problems[0].remedy


def test_an_env_file_that_is_a_directory_is_a_problem_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(tmp_path)
    assert "is a directory" in caught.value.problems[0].message


def test_an_env_file_that_does_not_exist_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        read_env_file(tmp_path / "missing.env")


def test_an_env_file_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_bytes(b"A=\xff\xfe\x00")
    with pytest.raises(ConfigurationError):
        read_env_file(tmp_path / "x.env")
