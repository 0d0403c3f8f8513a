"""The caller's name for one intention: the same key, user and route always name the same operation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from functions.http.errors import MalformedRequest
from shared.kernel.ids import OperationId, Uid, fingerprint, new_id, operation_id

HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intention:
    """Intention of a call, to happen once: the operation id and the request's fingerprint.

    `has_key`: the caller sent a key, so the caller can repeat the request.
    """

    operation: OperationId
    fingerprint: str
    has_key: bool


def intention(key: str | None, uid: Uid, route: str, path: Mapping[str, str], body: str) -> Intention:
    """Return the intention of a call on `route` (method and template) with these path values and canonical body.

    Without a key, every call is an intention of its own. Raises MalformedRequest for an impossible key.
    """
    if key is None:
        return Intention(operation=OperationId(new_id("op")), fingerprint=fingerprint(body), has_key=False)
    if not KEY.fullmatch(key) or not key.strip():
        raise MalformedRequest(f"{HEADER} must be 1 to 255 printable ASCII characters.")
    values = [path[name] for name in sorted(path)]
    return Intention(
        operation=operation_id("http", uid, route, *values, key), fingerprint=fingerprint(body), has_key=True
    )
