"""The seeder writes the user's secrets into Key Vault: no needless write, and no value is lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from azure.keyvault.secrets import SecretClient

from renderer.names import secret_of
from scripts.deploy.console import Screen
from scripts.deploy.deploy_errors import InvalidSettingsError, VaultError
from scripts.deploy.vault_seeder import Action, Seeded, Seeder, secret_problems
from scripts.deploy.waiting import Waiter
from tests.deploy.support import FakeTime
from tests.deploy.vault_server import Fault, FaultyVault, running
from tests.support.certificates import make_certificate
from tests.support.key_vault import API_VERSION, FixedToken, KeyVaultEmulator

CANARY = "canary-7c1d0e9b52f84a63"


@pytest.fixture(params=["server", "emulator"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SecretClient]:
    """A vault that works: the small server of these tests, and the emulator where it can be had."""
    if request.param == "server":
        with running(make_certificate(tmp_path)) as (_, own):
            yield own
        return
    emulator: KeyVaultEmulator = request.getfixturevalue("lowkey_vault")
    with SecretClient(
        emulator.url,
        FixedToken(),
        api_version=API_VERSION,
        connection_verify=str(emulator.certificate.pem),
        retry_total=0,
    ) as other:
        yield other


@pytest.fixture
def variable() -> str:
    """A name that no other test uses: the tests share the emulator."""
    return f"TEST_{uuid.uuid4().hex.upper()}_0"


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[tuple[FaultyVault, SecretClient]]:
    with running(make_certificate(tmp_path)) as pair:
        yield pair


def seeder(client: SecretClient, time: FakeTime | None = None) -> Seeder:
    time = time or FakeTime()
    return Seeder(client, Waiter(Screen(), time.sleep, time.clock))


def test_a_variable_and_its_secret_have_the_same_name() -> None:
    assert secret_of("AZURE_OPENAI_KEY_0") == "azure-openai-key-0"


class TestSeeding:
    def test_a_new_secret_is_created(self, client: SecretClient, variable: str) -> None:
        (result,) = seeder(client).seed({variable: CANARY})
        stored = client.get_secret(secret_of(variable))
        assert (result.action, result.version) == (Action.CREATED, stored.properties.version)
        assert stored.value == CANARY

    def test_the_same_value_again_writes_nothing(self, client: SecretClient, variable: str) -> None:
        (first,) = seeder(client).seed({variable: CANARY})
        (second,) = seeder(client).seed({variable: CANARY})
        assert second == Seeded(variable, Action.UNCHANGED, first.version)
        versions = list(client.list_properties_of_secret_versions(secret_of(variable)))
        assert len(versions) == 1

    def test_another_value_is_a_new_version(self, client: SecretClient, variable: str) -> None:
        (first,) = seeder(client).seed({variable: "old-value"})
        (second,) = seeder(client).seed({variable: "new-value"})
        assert second.action is Action.CHANGED
        assert second.version != first.version
        assert client.get_secret(secret_of(variable)).value == "new-value"

    def test_a_deleted_secret_is_recovered_and_written(self, client: SecretClient, variable: str) -> None:
        seeder(client).seed({variable: "old-value"})
        client.begin_delete_secret(secret_of(variable)).wait()
        (result,) = seeder(client).seed({variable: "new-value"})
        assert result.action is Action.RECOVERED
        assert client.get_secret(secret_of(variable)).value == "new-value"

    def test_a_deleted_secret_of_the_same_value_comes_back_as_it_was(
        self, client: SecretClient, variable: str
    ) -> None:
        (first,) = seeder(client).seed({variable: CANARY})
        client.begin_delete_secret(secret_of(variable)).wait()
        (result,) = seeder(client).seed({variable: CANARY})
        assert result == Seeded(variable, Action.RECOVERED, first.version)

    def test_a_placeholder_never_replaces_a_real_value(self, client: SecretClient, variable: str) -> None:
        (first,) = seeder(client).seed({variable: CANARY})
        (result,) = seeder(client).seed({variable: "<your key>"})
        assert result == Seeded(variable, Action.KEPT, first.version)
        assert client.get_secret(secret_of(variable)).value == CANARY

    def test_a_placeholder_without_a_real_value_is_an_error(
        self, client: SecretClient, variable: str
    ) -> None:
        with pytest.raises(InvalidSettingsError, match="contain only a placeholder"):
            seeder(client).seed({variable: "change-me"})

    def test_all_placeholders_without_a_real_value_are_told_at_once(
        self, client: SecretClient, variable: str
    ) -> None:
        with pytest.raises(InvalidSettingsError) as caught:
            seeder(client).compare({f"{variable}_B": "<key>", f"{variable}_A": "<key>", variable: CANARY})
        assert caught.value.details == [f"{variable}_A", f"{variable}_B"]

    def test_comparing_writes_nothing(self, client: SecretClient, variable: str) -> None:
        (result,) = seeder(client).compare({variable: CANARY})
        assert result == Seeded(variable, Action.CREATED, None)
        assert secret_of(variable) not in [item.name for item in client.list_properties_of_secrets()]

    def test_a_long_value_with_line_ends_survives(self, client: SecretClient, variable: str) -> None:
        value = "-----BEGIN-----\n" + "ü" * 2000 + "\n-----END-----\n"
        seeder(client).seed({variable: value})
        assert client.get_secret(secret_of(variable)).value == value


class TestAgainstFaults:
    def test_a_name_that_is_still_being_recovered_is_waited_for(
        self, faulty: tuple[FaultyVault, SecretClient]
    ) -> None:
        vault, client = faulty
        vault.deleted["key-0"] = ["old"]
        vault.recovering["key-0"] = 3
        time = FakeTime()
        (result,) = seeder(client, time).seed({"KEY_0": CANARY})
        assert (result.action, vault.secrets["key-0"][-1]) == (Action.RECOVERED, CANARY)
        assert time.pauses == [1, 2, 4]

    def test_throttling_is_waited_out_for_as_long_as_the_vault_says(
        self, faulty: tuple[FaultyVault, SecretClient]
    ) -> None:
        vault, client = faulty
        vault.faults = [Fault("PUT", 429, "Throttled", headers={"Retry-After": "7"})]
        time = FakeTime()
        seeder(client, time).seed({"KEY_0": CANARY})
        assert time.pauses == [7]

    def test_endless_throttling_ends_in_an_error(self, faulty: tuple[FaultyVault, SecretClient]) -> None:
        vault, client = faulty
        vault.faults = [Fault("GET", 429, "Throttled", headers={"Retry-After": "60"}) for _ in range(20)]
        with pytest.raises(VaultError, match="keeps throttling"):
            seeder(client).seed({"KEY_0": CANARY})

    def test_a_role_that_is_not_known_yet_is_waited_for(
        self, faulty: tuple[FaultyVault, SecretClient], capsys: pytest.CaptureFixture[str]
    ) -> None:
        vault, client = faulty
        vault.faults = [Fault("GET", 403, "Forbidden", "ForbiddenByRbac") for _ in range(3)]
        (result,) = seeder(client).seed({"KEY_0": CANARY})
        assert result.action is Action.CREATED
        assert "normal for some minutes after a role assignment: next try in" in capsys.readouterr().err

    def test_a_role_that_never_comes_says_which_one(self, faulty: tuple[FaultyVault, SecretClient]) -> None:
        vault, client = faulty
        vault.faults = [Fault("GET", 403, "Forbidden", "ForbiddenByRbac") for _ in range(200)]
        with pytest.raises(VaultError, match="Key Vault Secrets Officer"):
            seeder(client).seed({"KEY_0": CANARY})

    def test_a_firewall_is_not_waited_for(self, faulty: tuple[FaultyVault, SecretClient]) -> None:
        vault, client = faulty
        vault.faults = [Fault("GET", 403, "Forbidden", "ForbiddenByFirewall")]
        time = FakeTime()
        with pytest.raises(VaultError, match="key_vault_allowed_ip_ranges"):
            seeder(client, time).seed({"KEY_0": CANARY})
        assert time.pauses == []

    def test_a_disabled_secret_is_not_taken_for_a_missing_role(
        self, faulty: tuple[FaultyVault, SecretClient]
    ) -> None:
        vault, client = faulty
        vault.faults = [Fault("GET", 403, "Forbidden", "SecretDisabled")]
        time = FakeTime()
        with pytest.raises(VaultError, match="KEY_0 is disabled"):
            seeder(client, time).seed({"KEY_0": CANARY})
        assert time.pauses == []

    def test_a_bad_request_is_not_tried_again(self, faulty: tuple[FaultyVault, SecretClient]) -> None:
        vault, client = faulty
        vault.faults = [Fault("PUT", 400, "BadParameter")]
        with pytest.raises(VaultError, match="BadParameter"):
            seeder(client).seed({"KEY_0": CANARY})
        assert sum(request.startswith("PUT") for request in vault.requests) == 1

    def test_an_unreachable_vault_is_named(
        self, faulty: tuple[FaultyVault, SecretClient], tmp_path: Path
    ) -> None:
        gone = SecretClient(
            "https://127.0.0.1:9", FixedToken(), retry_total=0, verify_challenge_resource=False
        )
        with pytest.raises(VaultError, match=r"https://127\.0\.0\.1:9.* cannot be reached"):
            seeder(gone).seed({"KEY_0": CANARY})

    def test_what_was_written_before_a_failure_is_not_written_again(
        self, faulty: tuple[FaultyVault, SecretClient]
    ) -> None:
        vault, client = faulty
        vault.secrets["a"] = ["old"]
        wanted = {"A": "new-a", "B": "new-b"}
        vault.faults = []
        seeder(client).seed({"A": "new-a"})
        vault.faults = [Fault("PUT", 400, "BadParameter")]
        with pytest.raises(VaultError):
            seeder(client).seed(wanted)
        results = seeder(client).seed(wanted)
        assert [item.action for item in results] == [Action.UNCHANGED, Action.CREATED]

    @pytest.mark.parametrize("code", ["BadParameter", "ObjectIsBeingRecovered"])
    def test_no_error_holds_the_value(self, faulty: tuple[FaultyVault, SecretClient], code: str) -> None:
        vault, client = faulty
        vault.faults = [Fault("PUT", 409, "Conflict", code) for _ in range(300)]
        with pytest.raises(VaultError) as caught:
            seeder(client).seed({"KEY_0": CANARY})
        assert CANARY not in repr(caught.value) + str(caught.value)
        assert caught.value.__suppress_context__


def test_names_and_sizes_that_key_vault_refuses_are_listed_at_once() -> None:
    assert len(secret_problems({"BAD NAME": "x", "GOOD": "x" * 25_601})) == 2


def test_a_value_may_have_25_kb() -> None:
    assert secret_problems({"GOOD": "x" * 25_600}) == []


def test_seeded_results_hold_no_value() -> None:
    assert CANARY not in repr(replace(Seeded("KEY_0", Action.CREATED, "v1"), variable="KEY_1"))
