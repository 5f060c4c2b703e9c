"""Blob storage: the states with their leases, for logins with the role, and what builds use."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import formatdate

from tests.rehearsal.azure.faults import Faults
from tests.rehearsal.azure.roles import holds
from tests.rehearsal.azure.state import Blob, State
from tests.rehearsal.azure.wire import Reply, Request

SUFFIX = ".blob.core.windows.net"
BUILDS = "rehearsalbuilds"
"""The account of the registry's builds: its addresses have a signature, so no token is asked for."""

_XML = {"Content-Type": "application/xml"}


class Blobs:
    """Answers for every storage account."""

    def __init__(self, state: Callable[[], State], faults: Faults) -> None:
        self._state = state
        self._faults = faults

    def answer(self, request: Request) -> Reply:
        """Answer one request to one account."""
        account = request.host.removesuffix(SUFFIX).lower()
        if account != BUILDS:
            refused = self._refused(request, account)
            if refused is not None:
                return refused
        container, _, name = request.path.strip("/").partition("/")
        if not name:
            return self._list(request, account, container)
        key = f"{account}/{container}/{name}"
        handlers = {"PUT": self._put, "DELETE": self._delete}
        return handlers.get(request.method, self._get)(request, key)

    def _refused(self, request: Request, account: str) -> Reply | None:
        state = self._state()
        found = [
            item
            for item in state.of_type("Microsoft.Storage/storageAccounts")
            if item["name"].lower() == account
        ]
        if not found:
            return _error(404, "ResourceNotFound")
        token = request.token
        if token is None or not str(token["aud"]).startswith("https://storage.azure.com"):
            return _error(401, "InvalidAuthenticationInfo")
        if found[0]["properties"].get("publicNetworkAccess") == "Disabled":
            return _error(403, "AuthorizationFailure")
        allowed = holds(state, found[0]["id"], token["oid"], "Storage Blob Data Contributor")
        if not allowed or self._faults.is_denied(request.host):
            return _error(403, "AuthorizationPermissionMismatch")
        return None

    def _list(self, request: Request, account: str, container: str) -> Reply:
        prefix = f"{account}/{container}/"
        wanted = prefix + request.query.get("prefix", "")
        names = [key.removeprefix(prefix) for key in self._state().blobs if key.startswith(wanted)]
        blobs = "".join(f"<Blob><Name>{name}</Name><Properties/></Blob>" for name in names)
        text = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
        return Reply(200, f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode(), _XML)

    def _get(self, request: Request, key: str) -> Reply:
        blob = self._state().blobs.get(key)
        if blob is None:
            return _error(404, "BlobNotFound")
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": f'"0x{blob.etag:X}"',
            "Last-Modified": formatdate(usegmt=True),
            "x-ms-blob-type": "BlockBlob",
            "x-ms-lease-state": "leased" if blob.lease else "available",
            "x-ms-lease-status": "locked" if blob.lease else "unlocked",
            **{f"x-ms-meta-{name}": value for name, value in blob.metadata.items()},
        }
        size = len(blob.content)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("x-ms-range", ""))
        if wanted is None or size == 0:
            return Reply(200, blob.content, headers)
        start, end = int(wanted[1]), min(int(wanted[2] or size), size - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        return Reply(206, blob.content[start : end + 1], headers)

    def _put(self, request: Request, key: str) -> Reply:
        state = self._state()
        blob = state.blobs.get(key)
        part = request.query.get("comp")
        if part == "lease":
            return _error(404, "BlobNotFound") if blob is None else _lease(request, blob)
        if blob is not None and blob.lease and request.headers.get("x-ms-lease-id") != blob.lease:
            return _error(412, "LeaseIdMissing")
        metadata = {
            name.removeprefix("x-ms-meta-"): value
            for name, value in request.headers.items()
            if name.startswith("x-ms-meta-")
        }
        if part == "metadata":
            if blob is None:
                return _error(404, "BlobNotFound")
            blob.metadata = metadata
            return _done(200, blob)
        lease = "" if blob is None else blob.lease
        state.blobs[key] = Blob(request.content, state.next_number(), metadata, lease)
        return _done(201, state.blobs[key])

    def _delete(self, request: Request, key: str) -> Reply:
        if key not in self._state().blobs:
            return _error(404, "BlobNotFound")
        del self._state().blobs[key]
        return Reply(202, b"", _XML)


def _lease(request: Request, blob: Blob) -> Reply:
    action = request.headers.get("x-ms-lease-action", "")
    proposed = request.headers.get("x-ms-proposed-lease-id", "") or "lease"
    given = request.headers.get("x-ms-lease-id", "")
    if action == "acquire":
        if blob.lease and blob.lease != proposed:
            return _error(409, "LeaseAlreadyPresent")
        blob.lease = proposed
        return _done(201, blob, {"x-ms-lease-id": proposed})
    if action == "release" and given != blob.lease:
        return _error(409, "LeaseIdMismatchWithLeaseOperation")
    blob.lease = given if action == "renew" else ""
    return _done(202 if action == "break" else 200, blob, {"x-ms-lease-time": "0"})


def _done(status: int, blob: Blob, more: dict[str, str] | None = None) -> Reply:
    headers = {"ETag": f'"0x{blob.etag:X}"', "Last-Modified": formatdate(usegmt=True), **(more or {})}
    return Reply(status, b"", {**_XML, **headers})


def _error(status: int, code: str) -> Reply:
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    )
    return Reply(status, text.encode(), {**_XML, "x-ms-error-code": code})
