"""Each message about a value says where the value was written."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from renderer import ConfigurationError, Problem, load, read_env_file
from renderer.origins import origin_of
from tests.renderer.support import env
from tests.renderer.test_sources import VAULT, vault_of


def refused(**sources: dict[str, str]) -> Problem:
    with pytest.raises(ConfigurationError) as caught:
        load(
            sources.get("env", {}),
            env_file=sources.get("file"),
            read_vault=vault_of(sources.get("vault", {})),
        )
    (found,) = caught.value.problems
    return found


def test_an_error_with_a_variable_of_the_environment_says_so() -> None:
    found = refused(env=env(REDIS_PORT="many"))
    assert str(found).startswith("REDIS_PORT (environment) is not a whole number")


def test_an_error_with_a_line_of_an_env_file_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nREDIS_PORT=many\n")
    assert refused(env=env(), file=read_env_file(file)).origin == f"{file}, line 2"


def test_an_error_with_a_secret_names_the_secret_and_its_vault() -> None:
    variables = env(KEY_VAULT_URL=VAULT, AZURE_OPENAI_KEY_0=None)
    found = refused(env=variables, vault={"AZURE_OPENAI_KEY_0": "two words"})
    assert found.origin == "secret azure-openai-key-0 of my-vault.vault.azure.net"


def test_an_error_with_the_value_that_won_names_where_that_is(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("REDIS_PORT=1\n")
    assert refused(env=env(REDIS_PORT="many"), file=read_env_file(file)).origin == "environment"


def test_an_unknown_name_of_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("TIMEZONE=here\n")
    assert refused(env=env(), file=read_env_file(file)).origin == f"{file}, line 1"


def test_a_missing_value_has_no_place() -> None:
    assert refused(env=env(AZURE_OPENAI_KEY_0=None)).origin == ""


def test_a_warning_names_the_place(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("\n".join(f"{name}={text}" for name, text in env(AZURE_OPENAI_KEY_0="change-me").items()))
    (about_the_key,) = (
        each for each in load({}, env_file=read_env_file(file)).warnings if "KEY" in each.setting
    )
    assert about_the_key.origin == f"{file}, line 2"


def test_an_origin_survives_merging_and_trimming() -> None:
    loaded = load(env(REDIS_HOST="  redis "))
    assert (loaded.texts["REDIS_HOST"], str(origin_of(loaded.texts["REDIS_HOST"]))) == (
        "redis",
        "environment",
    )


def test_the_texts_of_settings_are_not_shown() -> None:
    assert "texts" not in repr(load(env()))


def test_an_origin_survives_copying() -> None:
    text = load(env(REDIS_HOST="redis")).texts["REDIS_HOST"]
    assert origin_of(copy.deepcopy(text)) == origin_of(pickle.loads(pickle.dumps(text))) == origin_of(text)
