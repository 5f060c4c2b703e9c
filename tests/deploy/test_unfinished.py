"""What a run that did not end well left, and no state knows, is taken over by the next run alone."""

from __future__ import annotations

import pytest

from scripts.deploy.bootstrap import deploy_bootstrap
from scripts.deploy.deploy_errors import DeployError
from scripts.deploy.deployment import Mode, deploy
from scripts.deploy.layout import STACKS, Layout
from scripts.deploy.session import Session
from scripts.terraform import StalePlanError, Terraform
from tests.deploy.support import write_tfvars

STACK = STACKS["observability"]
EXISTS = "a resource with the ID x already exists - to be managed via Terraform"


def let_it_fail_unless_it_adopts(session: Session, layout: Layout, said: str) -> None:
    """Azure has made a part of the stack, and the state does not know it."""
    deploy_bootstrap(session, Mode.YES)
    main = layout.directory(STACK) / "main.tf"
    main.write_text(
        main.read_text()
        + f"""
variable "adopt_existing" {{
  type    = bool
  default = false
}}
resource "terraform_data" "half_made" {{
  provisioner "local-exec" {{ command = var.adopt_existing ? "true" : "echo '{said}' >&2; exit 7" }}
}}
output "adopts" {{ value = var.adopt_existing }}
"""
    )
    with pytest.raises(DeployError):
        deploy(session, STACK, Mode.YES)


def adopts(session: Session) -> bool:
    """Whether the next run takes over what exists."""
    return bool(deploy(session, STACK, Mode.YES).outputs["adopts"].value)


def test_the_next_run_takes_over_what_a_failed_one_left(session: Session, layout: Layout) -> None:
    let_it_fail_unless_it_adopts(session, layout, "no quota left")
    assert adopts(session)


def test_the_run_after_that_takes_over_nothing(session: Session, layout: Layout) -> None:
    let_it_fail_unless_it_adopts(session, layout, "no quota left")
    assert [adopts(session), adopts(session)] == [True, False]


def test_what_was_there_before_the_first_run_is_left_alone(session: Session, layout: Layout) -> None:
    let_it_fail_unless_it_adopts(session, layout, EXISTS)
    with pytest.raises(DeployError, match="exists already"):
        deploy(session, STACK, Mode.YES)


def test_the_operator_may_say_that_it_is_taken_over(session: Session, layout: Layout) -> None:
    let_it_fail_unless_it_adopts(session, layout, EXISTS)
    write_tfvars(layout, STACK.name, adopt_existing=True)
    assert adopts(session)


def test_a_run_that_was_killed_counts_as_one_that_did_not_end_well(
    session: Session, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_bootstrap(session, Mode.YES)

    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(Terraform, "apply", die)
    with pytest.raises(SystemExit):
        deploy(session, STACK, Mode.YES)
    assert (layout.data(STACK) / "unfinished").exists()


def test_a_run_that_applied_nothing_leaves_nothing_to_take_over(
    session: Session, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_bootstrap(session, Mode.YES)

    def refuse(*_: object) -> None:
        raise StalePlanError("apply", ["Saved plan is stale"])

    monkeypatch.setattr(Terraform, "apply", refuse)
    with pytest.raises(DeployError):
        deploy(session, STACK, Mode.YES)
    assert not (layout.data(STACK) / "unfinished").exists()
