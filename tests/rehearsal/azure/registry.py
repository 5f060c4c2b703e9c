"""The container registry: builds, and the images that they leave."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable

from tests.rehearsal.azure.blobs import BUILDS, SUFFIX
from tests.rehearsal.azure.state import Blob, Resource, State
from tests.rehearsal.azure.wire import Reply, Request, encode_token, refusal

HOST_SUFFIX = ".azurecr.io"


def digest_of(image: str) -> str:
    """The digest of an image, which is named by its tag here."""
    return f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


class Registry:
    """Answers the Resource Manager's side of builds, and the registries themselves."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def manage(self, request: Request, resource_id: str, action: str) -> Reply:
        """Answer a build's step: the upload, the run, its log."""
        state = self._state()
        if state.find(resource_id) is None:
            return refusal(404, "ResourceNotFound", f"The Resource '{resource_id}' was not found.")
        if action == "listBuildSourceUploadUrl":
            name = f"source/{state.next_number()}.tar.gz"
            url = f"https://{BUILDS}{SUFFIX}/{name}?sig=rehearsal"
            return Reply(200, {"uploadUrl": url, "relativePath": name})
        if action == "importImage":
            state.images[resource_id.rpartition("/")[2].lower()] += request.body["targetTags"]
            return Reply(200, {})
        if action == "scheduleRun":
            return Reply(200, self._run(request, resource_id))
        run = state.runs.get(action.split("/")[1])
        if run is None:
            return refusal(404, "RunNotFound", "There is no such run.")
        if action.endswith("/listLogSasUrl"):
            return Reply(200, {"logLink": f"https://{BUILDS}{SUFFIX}/logs/{run['name']}?sig=rehearsal"})
        return Reply(200, run)

    def _run(self, request: Request, resource_id: str) -> Resource:
        """Build: look into the context as a build agent would, and keep the image."""
        state, body = self._state(), request.body
        run_id = f"r{state.next_number()}"
        context = state.blobs[f"{BUILDS}/{body['sourceLocation']}"]
        with tarfile.open(fileobj=io.BytesIO(context.content)) as archive:
            names = {name.removeprefix("./") for name in archive.getnames()}
        problem = "" if body["dockerFilePath"] in names else f"no {body['dockerFilePath']} in the context"
        lines = [f"files in the context: {len(names)}", problem or f"pushed {', '.join(body['imageNames'])}"]
        if not problem:
            state.images[resource_id.rpartition("/")[2].lower()] += body["imageNames"]
        ended = "failed" if problem else "successful"
        log = "\r\n".join([*lines, ""]).encode()
        state.blobs[f"{BUILDS}/logs/{run_id}"] = Blob(log, state.next_number(), {"Complete": ended})
        properties = {"runId": run_id, "status": "Succeeded" if not problem else "Failed"}
        properties["provisioningState"] = "Succeeded"
        run = {"id": f"{resource_id}/runs/{run_id}", "name": run_id, "properties": properties}
        state.runs[run_id] = run
        return run

    def answer(self, request: Request) -> Reply:
        """Answer a registry's own API: tokens, and which images there are."""
        name = request.host.removesuffix(HOST_SUFFIX).lower()
        state = self._state()
        images = state.images.get(name)
        if images is None:
            return refusal(404, "NAME_UNKNOWN", f"There is no registry {name}.")
        path = request.path.rstrip("/")
        if path == "/v2":
            challenge = f'Bearer realm="https://{request.host}/oauth2/token",service="{request.host}"'
            return Reply(401, {}, {"WWW-Authenticate": challenge})
        token = encode_token({"aud": request.host, "exp": 2_000_000_000, "oid": "registry"})
        if path == "/oauth2/exchange":
            return Reply(200, {"refresh_token": token})
        if path == "/oauth2/token":
            return Reply(200, {"access_token": token})
        repository, _, tag = path.removeprefix("/acr/v1/").partition("/_tags/")
        if f"{repository}:{tag}" in images:
            shown = {"name": tag, "digest": digest_of(f"{repository}:{tag}")}
            return Reply(200, {"registry": request.host, "imageName": repository, "tag": shown})
        if any(each.startswith(f"{repository}:") for each in images):
            error = {"code": "TAG_UNKNOWN", "message": "the specified tag does not exist"}
        else:
            error = {"code": "NAME_UNKNOWN", "message": f'repository "{repository}" is not found'}
        return Reply(404, {"errors": [error]}, {"x-ms-correlation-request-id": state.guid()})
