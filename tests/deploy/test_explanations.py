"""What the operator reads when Azure refuses a part of a stack."""

from __future__ import annotations

import pytest

from scripts.deploy.explanations import explain
from scripts.terraform import TerraformError

_EXISTS = (
    'A resource with the ID "/subscriptions/s/resourceGroups/rg" already exists - to be managed via '
    "Terraform this resource needs to be imported into the State."
)


@pytest.mark.parametrize(
    ("said", "message", "advice"),
    [
        (
            "RequestDisallowedByPolicy: Resource was disallowed by policy.",
            "policy",
            "private_endpoints_enabled",
        ),
        ("FlagMustBeSetForRestore: An existing resource has been soft-deleted.", "deleted", "account purge"),
        (_EXISTS, "exists already", "adopt_existing = true"),
        ("unexpected status 429 with error: TooManyRequests: Slow down.", "too busy", "in some minutes"),
        ("unexpected status 409 with error: RequestConflict: Busy.", "too busy", "in some minutes"),
        ("polling after CreateOrUpdate: Failed", "could not apply", "replaces what Azure could not finish"),
    ],
)
def test_a_failed_apply_says_what_to_do(said: str, message: str, advice: str) -> None:
    error = explain(TerraformError("apply", [said]), "platform stack", "terraform -chdir=stack")
    assert message in error.message
    assert error.details == [said]
    assert advice in error.remedy


def test_the_same_words_in_a_plan_are_not_taken_for_a_failed_apply() -> None:
    error = explain(TerraformError("plan", ["RequestDisallowedByPolicy"]), "platform stack")
    assert error.remedy == "Nothing was changed: correct the cause and run the command again."


_POLLED = """polling failed: the Azure API returned the following error:

Status: "Failed"
Code: "InternalServerError"
Message: "It broke."
Activity Id: ""

---

API Response:

----[start]----
{"error": {"code": "InternalServerError", "message": "It broke."}}
-----[end]-----
"""


def test_what_the_provider_says_twice_is_shown_once() -> None:
    error = explain(TerraformError("apply", [f"module.a.b: {_POLLED}", _POLLED]), "platform stack")
    (said,) = error.details
    assert (said.count("InternalServerError"), said.count("It broke.")) == (1, 1)


def test_an_answer_without_a_message_is_shown_whole() -> None:
    error = explain(TerraformError("apply", [_POLLED.replace("It broke.", "", 1)]), "platform stack")
    assert "It broke." in error.details[0]
