"""Typed calls of the Azure CLI: logins, image builds, revisions, quotas.

No secret is ever an argument: other users of a machine can read the arguments of a process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from scripts.deploy.deploy_errors import DeployError, NotReadyError

PUBLIC_CLOUD = "AzureCloud"
INSTALL_AZURE_CLI = "Install it: https://aka.ms/install-azure-cli"


class AzureCliError(DeployError):
    """`az` failed; `details` are the last lines that it printed."""

    def __init__(self, arguments: Sequence[str], stderr: str) -> None:
        command = takewhile(lambda word: not word.startswith("-"), arguments[:3])
        lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.strip()]
        super().__init__(f"az {' '.join(command)} failed.", details=lines[-12:], remedy=_remedy(lines))

    @property
    def is_not_found(self) -> bool:
        """Whether the resource does not exist."""
        text = "\n".join(self.details).lower()
        # A login that cannot see the subscription cannot know whether the resource exists.
        return "subscriptionnotfound" not in text and any(
            sign in text
            for sign in ("notfound", "not found", "could not be found", "does not exist", "was not found")
        )


# What `az` prints, in the order of preference, and what to do about it.
_REMEDIES = {
    "SubscriptionNotFound": "Run `az login` with an account that can see the subscription, or correct "
    "subscription_id.",
    "TasksOperationsNotAllowed": "This subscription may not build in the registry: free credit does not "
    "include that. Build on this machine with --local-docker, or ask Azure's support for registry tasks.",
    "toomanyrequests": "A public registry limits how many images one address pulls, and many customers share "
    "the address of a build agent. Try again in some hours, or build on this machine with --local-docker.",
    "AADSTS": "Run `az login` again.",
    "az login": "Run `az login` again.",
}


def _remedy(lines: Sequence[str]) -> str:
    text = "\n".join(lines).lower()
    return next((remedy for sign, remedy in _REMEDIES.items() if sign.lower() in text), "")


@dataclass(frozen=True, slots=True)
class Account:
    """The login of the Azure CLI."""

    user: str
    cloud: str

    def check_cloud(self) -> None:
        """Raise `NotReadyError` outside the public cloud, where the stacks do not work."""
        if self.cloud != PUBLIC_CLOUD:
            raise NotReadyError(
                f"The login belongs to {self.cloud}; these stacks work only in Azure's public cloud.",
                remedy=f"Run `az cloud set --name {PUBLIC_CLOUD}` and `az login`.",
            )


@dataclass(frozen=True, slots=True)
class Revision:
    """The state of a revision of a Container App, as Azure reports it."""

    running_state: str
    health_state: str
    provisioning_state: str
    provisioning_error: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A version of a model as one kind of deployment in a region, and the quota that it takes from."""

    model: str
    version: str
    sku: str
    quota: str


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a replica: its name, its state and why, and where its log is."""

    name: str
    state: str
    detail: str
    log_url: str


class AzureCli:
    """Typed calls of `az`. Each raises `AzureCliError` when `az` fails."""

    def __init__(self, binary: str = "az", subscription_id: str | None = None) -> None:
        self._binary = binary
        self._subscription = subscription_id

    def is_installed(self) -> bool:
        """Whether `az` is installed."""
        return shutil.which(self._binary) is not None

    def require(self) -> None:
        """Raise `NotReadyError` when `az` is not installed."""
        self._program()

    def account(self) -> Account:
        """The login. Raises `NotReadyError` without one."""
        try:
            found = self._json("account", "show", scoped=False)
        except AzureCliError as error:
            raise NotReadyError(
                "Nobody is logged in to Azure.", details=error.details, remedy="Run `az login`."
            ) from None
        cloud = found.get("environmentName", PUBLIC_CLOUD)
        return Account(found["user"]["name"], cloud)

    def subscription(self) -> str | None:
        """The id of the login's subscription; None without a login or without `az`."""
        try:
            return str(self._json("account", "show", scoped=False)["id"])
        except (AzureCliError, NotReadyError):
            return None

    def resource_manager(self) -> str:
        """Address of the Azure Resource Manager in the cloud of the login."""
        return str(self._json("cloud", "show", "--query", "endpoints.resourceManager", scoped=False))

    def version(self) -> str:
        """The version of `az`, such as `2.80.0`."""
        return str(self._json("version", scoped=False)["azure-cli"])

    def token_expiry(self) -> str:
        """The time until which the login is valid for the subscription.

        `account show` only reads a file; this call notices that a login has ended.
        """
        return str(self._json("account", "get-access-token", "--query", "expiresOn"))

    def provider_states(self) -> dict[str, str]:
        """Registration state of every resource provider, for example Registered."""
        query = "[].{namespace: namespace, state: registrationState}"
        found = self._json("provider", "list", "--query", query)
        return {item["namespace"]: item["state"] for item in found}

    def name_problem(self, kind: tuple[str, ...], name: str) -> str:
        """Why a globally unique name is not available for a kind such as `acr`; empty when it is."""
        if kind == ("keyvault",):  # `az keyvault check-name` asks about managed HSMs, whose names are others
            body = {"name": name, "type": "Microsoft.KeyVault/vaults"}
            found = self._post("providers/Microsoft.KeyVault/checkNameAvailability", "2023-07-01", body)
        else:
            found = self._json(*kind, "check-name", "--name", name)
        return "" if found["nameAvailable"] else str(found.get("message") or found.get("reason"))

    def owns(self, name: str) -> bool:
        """Whether the subscription has a resource of that name, or a deleted vault that can be recovered."""
        if self._json("resource", "list", "--name", name, "--query", "[].id"):
            return True
        return bool(self._json("keyvault", "list-deleted", "--query", f"[?name=='{name}'].id"))

    def model_offers(self, location: str) -> list[Offer]:
        """The models that a region offers: one for each version and kind of deployment."""
        found = self._json("cognitiveservices", "model", "list", "--location", location)
        models = [item["model"] for item in found]
        return [
            Offer(model["name"], model["version"], sku["name"], sku.get("usageName") or "")
            for model in models
            for sku in model.get("skus") or ()
        ]

    def model_quota(self, location: str) -> list[dict[str, Any]]:
        """Quota of the region: name, current value and limit of each kind of deployment."""
        found = self._json("cognitiveservices", "usage", "list", "--location", location)
        return [
            {"name": item["name"]["value"], "used": item["currentValue"], "limit": item["limit"]}
            for item in found
        ]

    def storage_account_exists(self, resource_group: str, name: str) -> bool:
        """Whether a storage account exists."""
        return self._exists("storage", "account", "show", "-g", resource_group, "-n", name)

    def image_exists(self, registry: str, repository: str, tag: str) -> bool:
        """Whether the registry has an image of that tag."""
        return self.image_digest(registry, f"{repository}:{tag}") is not None

    def image_digest(self, registry: str, image: str) -> str | None:
        """The digest of an image in the registry, such as `sha256:…`; None when it is not there."""
        try:
            found = self._json("acr", "repository", "show", "--name", registry, "--image", image)
            return str(found["digest"])
        except AzureCliError as error:
            if error.is_not_found:
                return None
            raise

    def import_image(self, registry: str, source: str, image: str) -> None:
        """Let the registry copy an image of another registry, in place of what it has by that name."""
        self._text("acr", "import", "--name", registry, "--source", source, "--image", image, "--force")

    def build_image(
        self,
        registry: str,
        image: str,
        dockerfile: str,
        context: str,
        arguments: Sequence[str],
        listener: Callable[[str], None],
    ) -> None:
        """Let the registry build and keep an image, from a directory on this machine."""
        build = ["acr", "build", "--registry", registry, "--image", image, "--file", dockerfile]
        self._stream([*build, *arguments, context], listener)

    def log_in_docker(self, registry: str) -> None:
        """Let the local Docker push to the registry, with a token of the login."""
        self._text("acr", "login", "--name", registry)

    def revision(self, resource_group: str, app: str, name: str) -> Revision:
        """State of one revision of a Container App."""
        words = ("containerapp", "revision", "show", "-g", resource_group, "-n", app, "--revision", name)
        properties = self._json(*words)["properties"]
        return Revision(
            running_state=properties.get("runningState") or "",
            health_state=properties.get("healthState") or "",
            provisioning_state=properties.get("provisioningState") or "",
            provisioning_error=properties.get("provisioningError") or "",
            replicas=int(properties.get("replicas") or 0),
        )

    def latest_revision(self, resource_group: str, app: str) -> str | None:
        """Name of the newest revision of a Container App, whether it runs or not."""
        words = ("containerapp", "show", "-g", resource_group, "-n", app)
        found = self._json(*words, "--query", "properties.latestRevisionName")
        return None if found is None else str(found)

    def containers(self, resource_group: str, app: str, revision: str) -> list[Container]:
        """The containers of the first replica of a revision, init containers first."""
        words = ("containerapp", "replica", "list", "-g", resource_group, "-n", app, "--revision", revision)
        replicas = self._json(*words) or []
        properties = replicas[0]["properties"] if replicas else {}
        return [
            Container(
                item.get("name") or "",
                item.get("runningState") or "",
                item.get("runningStateDetails") or "",
                item.get("logStreamEndpoint") or "",
            )
            for kind in ("initContainers", "containers")
            for item in properties.get(kind) or []
        ]

    def log_token(self, resource_group: str, app: str) -> str:
        """A token for the logs of a Container App."""
        path = f"resourceGroups/{resource_group}/providers/Microsoft.App/containerApps/{app}/getAuthToken"
        return str(self._post(path, "2025-07-01", {})["properties"]["token"])

    def _post(self, path: str, version: str, body: Mapping[str, Any]) -> Any:
        """Post to a path below the subscription, for which `az` has no command."""
        url = f"/subscriptions/{self._subscription or '{subscriptionId}'}/{path}?api-version={version}"
        words = ("rest", "--method", "post", "--url", url, "--body", json.dumps(body))
        return self._json(*words, scoped=False)

    def _exists(self, *arguments: str) -> bool:
        try:
            self._json(*arguments)
        except AzureCliError as error:
            if error.is_not_found:
                return False
            raise
        return True

    def _json(self, *arguments: str, scoped: bool = True) -> Any:
        text = self._text(*arguments, "--output", "json", scoped=scoped)
        try:
            return json.loads(text) if text.strip() else None
        except ValueError:
            raise AzureCliError(arguments, "It did not print JSON.") from None

    def _text(self, *arguments: str, scoped: bool = True) -> str:
        result = subprocess.run(  # noqa: S603 - no shell, no argument from outside
            self._line(arguments, scoped=scoped),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode != 0:
            raise AzureCliError(arguments, result.stderr)
        return result.stdout

    def _stream(self, arguments: list[str], listener: Callable[[str], None]) -> None:
        process = subprocess.Popen(  # noqa: S603 - as above
            self._line(tuple(arguments), scoped=True),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",  # a build may print anything
        )
        last: list[str] = []
        try:
            assert process.stdout is not None
            for line in process.stdout:
                last = [*last[-30:], line.rstrip()]
                listener(line.rstrip())
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if code != 0:
            raise AzureCliError(arguments[:2], "\n".join(last))

    def _line(self, arguments: tuple[str, ...], *, scoped: bool) -> list[str]:
        scope = ["--subscription", self._subscription] if scoped and self._subscription else []
        return [self._program(), *arguments, *scope]

    def _program(self) -> str:
        program = shutil.which(self._binary)
        if program is None:
            raise NotReadyError("The Azure CLI was not found.", remedy=f"{INSTALL_AZURE_CLI}.")
        return program
