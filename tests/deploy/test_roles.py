"""`doctor` says which role is missing, for what, and what to type: through the real client, over HTTPS."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re

import pytest

from scripts.deploy.check_result import CheckResult, Verdict, run_checks
from scripts.deploy.doctor import examine
from scripts.deploy.layout import REPOSITORY, STACKS, Stack
from scripts.deploy.resource_manager import Permission
from scripts.deploy.roles import ASSIGNING, MANAGING, look_at_roles
from scripts.deploy.session import Session
from scripts.deploy.state_store import group_name
from tests.deploy.arm_server import (
    ACR_PUSH,
    BLOB_CONTRIBUTOR,
    CONTRIBUTOR,
    OWNER,
    READER,
    ROLE_ADMINISTRATOR,
    SECRETS_OFFICER,
    USER_ACCESS_ADMINISTRATOR,
    AzureStandIn,
    Role,
    refusal,
)
from tests.deploy.commands import TOKEN, Installation
from tests.deploy.support import SUBSCRIPTION, FakeTime, forget_tfvars, make_session, write_tfvars

ADMINISTRATOR = "role Role Based Access Control Administrator"
ME, OTHER = "aaaaaaaa-1111-2222-3333-444444444444", "bbbbbbbb-1111-2222-3333-444444444444"
SUFFIX = hashlib.sha1(f"{SUBSCRIPTION}/aigw/dev".encode()).hexdigest()[:5]
STORAGE, REGISTRY, VAULT = f"staigwdev{SUFFIX}", f"craigwdev{SUFFIX}", f"kv-aigw-dev-{SUFFIX}"
TERRAFORM = REPOSITORY / "infra" / "terraform"


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def session(azure: AzureStandIn, made: Installation, time: FakeTime) -> Session:
    return make_session(made.layout, made.az.cli, time)


def roles(session: Session) -> dict[str, CheckResult]:
    found = run_checks("roles", lambda: look_at_roles(session, SUBSCRIPTION))
    return {item.check: item for item in found}


def make_everything(azure: AzureStandIn) -> tuple[str, str, str]:
    """Let all that the first stacks make exist; ids of the storage, the registry and the vault."""
    azure.groups |= {f"rg-aigw-dev-{part}" for part in ("state", *STACKS) if part != "bootstrap"}
    return (
        azure.make("Microsoft.Storage/storageAccounts", "rg-aigw-dev-state", STORAGE),
        azure.make("Microsoft.ContainerRegistry/registries", "rg-aigw-dev-platform", REGISTRY),
        azure.make("Microsoft.KeyVault/vaults", "rg-aigw-dev-platform", VAULT),
    )


def sign_in(made: Installation, claims: bytes = json.dumps({"oid": ME}).encode()) -> None:
    """Let the login's token be of the form that Entra ID gives it, with these claims."""
    payload = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    token = {"accessToken": f"e30.{payload}.signature", "expires_on": 4070908800}
    made.az.answer("account get-access-token --output", token)


def list_deployers(made: Installation, **principals: str) -> None:
    main = made.layout.directory(STACKS["platform"]) / "more.tf"
    main.write_text('variable "deployer_principals" { type = map(string) }\n')
    write_tfvars(made.layout, "platform", vault="https://127.0.0.1:1/", deployer_principals=principals)


class TestBeforeTheFirstDeployment:
    def test_an_owner_may_do_everything(self, session: Session, azure: AzureStandIn) -> None:
        azure.assign(OWNER)
        found = roles(session)
        assert found["role Contributor"].verdict is Verdict.OK
        assert found[ADMINISTRATOR].found == "enough for deploy-bootstrap, deploy-platform, deploy-foundry"

    def test_a_contributor_may_not_assign_roles(self, session: Session, azure: AzureStandIn) -> None:
        azure.assign(CONTRIBUTOR)
        found = roles(session)
        assert (found["role Contributor"].verdict, found[ADMINISTRATOR].verdict) == (Verdict.OK, Verdict.BAD)

    def test_it_says_for_which_command_a_role_is_missing(self, session: Session, azure: AzureStandIn) -> None:
        azure.assign(CONTRIBUTOR)
        action = "Microsoft.Authorization/roleAssignments/write and 1 more"
        assert roles(session)[ADMINISTRATOR].found == (
            f"missing for deploy-bootstrap: {action}; deploy-platform: {action}; deploy-foundry: {action}"
        )

    def test_it_says_what_to_type(self, session: Session, azure: AzureStandIn) -> None:
        azure.assign(CONTRIBUTOR)
        assert roles(session)[ADMINISTRATOR].remedy.endswith(
            "az role assignment create --assignee alice@example.com "
            f'--role "Role Based Access Control Administrator" --scope /subscriptions/{SUBSCRIPTION}'
        )

    @pytest.mark.parametrize("role", [ROLE_ADMINISTRATOR, USER_ACCESS_ADMINISTRATOR], ids=["rbac", "access"])
    def test_a_role_for_assignments_completes_a_contributor(
        self, session: Session, azure: AzureStandIn, role: Role
    ) -> None:
        azure.assign(CONTRIBUTOR)
        azure.assign(role)
        assert {roles(session)[name].verdict for name in ("role Contributor", ADMINISTRATOR)} == {Verdict.OK}

    def test_a_reader_lacks_both(self, session: Session, azure: AzureStandIn) -> None:
        azure.assign(READER)
        found = roles(session)["role Contributor"].found
        assert [stack.command for stack in STACKS.values() if stack.command not in found] == []

    def test_a_login_without_any_role_lacks_both(self, session: Session) -> None:
        assert {roles(session)[name].verdict for name in ("role Contributor", ADMINISTRATOR)} == {Verdict.BAD}

    def test_nothing_is_asked_for_a_stack_that_is_left_out(
        self, session: Session, azure: AzureStandIn, made: Installation
    ) -> None:
        forget_tfvars(made.layout, "foundry")
        assert "deploy-foundry" not in roles(session)["role Contributor"].found

    def test_what_the_stacks_assign_is_no_fault_yet(self, session: Session, azure: AzureStandIn) -> None:
        azure.assign(OWNER)
        vault = roles(session)["role Key Vault Secrets Officer"]
        assert (vault.verdict, vault.found) == (Verdict.SKIPPED, f"there is no {VAULT} yet")
        assert vault.remedy.startswith("deploy-platform makes it, and gives this role to deployer_principals")


class TestOnAnInstallation:
    def test_rights_on_the_groups_alone_are_enough(self, session: Session, azure: AzureStandIn) -> None:
        make_everything(azure)
        for group in azure.groups:
            azure.assign(OWNER, f"{azure.subscription}/resourceGroups/{group}")
        assert {roles(session)[name].verdict for name in ("role Contributor", ADMINISTRATOR)} == {Verdict.OK}

    def test_the_one_group_without_rights_is_named(self, session: Session, azure: AzureStandIn) -> None:
        make_everything(azure)
        for group in azure.groups - {"rg-aigw-dev-foundry"}:
            azure.assign(OWNER, f"{azure.subscription}/resourceGroups/{group}")
        finding = roles(session)["role Contributor"]
        assert finding.found.startswith("missing for deploy-foundry: ")
        assert finding.remedy.endswith("/resourceGroups/rg-aigw-dev-foundry")

    def test_an_owner_may_still_not_look_into_storage_and_vault(
        self, session: Session, azure: AzureStandIn
    ) -> None:
        make_everything(azure)
        azure.assign(OWNER)
        found = roles(session)
        assert found["role AcrPush"] == CheckResult("role AcrPush", Verdict.OK, f"on {REGISTRY}")
        assert found["role Key Vault Secrets Officer"].found == (
            f"missing on {VAULT}: Microsoft.KeyVault/vaults/secrets/getSecret/action and 2 more"
        )
        assert found["role Storage Blob Data Contributor"].verdict is Verdict.BAD

    def test_roles_on_the_resources_themselves_count(self, session: Session, azure: AzureStandIn) -> None:
        storage, registry, vault = make_everything(azure)
        azure.assign(BLOB_CONTRIBUTOR, storage)
        azure.assign(ACR_PUSH, registry)
        azure.assign(SECRETS_OFFICER, vault)
        found = roles(session)
        names = ("Storage Blob Data Contributor", "AcrPush", "Key Vault Secrets Officer")
        assert [found[f"role {name}"].verdict for name in names] == [Verdict.OK] * 3

    def test_a_login_without_access_to_the_state_needs_a_colleague(
        self, session: Session, azure: AzureStandIn, made: Installation
    ) -> None:
        make_everything(azure)
        sign_in(made)
        assert roles(session)["role Storage Blob Data Contributor"].remedy == (
            f"Ask a colleague who has the role to put your object id, {ME}, into state_principals "
            "and to run deploy-bootstrap."
        )

    @pytest.mark.parametrize("listed", [{}, {"bob": OTHER}], ids=["nobody", "another"])
    def test_who_is_not_listed_is_told_which_id_to_put_where(
        self, session: Session, azure: AzureStandIn, made: Installation, listed: dict[str, str]
    ) -> None:
        make_everything(azure)
        sign_in(made)
        list_deployers(made, **listed)
        finding = roles(session)["role Key Vault Secrets Officer"]
        assert (finding.verdict, finding.remedy) == (
            Verdict.BAD,
            f"Put your object id, {ME}, into deployer_principals, with those of all other deployers, "
            "and run deploy-platform.",
        )

    def test_who_is_listed_gets_the_role_by_the_next_deployment(
        self, session: Session, azure: AzureStandIn, made: Installation
    ) -> None:
        """So a pipeline that looks before it deploys is not kept from giving itself the role."""
        make_everything(azure)
        sign_in(made)
        list_deployers(made, bob=OTHER, alice=ME.upper())
        finding = roles(session)["role AcrPush"]
        assert (finding.verdict, finding.remedy.startswith("deploy-platform gives it to you.")) == (
            Verdict.NOTE,
            True,
        )

    @pytest.mark.parametrize("claims", [b"", b"[]", b"{}", b'{"oid": 7}', b'{"oid": "x"}', b"\xff"])
    def test_a_token_without_an_id_says_how_to_find_it(
        self, session: Session, azure: AzureStandIn, made: Installation, claims: bytes
    ) -> None:
        make_everything(azure)
        sign_in(made, claims)
        list_deployers(made, bob=OTHER)
        assert "your object id, az ad signed-in-user show" in roles(session)["role AcrPush"].remedy


class TestPermission:
    def test_a_star_stands_for_any_text(self) -> None:
        given = Permission(actions=("Microsoft.*/vaults/*/read",))
        assert given.allows("Microsoft.KeyVault/vaults/secrets/read")
        assert not given.allows("Microsoft.KeyVault/vaults/secrets/write")

    def test_case_does_not_matter(self) -> None:
        assert Permission(actions=("microsoft.keyvault/VAULTS/*",)).allows("Microsoft.KeyVault/vaults/write")

    def test_a_dot_is_a_dot(self) -> None:
        assert not Permission(actions=("Microsoft.App/*",)).allows("MicrosoftXApp/write")

    def test_what_a_role_leaves_out_it_does_not_give(self) -> None:
        given = Permission(actions=("*",), not_actions=("Microsoft.Authorization/*/Write",))
        assert not given.allows("Microsoft.Authorization/roleAssignments/write")

    def test_another_role_may_give_it(self, session: Session, azure: AzureStandIn) -> None:
        azure.assign({"actions": ["*"], "notActions": ["Microsoft.App/*"]})
        azure.assign({"actions": ["Microsoft.App/*"], "notActions": []})
        assert roles(session)["role Contributor"].verdict is Verdict.OK

    def test_actions_give_nothing_on_data(self) -> None:
        assert not Permission(actions=("*",)).allows("Microsoft.KeyVault/vaults/secrets/read", data=True)

    def test_data_that_a_role_leaves_out_is_missing(self, session: Session, azure: AzureStandIn) -> None:
        _, _, vault = make_everything(azure)
        write = "Microsoft.KeyVault/vaults/secrets/setSecret/action"
        azure.assign({**SECRETS_OFFICER, "notDataActions": [write]}, vault)
        assert roles(session)["role Key Vault Secrets Officer"].found == f"missing on {VAULT}: {write}"


class TestTheAnswer:
    def test_it_may_come_in_pages(self, session: Session, azure: AzureStandIn) -> None:
        azure.page_size = 1
        azure.assign(CONTRIBUTOR)
        azure.assign(READER)
        azure.assign(ROLE_ADMINISTRATOR)
        assert roles(session)[ADMINISTRATOR].verdict is Verdict.OK

    def test_the_token_follows_no_link_to_another_host(self, session: Session, azure: AzureStandIn) -> None:
        azure.page_size, azure.next_page = 1, "https://elsewhere.example.com/"
        azure.assign(CONTRIBUTOR)
        azure.assign(READER)
        assert "continues its answer at another address" in roles(session)["roles"].found

    def test_a_scope_is_asked_about_once(self, session: Session, azure: AzureStandIn) -> None:
        roles(session)
        asked = [request.path for request in azure.requests if "permissions" in request.path]
        assert len(asked) == len(set(asked))

    def test_throttling_is_waited_for_as_long_as_azure_says(
        self, session: Session, azure: AzureStandIn, time: FakeTime
    ) -> None:
        azure.assign(OWNER)
        azure.first = [refusal(429, "TooManyRequests", {"Retry-After": "7"}), refusal(503, "Busy")]
        assert roles(session)["role Contributor"].verdict is Verdict.OK
        assert time.pauses == [7, 2]

    @pytest.mark.parametrize(
        ("status", "code", "found", "remedy"),
        [
            (429, "TooManyRequests", "keeps throttling", "Try again in some minutes."),
            (
                500,
                "InternalServerError",
                "answers HTTP 500 InternalServerError",
                "Try again in some minutes.",
            ),
            (
                403,
                "AuthorizationFailed",
                "may not read its own permissions (AuthorizationFailed)",
                "Reader is enough",
            ),
            (401, "ExpiredAuthenticationToken", "did not accept the login", "Run `az login` again."),
        ],
    )
    def test_each_refusal_has_its_own_remedy(
        self, session: Session, azure: AzureStandIn, status: int, code: str, found: str, remedy: str
    ) -> None:
        azure.always = refusal(status, code)
        finding = roles(session)["roles"]
        assert (finding.verdict, found in finding.found, remedy in finding.remedy) == (
            Verdict.BAD,
            True,
            True,
        )

    @pytest.mark.parametrize("body", [{}, {"value": None}, {"value": "x"}, {"value": ["x"]}, {"value": [7]}])
    def test_an_answer_of_another_form_is_no_traceback(
        self, session: Session, azure: AzureStandIn, body: dict[str, object]
    ) -> None:
        azure.always = (200, body, {})
        assert "does not answer as the Azure Resource Manager does" in roles(session)["roles"].found

    def test_an_address_where_nobody_answers(
        self, session: Session, azure: AzureStandIn, made: Installation
    ) -> None:
        made.az.answer("cloud show", "https://127.0.0.1:1/")
        finding = roles(session)["roles"]
        assert (finding.found, finding.remedy) == (
            "The Azure Resource Manager at https://127.0.0.1:1 cannot be reached.",
            "Check the network and its proxy.",
        )

    def test_a_login_that_gives_no_token(
        self, session: Session, azure: AzureStandIn, made: Installation
    ) -> None:
        made.az.answer("account get-access-token --output", error="ERROR: AADSTS50076: multi-factor")
        finding = roles(session)["roles"]
        assert (finding.found, finding.remedy) == (
            "The Azure Resource Manager did not accept the login.",
            "Run `az login` again.",
        )
        assert azure.requests == []

    def test_without_a_login_nothing_is_asked(
        self, session: Session, azure: AzureStandIn, made: Installation
    ) -> None:
        made.az.answer("account show", error="ERROR: Please run 'az login' to setup account.")
        assert [item.check for item in examine(session) if item.check.startswith("role")] == []
        assert azure.requests == []

    def test_without_terraform_the_other_checks_are_made(self, session: Session, azure: AzureStandIn) -> None:
        session.binary = "no-such-terraform"
        found = {item.check: item for item in examine(session)}
        assert found["roles"] == CheckResult("roles", Verdict.SKIPPED, "needs no-such-terraform")
        assert found["resource providers"].verdict is Verdict.OK


@pytest.mark.parametrize(
    "status", [200, 403, *(pytest.param(status, marks=pytest.mark.long) for status in (401, 500))]
)
def test_the_token_is_sent_and_never_shown(azure: AzureStandIn, made: Installation, status: int) -> None:
    if status != 200:
        # Longer than the command waits, so that it gives up at once.
        azure.always = refusal(status, TOKEN, {"Retry-After": "90"})
    result = made.commands.run("doctor", "-o", "json")
    assert {request.token for request in azure.requests} == {TOKEN}
    assert result.returncode == 4
    shown = result.stdout + result.stderr + str(made.az.calls)
    assert (TOKEN in shown, "Traceback" in shown) == (False, False)


def test_what_to_type_stands_on_one_line(azure: AzureStandIn, made: Installation) -> None:
    azure.assign(ROLE_ADMINISTRATOR)
    made.commands.environment["COLUMNS"] = "80"
    typed = f'--assignee alice@example.com --role "Contributor" --scope {azure.subscription}'
    (line,) = [line for line in made.commands.run("doctor").stdout.splitlines() if "--assignee" in line]
    assert line.endswith(f"az role assignment create {typed}")


# Azure's actions for each resource of the stacks, except networks and resources that need one.
ACTIONS = {
    "azurerm_application_insights": "Microsoft.Insights/components/write",
    "azurerm_application_insights_workbook": "Microsoft.Insights/workbooks/write",
    "azurerm_cognitive_account": "Microsoft.CognitiveServices/accounts/write",
    "azurerm_cognitive_deployment": "Microsoft.CognitiveServices/accounts/deployments/write",
    "azurerm_container_app": "Microsoft.App/containerApps/write",
    "azurerm_container_app_environment": "Microsoft.App/managedEnvironments/write",
    "azurerm_container_registry": "Microsoft.ContainerRegistry/registries/write",
    "azurerm_key_vault": "Microsoft.KeyVault/vaults/write",
    "azurerm_log_analytics_workspace": "Microsoft.OperationalInsights/workspaces/write",
    "azurerm_monitor_action_group": "Microsoft.Insights/actionGroups/write",
    "azurerm_monitor_alert_prometheus_rule_group": "Microsoft.AlertsManagement/prometheusRuleGroups/write",
    "azurerm_monitor_diagnostic_setting": "Microsoft.Insights/diagnosticSettings/write",
    "azurerm_monitor_metric_alert": "Microsoft.Insights/metricAlerts/write",
    "azurerm_monitor_scheduled_query_rules_alert_v2": "Microsoft.Insights/scheduledQueryRules/write",
    "azurerm_monitor_workspace": "Microsoft.Monitor/accounts/write",
    "azurerm_resource_group": "Microsoft.Resources/subscriptions/resourceGroups/write",
    "azurerm_role_assignment": "Microsoft.Authorization/roleAssignments/write",
    "azurerm_storage_account": "Microsoft.Storage/storageAccounts/write",
    "azurerm_storage_container": "Microsoft.Storage/storageAccounts/blobServices/containers/write",
    "azurerm_user_assigned_identity": "Microsoft.ManagedIdentity/userAssignedIdentities/write",
}
OPTIONAL = {
    "azurerm_private_dns_zone",
    "azurerm_private_endpoint",
    "azurerm_resource_group_template_deployment",
    "azurerm_role_definition",
    "azurerm_subnet",
    "azurerm_virtual_network",
}


@pytest.mark.parametrize("stack", STACKS.values(), ids=lambda stack: stack.name)
def test_every_resource_of_a_stack_is_looked_at(stack: Stack) -> None:
    own = [path.read_text() for path in (TERRAFORM / "stacks" / stack.directory).glob("*.tf")]
    modules = set(itertools.chain(*(re.findall(r"modules/(\w+)\"", text) for text in own)))
    files = [path for name in modules for path in (TERRAFORM / "modules" / name).glob("*.tf")]
    # Managed Grafana is optional, as networks are, and so is its role assignment.
    texts = [path.read_text() for path in files if path.name != "grafana.tf"]
    kinds = set(itertools.chain(*(re.findall(r'^resource "(\w+)"', text, re.M) for text in own + texts)))
    checked = {
        action
        for need in (*MANAGING, *ASSIGNING)
        if need.stack == need.group == stack.name
        for action in need.actions
        if action.endswith("/write")
    }
    assert {ACTIONS[kind] for kind in kinds - OPTIONAL} == checked


@pytest.mark.parametrize("stack", STACKS.values(), ids=lambda stack: stack.name)
def test_groups_have_the_names_that_the_stacks_give_them(stack: Stack) -> None:
    main = (TERRAFORM / "stacks" / stack.directory / "main.tf").read_text()
    naming = (TERRAFORM / "modules" / "naming" / "main.tf").read_text()
    name = group_name({"name": "n", "environment": "e"}, stack.name)
    written = (
        name.replace("rg-n-e-", "rg-${module.naming.stem}-"),
        name.replace("rg-n-e-", "rg-${local.stem}-"),
    )
    assert f'"{written[0]}"' in main or (
        "module.naming.state_resource_group" in main and written[1] in naming
    )
