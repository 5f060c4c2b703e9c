"""Container Apps: revisions, what their containers print, and the answers of the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from scripts.deploy.layout import REPOSITORY
from tests.rehearsal.azure.registry import digest_of
from tests.rehearsal.azure.state import Resource, Revision, State
from tests.rehearsal.azure.wire import Reply, Request, refusal

SUFFIX = ".azurecontainerapps.io"
STREAMS = "swedencentral.azurecontainerapps.dev"
_RENDERER = "config-renderer"
_THEN = "2026-01-01T00:00:00Z"


class Apps:
    """Rolls revisions out, shows them, and answers for the apps."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def roll_out(self, item: Resource, fault: dict[str, str] | None) -> dict[str, str] | None:
        """Make a revision when the template has changed. Returns the error when it does not start.

        With a fault the gateway's container never gets ready.
        """
        state, properties = self._state(), item["properties"]
        revisions = state.revisions.setdefault(item["id"].lower(), [])
        template = properties["template"]
        self._complete(item)
        if revisions and revisions[-1].template == template:
            return _error_of(item["name"], revisions[-1])
        number = state.next_number()
        name = f"{item['name']}--{template.get('revisionSuffix') or f'{number:07d}'}"
        revision = Revision(name, json.loads(json.dumps(template)))
        self._start(item, revision)
        if fault is not None:
            revision.logs["gateway"] = ["nginx: [emerg] host not found in upstream"]
            _fail(revision, fault["message"])
        revisions.append(revision)
        properties["latestRevisionName"] = name
        error = _error_of(item["name"], revision)
        if error is None:
            properties["latestReadyRevisionName"] = name
        return error

    def _complete(self, item: Resource) -> None:
        properties = item["properties"]
        ingress = properties.get("configuration", {}).get("ingress")
        environment = self._state().find(properties["managedEnvironmentId"]) or {}
        if ingress:
            inside = "" if ingress.get("external") else "internal."
            ingress["fqdn"] = f"{item['name']}.{inside}{environment['properties']['defaultDomain']}"
        properties |= {
            "environmentId": properties["managedEnvironmentId"],
            "eventStreamEndpoint": f"{_stream_of(item['id'])}/eventstream",
            "outboundIpAddresses": ["20.0.0.2"],
            "customDomainVerificationId": "0" * 64,
            "runningStatus": "Running",
        }

    def _start(self, item: Resource, revision: Revision) -> None:
        """Pull the images, read the secrets, and run the real renderer as the init container."""
        state = self._state()
        containers = [*(revision.template.get("initContainers") or []), *revision.template["containers"]]
        for container in containers:
            server, _, image = container["image"].partition("/")
            images = state.images.get(server.removesuffix(".azurecr.io"))
            if images is not None and image not in {*images, *map(_by_digest, images)}:
                _fail(revision, f"Failed to pull image {container['image']}: not found")
                return
        secrets = {}
        for secret in item["properties"]["configuration"].get("secrets") or []:
            value = self._secret(secret.get("keyVaultUrl", ""))
            if value is None:
                _fail(revision, f"Unable to get value using Managed identity for secret {secret['name']}")
                return
            secrets[secret["name"]] = value
        for container in revision.template.get("initContainers") or []:
            if container["name"] == _RENDERER:
                self._render(container, secrets, revision)

    def _secret(self, url: str) -> str | None:
        host, _, path = url.removeprefix("https://").partition("/")
        vault = self._state().vaults.get(host.partition(".")[0].lower())
        _, name, version = [*path.split("/"), ""][:3]
        secret = None if vault is None else vault.secrets.get(name)
        versions = dict(secret.versions) if secret else {}
        return versions.get(version)

    def _render(self, container: dict[str, Any], secrets: dict[str, str], revision: Revision) -> None:
        variables = {
            each["name"]: secrets[each["secretRef"]] if each.get("secretRef") else each.get("value", "")
            for each in container.get("env") or []
        }
        revision.settings = variables
        usual = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with tempfile.TemporaryDirectory() as directory:
            result = subprocess.run(
                [sys.executable, "-m", "renderer", "--output-dir", directory],
                cwd=REPOSITORY,
                env={**usual, **variables, "COLUMNS": "120"},
                capture_output=True,
                text=True,
                check=False,
            )
        revision.logs[_RENDERER] = (result.stdout + result.stderr).splitlines()
        if result.returncode != 0:
            _fail(revision, f"Container {_RENDERER} terminated with exit code {result.returncode}")

    def manage(self, request: Request, app_id: str, action: str) -> Reply:
        """Answer the Resource Manager's side: revisions, replicas, the token of the logs."""
        item = self._state().find(app_id)
        if item is None:
            return refusal(404, "ResourceNotFound", f"The Resource '{app_id}' was not found.")
        if action == "listSecrets":
            return Reply(200, {"value": item["properties"]["configuration"].get("secrets") or []})
        if action == "getAuthToken":
            return Reply(200, {"properties": {"token": "stream-token", "expires": "2027-01-01T00:00:00Z"}})
        _, name, *rest = [*action.split("/"), ""]
        revisions = self._state().revisions.get(app_id.lower(), [])
        if not name:
            return Reply(200, {"value": [_revision(app_id, each) for each in revisions]})
        found = [each for each in revisions if each.name == name]
        if not found:
            return refusal(404, "RevisionNotFound", f"There is no revision {name}.")
        if rest[:1] == ["replicas"]:
            replica = _replica(app_id, found[0])
            return Reply(200, replica if rest[1:2] == [replica["name"]] else {"value": [replica]})
        return Reply(200, _revision(app_id, found[0]))

    def stream(self, request: Request) -> Reply:
        """Answer the endpoint of the logs: of the system, or of one container."""
        if request.headers.get("authorization") != "Bearer stream-token":
            return Reply(401, b"")
        path, _, rest = request.path.partition("/revisions/")
        group, _, app = path.removesuffix("/eventstream").partition("/containerApps/")
        app_id = f"{group}/providers/Microsoft.App/containerApps/{app}"
        revisions = self._state().revisions.get(app_id.lower(), [])
        if not revisions:
            return Reply(404, b"")
        if not rest:
            lines = [json.dumps(each) for each in _events(revisions[-1])]
        else:
            words = rest.split("/")
            revision = next(each for each in revisions if each.name == words[0])
            lines = revision.logs.get(words[words.index("containers") + 1], [])
            if request.query.get("output") == "json":
                lines = [json.dumps({"TimeStamp": _THEN, "Log": line}) for line in lines]
        return Reply(200, "".join(f"{line}\n" for line in lines).encode(), {"Content-Type": "text/plain"})

    def answer(self, request: Request) -> Reply:
        """Answer as the gateway does, with the keys that its revision was started with."""
        for item in self._state().of_type("Microsoft.App/containerApps"):
            ingress = item["properties"]["configuration"].get("ingress") or {}
            ready = item["properties"].get("latestReadyRevisionName")
            if ingress.get("fqdn") != request.host or not ready:
                continue
            revisions = self._state().revisions[item["id"].lower()]
            revision = next(each for each in revisions if each.name == ready)
            keys = {
                value for name, value in revision.settings.items() if name.startswith("GATEWAY_CLIENT_KEY")
            }
            if request.headers.get("api-key") not in keys:
                return refusal(401, "401", "Access denied due to invalid subscription key.")
            name = revision.settings.get("AZURE_OPENAI_NAME_0", "backend")
            headers = {"x-gateway-backend": name, "x-gateway-attempts": f"{name}:200"}
            if request.method == "GET":
                return Reply(200, {"object": "list", "data": []}, headers)
            said = {"role": "assistant", "content": "Hello."}
            return Reply(200, {"model": request.body["model"], "choices": [{"message": said}]}, headers)
        return Reply(404, b"")


def _stream_of(app_id: str) -> str:
    """Where the logs of an app are: its id without the provider."""
    return f"https://{STREAMS}{app_id.replace('/providers/Microsoft.App', '')}"


def _by_digest(image: str) -> str:
    """`redis:7.4` as `redis@sha256:…`."""
    return f"{image.rpartition(':')[0]}@{digest_of(image)}"


def _fail(revision: Revision, why: str) -> None:
    revision.running_state, revision.health_state = "Failed", "Unhealthy"
    revision.provisioning_state, revision.provisioning_error = "Failed", why


def _error_of(app: str, revision: Revision) -> dict[str, str] | None:
    if revision.provisioning_state != "Failed":
        return None
    message = (
        f"Failed to provision revision for container app '{app}'. Error details: "
        f"{revision.provisioning_error or 'Operation expired.'}"
    )
    return {"code": "ContainerAppOperationError", "message": message}


def _events(revision: Revision) -> list[dict[str, str]]:
    reason = "RevisionReady" if revision.running_state == "Running" else "ContainerTerminated"
    return [
        {
            "TimeStamp": _THEN,
            "Type": "Normal" if reason == "RevisionReady" else "Warning",
            "RevisionName": revision.name,
            "Reason": reason,
            "Msg": revision.provisioning_error or "The revision is ready",
        }
    ]


def _revision(app_id: str, revision: Revision) -> Resource:
    return {
        "id": f"{app_id}/revisions/{revision.name}",
        "name": revision.name,
        "type": "Microsoft.App/containerapps/revisions",
        "properties": {
            "active": True,
            "runningState": revision.running_state,
            "healthState": revision.health_state,
            "provisioningState": revision.provisioning_state,
            "provisioningError": revision.provisioning_error,
            "replicas": 1,
            "template": revision.template,
        },
    }


def _replica(app_id: str, revision: Revision) -> Resource:
    name = f"{revision.name}-5d4c7b"
    base = f"{_stream_of(app_id)}/revisions/{revision.name}/replicas/{name}/containers"
    running = revision.running_state == "Running"

    def shown(container: dict[str, Any]) -> Resource:
        state = "Running" if running else "Waiting"
        if container["name"] in revision.logs:
            state = "Terminated"
        stream = f"{base}/{container['name']}/logstream"
        detail = revision.provisioning_error
        return {
            "name": container["name"],
            "runningState": state,
            "runningStateDetails": detail,
            "logStreamEndpoint": stream,
        }

    return {
        "id": f"{app_id}/revisions/{revision.name}/replicas/{name}",
        "name": name,
        "properties": {
            "containers": [shown(each) for each in revision.template["containers"]],
            "initContainers": [shown(each) for each in revision.template.get("initContainers") or []],
            "runningState": "Running" if running else "NotRunning",
        },
    }
