"""What the operator reads when Terraform fails: for each kind of failure a message and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scripts.deploy.deploy_errors import (
    DeployError,
    InterruptedDeploymentError,
    LockedError,
    NotReadyError,
)
from scripts.terraform import (
    MINIMUM_VERSION,
    StalePlanError,
    StateLockedError,
    TerraformError,
    TerraformMissingError,
)

INSTALL_TERRAFORM = (
    f"Install Terraform {'.'.join(map(str, MINIMUM_VERSION))} or newer, or set TERRAFORM_BINARY=tofu."
)

# Azure storage answers with one of these until a new role is known everywhere.
_NO_ACCESS = ("AuthorizationPermissionMismatch", "AuthorizationFailure", "StatusCode=403", "status 403")
_NO_TOKEN = ("AADSTS", "az login")
_NO_PROVIDERS = ("provider packages", "Failed to install provider")
_NO_NETWORK = (
    "no such host",
    "connection refused",
    "network is unreachable",
    "i/o timeout",
    "TLS handshake timeout",
)
_UNSAVED = "errored.tfstate"
"""Terraform leaves the state in this file when it cannot save it, for example after its token has ended."""

_BY_POLICY = ("RequestDisallowedByPolicy",)
_NAME_OF_DELETED = ("FlagMustBeSetForRestore", "soft-deleted", "exists in deleted state")
_UNKNOWN_TO_STATE = ("already exists - to be managed via Terraform", "RoleAssignmentExists")
_BUSY = ("TooManyRequests", "RequestConflict", "AnotherOperationInProgress", "status 429")

# The provider says code and message of a failed operation, and then the whole answer once more.
_ANSWER = re.compile(r'(Message: "[^"\n]+"\n).*?-----\[end\]-----\s*', re.DOTALL)

_READING = {"init", "output", "state list"}


@dataclass(frozen=True, slots=True)
class _Explanation:
    """The explanation of one kind of failure, with `{what}` for the stack and `{by_hand}` for a command."""

    applies: Callable[[TerraformError], bool]
    message: str
    remedy: str
    kind: type[DeployError] = DeployError
    quotes_terraform: bool = True


# The first one that applies wins.
_EXPLANATIONS = (
    _Explanation(
        lambda error: _says(error, [_UNSAVED]),
        "Terraform could not save the state of the {what}.",
        "Run no other command for it: that would make everything once more. "
        f"{_UNSAVED} knows what was made. Put it where it belongs first, and then remove it here: "
        f"{{by_hand}} state push {_UNSAVED}",
    ),
    _Explanation(
        lambda error: error.killed,
        "Stopped before Terraform saved its state. It may lack what was just made, and be locked.",
        "Run the command again: it says how to release a lock, if there is one.",
        InterruptedDeploymentError,
    ),
    _Explanation(
        lambda error: error.interrupted,
        "Stopped. Terraform saved its state and released its lock.",
        "Run the command again to go on from here. It also takes over what Azure was still making.",
        InterruptedDeploymentError,
        quotes_terraform=False,
    ),
    _Explanation(
        lambda error: isinstance(error, StalePlanError),
        "Another run has changed the {what} since this plan was made. It was not applied.",
        "Run the command again to see the plan as it is now.",
        quotes_terraform=False,
    ),
    _Explanation(
        lambda error: error.command != "apply" and _says(error, _NO_TOKEN),
        "Terraform gets no token for Azure.",
        "Run `az login` again; in a pipeline, check its ARM_* variables.",
    ),
    _Explanation(
        lambda error: error.command == "init" and _says(error, _NO_PROVIDERS),
        "Terraform cannot download the providers of the {what}.",
        "Check the network and its proxy, or name a mirror in Terraform's own configuration.",
    ),
    _Explanation(
        lambda error: error.command in _READING and _says(error, _NO_NETWORK),
        "The state of the {what} cannot be reached.",
        "Check the network, its proxy and its DNS; `aoai-gateway doctor` says whether the storage exists.",
    ),
    _Explanation(
        lambda error: error.command in _READING and is_denied(error),
        "The login may not read the state of the {what}.",
        "Ask a colleague who may: put your object id (az ad signed-in-user show --query id) into "
        "state_principals, or your address into state_allowed_ip_ranges, and run deploy-bootstrap.",
    ),
    _Explanation(
        lambda error: error.command == "apply" and _says(error, _BY_POLICY),
        "A policy of the organisation forbids what the {what} makes.",
        "The text above names the policy. If it forbids public access, set network_address_space and "
        "private_endpoints_enabled = true in the section platform, and run the commands inside that network "
        "(docs/deploy.md, Network). Otherwise ask for an exemption. Then run the command again.",
    ),
    _Explanation(
        lambda error: error.command == "apply" and _says(error, _NAME_OF_DELETED),
        "A deleted resource still has a name that the {what} needs.",
        "Purge it (az cognitiveservices account list-deleted, then az cognitiveservices account purge), or "
        "set another `suffix` before the first deployment. Then run the command again.",
    ),
    _Explanation(
        lambda error: error.command == "apply" and exists_already(error),
        "The {what} wants to make a resource that exists already, but is not in its state.",
        "A run that was killed may have left it. If nothing else uses what is named above, take it over: set "
        "adopt_existing = true for one run, in the section of this stack (for the gateway at the top), and "
        "run the command again. Otherwise remove it with az resource delete --ids and the id above.",
    ),
    _Explanation(
        lambda error: error.command == "apply" and _says(error, _BUSY),
        "Azure was too busy for a part of the {what}.",
        "What was done until then is in the state: run the command again in some minutes.",
    ),
    _Explanation(
        lambda error: error.command == "apply",
        "Terraform could not apply the {what}.",
        "The state has what was made until then. Correct the cause and run the command again: it goes on "
        "from there, and replaces what Azure could not finish.",
    ),
    _Explanation(
        lambda _: True,
        "Terraform could not {verb} the {what}.",
        "Nothing was changed: correct the cause and run the command again.",
    ),
)
_VERBS = {"init": "initialise", "output": "read", "state list": "read"}


def explain(
    error: TerraformError | TerraformMissingError, what: str, by_hand: str = "terraform"
) -> DeployError:
    """Say in the operator's words why Terraform failed with `what`, and what to do.

    `by_hand` is the beginning of a Terraform command for the operator to type. A `StalePlanError` with
    `what="platform stack"` gives "Another run has changed the platform stack since this plan was made …".
    """
    if isinstance(error, TerraformMissingError):
        return NotReadyError(f"{error.binary} was not found.", remedy=INSTALL_TERRAFORM)
    if isinstance(error, StateLockedError):
        return _explain_lock(error, by_hand)
    found = next(item for item in _EXPLANATIONS if item.applies(error))
    verb = _VERBS.get(error.command, error.command)
    return found.kind(
        found.message.format(what=what, verb=verb),
        details=_readable(error.diagnostics) if found.quotes_terraform else (),
        remedy=found.remedy.format(by_hand=by_hand),
    )


def _readable(diagnostics: Sequence[str]) -> list[str]:
    """The words of the provider, each once: without the whole answer, and without what ends another text."""
    short = [_ANSWER.sub(r"\1", text) for text in diagnostics]
    return [
        text
        for text in dict.fromkeys(short)
        if not any(other != text and other.endswith(text) for other in short)
    ]


def is_denied(error: TerraformError) -> bool:
    """Whether the state's storage denied access, which a new role may still change."""
    return _says(error, _NO_ACCESS)


def exists_already(error: TerraformError) -> bool:
    """Whether a resource that was to be made is there, but in no state."""
    return _says(error, _UNKNOWN_TO_STATE)


def _says(error: TerraformError, signs: Sequence[str]) -> bool:
    return any(sign in text for text in error.diagnostics for sign in signs)


def _explain_lock(error: StateLockedError, by_hand: str) -> LockedError:
    """Say who holds the lock. The commands never break it themselves."""
    lock = error.lock
    facts = {"held by": lock.who, "since": lock.created, "for": lock.operation}
    force = f"{by_hand} force-unlock {lock.id or '<lock id>'}"
    return LockedError(
        "Another deployment of this stack is running: its state is locked.",
        details=[f"{name}: {value}" for name, value in facts.items() if value] or error.diagnostics,
        remedy=f"Wait for it to end. Only if you are certain that no run holds it any more: {force}",
    )
