"""One stack after another, with the real Terraform: plans, states, outputs, locks and failures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.deploy.bootstrap import deploy_bootstrap
from scripts.deploy.deploy_errors import DeployError, InvalidSettingsError, LockedError, NotReadyError
from scripts.deploy.deployment import Ended, Mode, deploy, explained
from scripts.deploy.destroy import destroy
from scripts.deploy.layout import STACKS, Layout
from scripts.deploy.session import Session
from scripts.deploy.status import overview
from scripts.terraform import Terraform, TerraformError
from tests.deploy.support import FakeAz, FakeTime, make_session, write_earlier, write_tfvars
from tests.support.certificates import make_certificate
from tests.support.loopback_server import LoopbackServer, Reply, Request


def state_of(layout: Layout, name: str) -> Path:
    return layout.stacks.parent / "state" / "dev" / f"{STACKS[name].directory}.tfstate"


def deploy_up_to(session: Session, last: str) -> None:
    deploy_bootstrap(session, Mode.YES)
    for name in list(STACKS)[1 : list(STACKS).index(last) + 1]:
        deploy(session, STACKS[name], Mode.YES)


def test_bootstrap_moves_its_own_state_into_the_storage_it_made(session: Session, layout: Layout) -> None:
    outcome = deploy_bootstrap(session, Mode.YES)
    assert outcome.ended is Ended.APPLIED
    assert "terraform_data" in state_of(layout, "bootstrap").read_text()
    assert not (layout.working / "bootstrap.tfstate").exists()
    assert not list(layout.stacks.rglob("backend_override.tf"))


def test_bootstrap_again_from_another_machine_changes_nothing(session: Session, layout: Layout) -> None:
    deploy_bootstrap(session, Mode.YES)
    session.layout = Layout(layout.environment, layout.stacks, layout.stacks.parent / "elsewhere")
    assert deploy_bootstrap(session, Mode.YES).ended is Ended.UNCHANGED


def test_bootstrap_that_was_stopped_before_the_move_goes_on(session: Session, layout: Layout) -> None:
    deploy_bootstrap(session, Mode.YES)
    left_behind = layout.working / "bootstrap.tfstate"
    state_of(layout, "bootstrap").rename(left_behind)
    session._has_storage = False
    session.__dict__.pop("store", None)
    deploy_bootstrap(session, Mode.YES)
    assert json.loads(state_of(layout, "bootstrap").read_text())["resources"]
    assert not left_behind.exists()


NOT_ALLOWED = """
resource "terraform_data" "storage" {
  input = "x"
  lifecycle {
    precondition {
      condition     = timestamp() == var.name
      error_message = "not allowed"
    }
  }
}
"""


@pytest.fixture
def overtaken(session: Session, layout: Layout) -> Session:
    """A first bootstrap made nothing here; since then another machine has deployed."""
    main = layout.directory(STACKS["bootstrap"]) / "main.tf"
    working = main.read_text()
    storage = next(line for line in working.splitlines() if line.startswith("resource"))
    main.write_text(working.replace(storage, NOT_ALLOWED))
    with pytest.raises(DeployError, match="not allowed"):
        deploy_bootstrap(session, Mode.YES)
    assert (layout.working / "bootstrap.tfstate").exists()
    main.write_text(working)
    elsewhere = make_session(Layout(layout.environment, layout.stacks, layout.stacks.parent / "elsewhere"))
    deploy_bootstrap(elsewhere, Mode.YES)
    return session


def test_a_bootstrap_that_made_nothing_does_not_stand_in_the_way(overtaken: Session) -> None:
    assert deploy_bootstrap(overtaken, Mode.YES).ended is Ended.UNCHANGED


def test_a_bootstrap_that_made_nothing_does_not_hide_what_is_to_be_destroyed(
    overtaken: Session, layout: Layout
) -> None:
    assert [row.result for row in destroy(overtaken, ["bootstrap"], Mode.YES)] == ["destroyed"]
    assert not (layout.working / "bootstrap.tfstate").exists()


def test_a_stack_whose_predecessor_is_missing_says_what_to_run(session: Session) -> None:
    deploy_bootstrap(session, Mode.YES)
    with pytest.raises(NotReadyError) as caught:
        deploy(session, STACKS["platform"], Mode.YES)
    assert "Run deploy-observability first." in str(caught.value)


def test_without_any_state_storage_bootstrap_comes_first(session: Session) -> None:
    with pytest.raises(NotReadyError, match="Run deploy-bootstrap first"):
        deploy(session, STACKS["workload"], Mode.YES)


def test_outputs_of_earlier_stacks_become_inputs(session: Session) -> None:
    deploy_up_to(session, "platform")
    state = json.loads(state_of(session.layout, "platform").read_text())
    assert state["resources"][0]["instances"][0]["attributes"]["input"]["value"] == "workspace-of-aigw"


def test_a_second_run_says_that_nothing_changed(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    deploy_up_to(session, "observability")
    capsys.readouterr()
    assert deploy(session, STACKS["observability"], Mode.YES).ended is Ended.UNCHANGED
    assert "no changes" in capsys.readouterr().err


def test_plan_shows_changes_and_makes_none(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    deploy_bootstrap(session, Mode.YES)
    outcome = deploy(session, STACKS["observability"], Mode.PLAN)
    assert outcome.ended is Ended.PLANNED
    assert "terraform_data.logs" in capsys.readouterr().err
    assert not state_of(session.layout, "observability").exists()


def test_no_plan_or_variable_file_is_left_behind(session: Session, layout: Layout) -> None:
    deploy_up_to(session, "observability")
    assert not list(layout.working.glob("run-*"))


def test_what_is_applied_is_what_was_shown(
    session: Session, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_bootstrap(session, Mode.YES)

    def change_the_settings_while_asked(question: str) -> bool:
        write_tfvars(layout, "observability", name="other")
        return True

    monkeypatch.setattr(session.screen, "confirm", change_the_settings_while_asked)
    outcome = deploy(session, STACKS["observability"], Mode.ASK)
    assert outcome.outputs["log_analytics_workspace_id"].value == "workspace-of-aigw"


def test_declining_changes_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy_bootstrap(session, Mode.YES)
    monkeypatch.setattr(session.screen, "confirm", lambda question: False)
    assert deploy(session, STACKS["observability"], Mode.ASK).ended is Ended.DECLINED
    assert not state_of(session.layout, "observability").exists()


def test_a_failure_in_the_middle_keeps_what_was_done(session: Session, layout: Layout) -> None:
    deploy_bootstrap(session, Mode.YES)
    path = layout.directory(STACKS["observability"]) / "main.tf"
    broken = """
resource "terraform_data" "broken" {
  depends_on = [terraform_data.logs]
  provisioner "local-exec" { command = "echo no quota left >&2; exit 7" }
}
"""
    working = path.read_text()
    path.write_text(working + broken)
    with pytest.raises(DeployError) as caught:
        deploy(session, STACKS["observability"], Mode.YES)
    assert "terraform_data.broken" in str(caught.value)
    path.write_text(working)
    assert (
        deploy(session, STACKS["observability"], Mode.YES).ended is Ended.APPLIED
    )  # the broken resource is removed
    assert [
        item["name"] for item in json.loads(state_of(layout, "observability").read_text())["resources"]
    ] == ["logs"]


def test_a_held_lock_is_explained_and_not_broken(session: Session, layout: Layout) -> None:
    deploy_up_to(session, "observability")
    lock = state_of(layout, "observability").with_name(".05-observability.tfstate.lock.info")
    holder = {
        "ID": "5b6f2a60-0000-0000-0000-000000000000",
        "Operation": "OperationTypeApply",
        "Who": "alice@laptop",
        "Created": "2026-01-02T03:04:05Z",
        "Path": "x",
        "Version": "1.11.4",
        "Info": "",
    }
    with Holding(state_of(layout, "observability"), lock, holder), pytest.raises(LockedError) as caught:
        deploy(session, STACKS["observability"], Mode.YES)
    assert "held by: alice@laptop" in caught.value.details
    assert "force-unlock 5b6f2a60-0000-0000-0000-000000000000" in caught.value.remedy


class Holding:
    """Hold the lock of a local state as another Terraform does: with a lock of the operating system."""

    def __init__(self, state: Path, info: Path, holder: dict[str, str]) -> None:
        self.state, self.info, self.holder = state, info, holder

    def __enter__(self) -> None:
        self.info.write_text(json.dumps(self.holder))
        program = (
            "import fcntl, sys\n"
            "file = open(sys.argv[1], 'r+')\n"
            "fcntl.lockf(file, fcntl.LOCK_EX)\n"
            "print('held', flush=True)\n"
            "sys.stdin.read()\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(self.state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def __exit__(self, *args: object) -> None:
        self.process.communicate("")


def test_settings_of_another_environment_are_refused(session: Session, layout: Layout) -> None:
    write_tfvars(layout, "bootstrap", environment="prod")
    with pytest.raises(InvalidSettingsError, match="environment is 'prod', but the command is for 'dev'"):
        deploy_bootstrap(session, Mode.YES)


def test_stacks_that_disagree_about_the_installation_are_refused(session: Session, layout: Layout) -> None:
    deploy_bootstrap(session, Mode.YES)
    write_tfvars(layout, "observability", name="other")
    with pytest.raises(InvalidSettingsError, match="disagree"):
        deploy(session, STACKS["observability"], Mode.YES)


def test_placeholders_of_the_example_are_refused(session: Session, layout: Layout) -> None:
    write_tfvars(layout, "bootstrap", subscription_id="<subscription id>")
    with pytest.raises(InvalidSettingsError, match="placeholders"):
        deploy_bootstrap(session, Mode.YES)


def test_files_that_terraform_loads_by_itself_are_refused(session: Session, layout: Layout) -> None:
    (layout.directory(STACKS["bootstrap"]) / "terraform.tfvars").write_text("secrets = {}\n")
    with pytest.raises(InvalidSettingsError, match=r"terraform\.tfvars"):
        deploy_bootstrap(session, Mode.YES)


def test_an_environment_without_an_example_starts_from_that_of_dev(layout: Layout, az: FakeAz) -> None:
    other = make_session(Layout("qa", layout.stacks, layout.working.parent / "qa"), az.cli)
    with pytest.raises(InvalidSettingsError) as caught:
        other.settings.read_any()
    assert caught.value.remedy.endswith("aoai-gateway deploy init qa")


def test_missing_settings_point_to_the_example(session: Session, layout: Layout) -> None:
    layout.settings.unlink()
    with pytest.raises(InvalidSettingsError, match="aoai-gateway deploy init dev"):
        session.settings.read(STACKS["foundry"])


def test_a_users_file_is_never_written(session: Session, layout: Layout) -> None:
    path = write_tfvars(layout, "observability")
    path.write_text("# mine\n" + path.read_text())
    path.chmod(0o444)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    deploy_up_to(session, "observability")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_stack_that_others_need_is_not_destroyed(session: Session) -> None:
    deploy_up_to(session, "platform")
    with pytest.raises(DeployError, match="platform stack is still deployed"):
        destroy(session, ["observability"], Mode.YES)


def test_everything_goes_the_last_one_first(session: Session, layout: Layout) -> None:
    deploy_up_to(session, "foundry")
    rows = destroy(session, list(STACKS), Mode.YES)
    assert [row.stack for row in rows] == ["workload", "foundry", "platform", "observability", "bootstrap"]
    assert [row.result for row in rows] == ["absent", "destroyed", "destroyed", "destroyed", "destroyed"]
    assert not (layout.working / "bootstrap.tfstate").exists()
    assert json.loads(state_of(layout, "platform").read_text())["resources"] == []


def test_destroy_plan_destroys_nothing(session: Session) -> None:
    deploy_up_to(session, "observability")
    rows = destroy(session, ["observability"], Mode.PLAN)
    assert (rows[0].result, rows[0].resources) == ("would be destroyed", 1)
    assert session.outputs(STACKS["observability"])


def test_destroy_without_the_typed_word_destroys_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_up_to(session, "observability")
    monkeypatch.setattr(session.screen, "confirm_by_typing", lambda question, expected: False)
    assert destroy(session, ["observability"], Mode.ASK)[0].result == "kept"
    assert session.outputs(STACKS["observability"])


def test_what_a_stack_stands_on_is_not_asked_about_once_it_is_kept(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_up_to(session, "platform")
    monkeypatch.setattr(session.screen, "confirm_by_typing", lambda question, _: "platform" not in question)
    rows = destroy(session, list(STACKS), Mode.ASK)
    assert [(row.stack, row.result) for row in rows] == [
        ("workload", "absent"),
        ("foundry", "absent"),
        ("platform", "kept"),
    ]
    assert session.has_resources(STACKS["observability"])


def test_status_tells_what_is_deployed_and_what_comes_next(session: Session) -> None:
    deploy_up_to(session, "observability")
    _, rows, _ = overview(session)
    assert [(row["stack"], row["state"], row["next"]) for row in rows[:3]] == [
        ("bootstrap", "deployed", ""),
        ("observability", "deployed", ""),
        ("platform", "not deployed", "deploy-platform"),
    ]


def test_a_plan_that_fails_says_that_nothing_was_changed(session: Session, layout: Layout) -> None:
    deploy_bootstrap(session, Mode.YES)
    path = layout.directory(STACKS["observability"]) / "main.tf"
    path.write_text(path.read_text() + 'output "broken" { value = file("missing") }\n')
    with pytest.raises(DeployError, match="Nothing was changed"):
        deploy(session, STACKS["observability"], Mode.YES)


def test_a_plan_that_others_have_overtaken_is_not_applied(
    session: Session, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_bootstrap(session, Mode.YES)
    path = layout.directory(STACKS["observability"]) / "main.tf"
    working = path.read_text()

    def let_another_run_deploy(question: str) -> bool:
        path.write_text(working + 'resource "terraform_data" "theirs" {}\n')
        deploy(make_session(layout, session.az), STACKS["observability"], Mode.YES)
        return True

    monkeypatch.setattr(session.screen, "confirm", let_another_run_deploy)
    with pytest.raises(DeployError, match="Another run has changed the observability stack"):
        deploy(session, STACKS["observability"], Mode.ASK)


def test_a_state_that_could_not_be_saved_comes_with_the_command_that_saves_it(
    session: Session, layout: Layout, tmp_path: Path
) -> None:
    """For example when the token ends during a long run: only Terraform's file knows what was made."""
    stack = STACKS["observability"]
    main = layout.directory(stack) / "main.tf"
    main.write_text(main.read_text().replace('backend "local"', 'backend "http"'))
    certificate, saved, takes = make_certificate(tmp_path), [], [403, 200]

    def answer(request: Request) -> Reply:
        if request.method == "GET":
            return 404, {}, {}
        saved.append(request.body)
        return takes.pop(0), {}, {}

    with LoopbackServer(answer, certificate) as server:
        terraform = session.terraform(stack)
        terraform.init({"address": f"{server.url}/state", "skip_cert_verification": "true"})
        plan = terraform.plan(tmp_path / "plan", [write_earlier(layout, stack.name)])
        with pytest.raises(DeployError) as caught, explained(session, stack):
            terraform.apply(plan)
        assert caught.value.message == "Terraform could not save the state of the observability stack."
        command = caught.value.remedy.split("remove it here: ")[1]
        subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert saved[1]["resources"][0]["name"] == "logs"


HALF_MADE = """
resource "terraform_data" "broken" {
  depends_on = [terraform_data.accounts]
  provisioner "local-exec" { command = "exit 7" }
}
"""


@pytest.fixture
def half_made(session: Session, layout: Layout) -> Session:
    """Everything up to a foundry stack whose only deployment failed before it had any output."""
    deploy_up_to(session, "platform")
    path = layout.directory(STACKS["foundry"]) / "main.tf"
    body = path.read_text().split('output "foundry_resource_group_name"')[0]
    path.write_text(body + HALF_MADE)
    with pytest.raises(DeployError, match=r"terraform_data\.broken"):
        deploy(session, STACKS["foundry"], Mode.YES)
    session.forget(STACKS["foundry"])
    return session


def test_status_tells_what_is_half_made(half_made: Session) -> None:
    _, rows, _ = overview(half_made)
    assert (rows[3]["stack"], rows[3]["state"], rows[3]["next"]) == (
        "foundry",
        "incomplete",
        "deploy-foundry",
    )


def test_what_is_half_made_still_needs_what_it_stands_on(half_made: Session) -> None:
    with pytest.raises(DeployError, match="foundry stack is still deployed"):
        destroy(half_made, ["platform"], Mode.YES)


def test_an_output_that_an_earlier_stack_lacks_says_which_command_to_run(
    session: Session, layout: Layout
) -> None:
    path = layout.directory(STACKS["platform"]) / "main.tf"
    now = path.read_text()
    path.write_text(now.replace('output "gateway_identity_principal_id" { value = "principal-id" }', ""))
    deploy_up_to(session, "platform")
    path.write_text(now)
    with pytest.raises(NotReadyError) as caught:
        deploy(session, STACKS["foundry"], Mode.YES)
    assert "needs gateway_identity_principal_id of the platform stack" in caught.value.message
    assert "Run deploy-platform again" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("subscription_id", "subscription_id is missing."),
        ("name", "name is missing."),
    ],
)
def test_what_every_name_depends_on_must_be_there(
    session: Session, layout: Layout, name: str, complaint: str
) -> None:
    path = layout.settings
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith(name)))
    with pytest.raises(InvalidSettingsError) as caught:
        deploy_bootstrap(session, Mode.YES)
    assert caught.value.details == [complaint]


def test_a_subscription_is_given_by_its_id(session: Session, layout: Layout) -> None:
    """Names of subscriptions have spaces and brackets, and Terraform accepts only ids."""
    write_tfvars(layout, "workload", subscription_id="Production (EU)")
    with pytest.raises(InvalidSettingsError) as caught:
        deploy_bootstrap(session, Mode.YES)
    assert caught.value.details == [
        "subscription_id is not the id of a subscription: `az account show --query id` prints it."
    ]


def test_everything_wrong_with_a_file_is_told_at_once(session: Session, layout: Layout) -> None:
    layout.settings.write_text(
        'subscription_id = "<subscription id>"\nname = ["aigw"]\nenvironment = "prod"\nlocaton = "x"\n'
    )
    with pytest.raises(InvalidSettingsError) as caught:
        deploy_bootstrap(session, Mode.YES)
    assert [detail.split()[0] for detail in caught.value.details] == [
        "locaton",
        "subscription_id",
        "name",
        "environment",
    ]


def test_a_mistake_in_another_stacks_file_is_that_stacks(session: Session, layout: Layout) -> None:
    for stack in STACKS:
        write_earlier(layout, stack)
    layout.settings.unlink()
    layout.settings_of_stack(STACKS["foundry"]).write_text("accounts = {\n")
    assert deploy_bootstrap(session, Mode.YES).ended is Ended.APPLIED


def test_destroying_what_was_never_deployed_is_no_failure(session: Session) -> None:
    assert {row.result for row in destroy(session, list(STACKS), Mode.YES)} == {"absent"}


def test_no_access_to_the_state_is_waited_for_and_then_explained(
    session: Session, time: FakeTime, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    deploy_bootstrap(session, Mode.YES)
    denied = TerraformError("init", ["Failed to get existing workspaces: AuthorizationPermissionMismatch"])

    def refuse(*_args: object, **_options: object) -> None:
        raise denied

    monkeypatch.setattr(Terraform, "init", refuse)
    with pytest.raises(DeployError, match="state_principals"):
        deploy(make_session(layout, session.az, time), STACKS["observability"], Mode.YES)
    assert sum(time.pauses) == 600


NO_HOST = "Failed to get existing workspaces: dial tcp: lookup st1.blob.core.windows.net: no such host"


def test_a_state_that_cannot_be_reached_is_not_said_to_be_broken(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_bootstrap(session, Mode.YES)

    def lose(*_args: object, **_options: object) -> None:
        raise TerraformError("init", [NO_HOST])

    monkeypatch.setattr(Terraform, "init", lose)
    with pytest.raises(DeployError) as caught:
        deploy(session, STACKS["observability"], Mode.YES)
    assert caught.value.message == "The state of the observability stack cannot be reached."
    assert (caught.value.details, "Check the network" in caught.value.remedy) == ([NO_HOST], True)


def test_a_registry_of_providers_that_cannot_be_reached_is_not_taken_for_the_state(
    session: Session, layout: Layout
) -> None:
    deploy_bootstrap(session, Mode.YES)
    source = 'source = "localhost:9/nobody/nowhere"'
    terraform = f"terraform {{\n  required_providers {{\n    nowhere = {{ {source} }}\n  }}\n}}\n"
    (layout.directory(STACKS["observability"]) / "providers.tf").write_text(terraform)
    with pytest.raises(DeployError, match="cannot download the providers of the observability stack"):
        deploy(session, STACKS["observability"], Mode.YES)


def test_reading_a_state_again_does_not_initialise_again(
    session: Session, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_bootstrap(session, Mode.YES)
    initialised: list[Path] = []
    real = Terraform.init

    def noted(self: Terraform, *args: Any, **options: Any) -> None:
        initialised.append(self.directory)
        real(self, *args, **options)

    monkeypatch.setattr(Terraform, "init", noted)
    assert make_session(layout, session.az).outputs(STACKS["bootstrap"])
    assert initialised == []


def test_working_data_that_were_removed_in_part_are_made_again(session: Session, layout: Layout) -> None:
    deploy_bootstrap(session, Mode.YES)
    shutil.rmtree(layout.data(STACKS["bootstrap"]) / "reader" / "data")
    assert make_session(layout, session.az).outputs(STACKS["bootstrap"])
