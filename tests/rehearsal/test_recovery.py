"""Each failure of Azure ends in a screen that says what to do, and the next run recovers."""

from __future__ import annotations

import base64
import json
import re

import pytest

from tests.rehearsal.azure.faults import Fault
from tests.rehearsal.azure.state import Resource
from tests.rehearsal.stage import Ran, Stage
from tests.rehearsal.story import POINTS, Story

pytestmark = pytest.mark.xdist_group("recovery")

BROKEN = {"code": "InternalServerError", "message": "The operation failed inside Azure."}


def begin(story: Story, stack: str) -> Stage:
    """Go to the point just before a stack is deployed."""
    story.start_at(POINTS[POINTS.index(stack) - 1])
    return story.stage


def at_a_change(story: Story) -> Stage:
    """Go to the point where everything is deployed, and a client's key is to be rotated."""
    story.start_at("workload")
    key = story.stage.setting("GATEWAY_CLIENT_KEY_0")
    story.stage.edit(key, key[::-1])
    return story.stage


def recovers(story: Story, stack: str) -> None:
    """The next run works, and the one after it has nothing to do."""
    again = story.deploy(stack)
    assert again.code == 0, again.screen
    plan = story.stage.run(f"deploy-{stack} dev --plan")
    assert plan.code == 0, plan.screen


@pytest.mark.parametrize(
    ("stack", "kinds"),
    [
        ("bootstrap", ["storageAccounts"]),
        ("observability", ["workspaces"]),
        ("platform", ["registries", "vaults", "managedEnvironments"]),
        ("foundry", ["deployments"]),
    ],
)
def test_resources_that_azure_cannot_finish_are_replaced_by_the_next_run(
    story: Story, stack: str, kinds: list[str]
) -> None:
    stage = begin(story, stack)
    faults = [Fault("PUT", f".*/{kind}/[^/]+", **BROKEN, in_operation=True) for kind in kinds]
    for fault in faults:
        stage.cloud.faults.plan(fault)
    ran = story.deploy(stack)
    assert (ran.code, [fault.happened for fault in faults]) == (1, [1] * len(kinds)), ran.screen
    assert ran.screen.count("The operation failed inside Azure.") >= len(kinds)
    assert "run the command again" in ran.screen
    recovers(story, stack)


def test_a_revision_that_never_gets_ready_shows_what_its_container_printed(story: Story) -> None:
    stage = begin(story, "workload")
    expired = {"code": "ContainerAppOperationError", "message": "Operation expired."}
    stage.cloud.faults.plan(Fault("PUT", ".*/containerApps/ca-aigw-dev", **expired, in_operation=True))
    ran = story.deploy("workload")
    assert ran.code == 1, ran.screen
    assert "nginx: [emerg] host not found in upstream" in ran.screen
    assert "az containerapp logs show" in ran.screen
    assert "ContainerAppConsoleLogs" in ran.screen
    events = re.search("az containerapp logs show .*--type system", " ".join(ran.screen.split()))
    assert events is not None
    assert "ContainerTerminated" in stage.run(events[0]).screen
    recovers(story, "workload")


def test_a_setting_that_the_renderer_refuses_is_on_the_screen(story: Story) -> None:
    stage = at_a_change(story)
    (vault,) = stage.cloud.state.vaults.values()
    versions = vault.secrets["gateway-client-key-0"].versions

    def spoil(_: object) -> bool:
        """Somebody writes nonsense into the vault, after the command has looked."""
        versions[-1] = (versions[-1][0], "short")
        return False

    stage.cloud.faults.plan(Fault("PUT", ".*/containerApps/ca-aigw-dev", "", "", when=spoil))
    ran = story.deploy("workload")
    assert ran.code == 1, ran.screen
    assert "config-renderer: Terminated" in ran.screen
    assert "GATEWAY_CLIENT_KEY_0" in ran.screen
    stage.cloud.faults.clear()
    recovers(story, "workload")


def test_a_new_role_on_the_state_is_waited_for(story: Story) -> None:
    stage = begin(story, "bootstrap")
    stage.cloud.faults.denied["staigwdevd6281.blob.core.windows.net"] = 2
    ran = story.deploy("bootstrap")
    assert ran.code == 0, ran.screen
    assert "normal after a role assignment" in ran.screen


def test_a_new_role_on_the_vault_is_waited_for(story: Story) -> None:
    stage = at_a_change(story)
    stage.cloud.faults.denied["kv-aigw-dev-d6281.vault.azure.net"] = 2
    ran = story.deploy("workload")
    assert ran.code == 0, ran.screen
    assert "normal for some minutes after a role assignment" in ran.screen


def test_a_vault_that_is_throttling_is_waited_for(story: Story) -> None:
    stage = at_a_change(story)
    fault = Fault("GET", "/secrets/.*", "Throttled", "Slow down.", 429, ".*vault.azure.net", times=2)
    stage.cloud.faults.plan(fault)
    ran = story.deploy("workload")
    assert (ran.code, fault.happened) == (0, 2), ran.screen
    assert "Key Vault is throttling" in ran.screen


def test_a_resource_manager_that_is_throttling_is_waited_for(story: Story) -> None:
    stage = begin(story, "observability")
    again = {"Retry-After": "1"}
    fault = Fault("PUT", ".*/workspaces/[^/]+", "TooManyRequests", "Slow down.", 429, times=2, headers=again)
    stage.cloud.faults.plan(fault)
    ran = story.deploy("observability")
    assert (ran.code, fault.happened) == (0, 2), ran.screen


def test_a_conflict_says_to_run_again(story: Story) -> None:
    stage = begin(story, "foundry")
    conflict = Fault(
        "PUT",
        ".*/accounts/[^/]+/deployments/.*",
        "RequestConflict",
        "Another operation is being performed.",
        times=20,
    )
    stage.cloud.faults.plan(conflict)
    ran = story.deploy("foundry")
    assert ran.code == 1, ran.screen
    assert "run the command again in some minutes" in ran.screen
    stage.cloud.faults.clear()
    recovers(story, "foundry")


def test_a_registry_that_does_not_build_says_so(story: Story) -> None:
    stage = at_a_change(story)
    (images,) = stage.cloud.state.images.values()
    images.clear()
    for status, code, said in [
        (409, "TasksOperationsNotAllowed", "--local-docker"),
        (429, "TooManyRequests", "az acr build failed"),
    ]:
        message = "ACR Tasks requests are not permitted."
        stage.cloud.faults.plan(Fault("POST", ".*/scheduleRun", code, message, status, times=20))
        ran = story.deploy("workload")
        assert ran.code == 1, ran.screen
        assert said in ran.screen
        stage.cloud.faults.clear()
    recovers(story, "workload")


def test_a_deleted_account_that_keeps_the_name_says_how_to_purge_it(story: Story) -> None:
    stage = begin(story, "foundry")
    name = "oai-aigw-dev-sweden-d6281"
    gone: Resource = {
        "id": f"/x/{name}",
        "name": name,
        "type": "Microsoft.CognitiveServices/accounts",
        "location": "swedencentral",
    }
    stage.cloud.state.deleted[f"accounts/{name}"] = gone
    ran = story.deploy("foundry")
    assert ran.code == 1, ran.screen
    assert "az cognitiveservices account purge" in ran.screen
    group = "rg-aigw-dev-foundry"
    purged = stage.run(f"az cognitiveservices account purge -n {name} -g {group} -l swedencentral")
    assert purged.code == 0, purged.screen
    recovers(story, "foundry")


def test_a_policy_against_public_access_says_what_to_set(story: Story) -> None:
    stage = begin(story, "platform")

    def is_public(request: object) -> bool:
        return b'"publicNetworkAccess":"Enabled"' in request.content  # type: ignore[attr-defined]

    message = "Resource was disallowed by policy. Policy: 'Key Vaults should disable public network access'."
    policy = Fault(
        "PUT", ".*/vaults/[^/]+", "RequestDisallowedByPolicy", message, 403, times=20, when=is_public
    )
    stage.cloud.faults.plan(policy)
    ran = story.deploy("platform")
    assert ran.code == 1, ran.screen
    assert policy.happened
    assert "private_endpoints_enabled = true" in ran.screen
    stage.cloud.faults.clear()
    recovers(story, "platform")


def test_what_a_killed_run_left_is_explained(story: Story) -> None:
    stage = begin(story, "observability")
    story.deploy("observability")
    # As if the run had been killed before it could save its state.
    for name in [key for key in stage.cloud.state.blobs if "05-observability" in key]:
        del stage.cloud.state.blobs[name]
    ran: Ran = story.deploy("observability")
    assert ran.code == 1, ran.screen
    assert "az resource delete" in ran.screen
    assert "adopt_existing = true" in ran.screen
    stage.edit("observability = {", "observability = {\n  adopt_existing = true")
    recovers(story, "observability")


def test_a_run_that_is_interrupted_goes_on_from_there(story: Story) -> None:
    stage = begin(story, "platform")
    ran = stage.run("deploy-platform dev --yes", interrupt_at="azurerm_key_vault.this: Still creating")
    assert ran.code == 130, ran.screen
    assert "Run the command again to go on from here." in " ".join(ran.screen.split())
    recovers(story, "platform")


def test_a_locked_state_says_who_holds_it(story: Story) -> None:
    story.start_at("observability")
    (state,) = [blob for name, blob in story.stage.cloud.state.blobs.items() if "05-observability" in name]
    lock = {"ID": "11112222-3333", "Operation": "OperationTypeApply", "Who": "bob@laptop"}
    lock |= {"Version": "1.11.4", "Created": "2026-01-01T00:00:00Z", "Path": "", "Info": ""}
    state.lease = lock["ID"]
    state.metadata = {"terraformlockid": base64.b64encode(json.dumps(lock).encode()).decode()}
    ran = story.deploy("observability")
    assert ran.code == 5, ran.screen
    assert "held by: bob@laptop" in ran.screen
    assert "force-unlock 11112222-3333" in ran.screen
