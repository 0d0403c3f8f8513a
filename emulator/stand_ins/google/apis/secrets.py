"""Secret Manager: secrets, their versions, and who may read them. Names in answers have the project's number."""

import base64
import re
from typing import Any

from emulator.stand_ins.google.calls import Call, serve_policy, serves
from emulator.stand_ins.google.errors import already_exists, failed_precondition, invalid, not_found
from emulator.stand_ins.google.policies import Policy
from emulator.stand_ins.google.state import Project, now_text
from emulator.stand_ins.wire import Json, copied

SECRET_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
PAYLOAD_BYTES_MAX = 64 << 10
NOT_CHANGEABLE = ("name", "createTime", "replication")


def _told(call: Call, resource: Json) -> Json:
    """Return the resource with the project's number in its name."""
    name = str(resource["name"]).replace(f"projects/{call.project.id}/", f"projects/{call.project.number}/", 1)
    return copied({**resource, "name": name})


def _secret_name(call: Call) -> str:
    return f"projects/{call.project.id}/secrets/{call.places['secretsId']}"


def _secret(call: Call) -> Json:
    name = _secret_name(call)
    if name not in call.table("Secret"):
        raise not_found(f"Secret [projects/{call.project.number}/secrets/{call.places['secretsId']}] not found.")
    return call.table("Secret")[name]


def find_version(project: Project, secret: str, version: str) -> Json:
    """Return a version by its number or `latest`. Raises NOT_FOUND in Google's words."""
    name = f"projects/{project.id}/secrets/{secret}"
    told = f"projects/{project.number}/secrets/{secret}"
    if name not in project.table("Secret"):
        raise not_found(f"Secret [{told}] not found or has no versions.")
    versions = project.table("SecretVersion")
    if version == "latest":
        numbers = [int(each.rpartition("/")[2]) for each in versions if each.startswith(f"{name}/versions/")]
        if not numbers:
            raise not_found(f"Secret [{told}] not found or has no versions.")
        version = str(max(numbers))
    if f"{name}/versions/{version}" not in versions:
        raise not_found(f"Secret Version [{told}/versions/{version}] not found.")
    return versions[f"{name}/versions/{version}"]


def _version(call: Call) -> Json:
    return find_version(call.project, call.places["secretsId"], call.places["versionsId"])


@serves("secretmanager.v1 projects.secrets.create", needs="secretmanager.secrets.create")
def create_secret(call: Call) -> Json:
    secret_id = call.query.get("secretId", "")
    if not SECRET_ID.fullmatch(secret_id):
        raise invalid(f"Secret ID [{secret_id}] is not valid.", field="secret_id")
    if len(set(call.body.get("replication") or {}) & {"automatic", "userManaged"}) != 1:
        raise invalid("The replication policy must be set.", field="secret.replication")
    name = f"projects/{call.project.id}/secrets/{secret_id}"
    if name in call.table("Secret"):
        raise already_exists(f"Secret [projects/{call.project.number}/secrets/{secret_id}] already exists.")
    given = {key: value for key, value in call.body.items() if key not in {"name", "createTime"}}
    return _told(call, call.table("Secret").add(name, {**given, "createTime": now_text(), "etag": '"1"'}))


@serves("secretmanager.v1 projects.secrets.get", needs="secretmanager.secrets.get")
def get_secret(call: Call) -> Json:
    return _told(call, _secret(call))


@serves("secretmanager.v1 projects.secrets.list", needs="secretmanager.secrets.list")
def list_secrets(call: Call) -> Json:
    secrets = [_told(call, each) for each in call.table("Secret").values() if _fits(each, call.query.get("filter", ""))]
    return call.page("secrets", secrets, size=25)


def _fits(secret: Json, wanted: str) -> bool:
    """Return whether a secret fits a filter on labels, the only filter served: `labels.NAME=VALUE`."""
    if not wanted:
        return True
    found = re.fullmatch(r"labels\.([\w-]+)[=:]\"?([\w-]+)\"?", wanted)
    if found is None:
        raise invalid(f"The filter {wanted} is not valid.", field="filter")
    labels: dict[str, Any] = secret.get("labels") or {}
    return labels.get(found[1]) == found[2]


@serves("secretmanager.v1 projects.secrets.patch", needs="secretmanager.secrets.update")
def patch_secret(call: Call) -> Json:
    if not call.query.get("updateMask"):
        raise invalid("The update mask is missing.", field="update_mask")
    if any(path in NOT_CHANGEABLE for path in call.query["updateMask"].split(",")):
        raise invalid(f"The update mask [{call.query['updateMask']}] has an immutable field.", field="update_mask")
    return _told(call, call.patched(_secret(call)))


@serves("secretmanager.v1 projects.secrets.delete", needs="secretmanager.secrets.delete")
def delete_secret(call: Call) -> Json:
    name = str(_secret(call)["name"])
    call.table("Secret").remove(name)
    for each in [key for key in call.table("SecretVersion") if key.startswith(f"{name}/versions/")]:
        call.table("SecretVersion").remove(each)
    return {}


@serves("secretmanager.v1 projects.secrets.addVersion", needs="secretmanager.versions.add")
def add_version(call: Call) -> Json:
    name = str(_secret(call)["name"])
    payload = base64.b64decode((call.body.get("payload") or {}).get("data", ""))
    if not 0 < len(payload) <= PAYLOAD_BYTES_MAX:
        raise invalid("The payload must have between 1 and 65536 bytes.", field="payload.data")
    return _told(call, put_version(call.project, name, payload))


def put_version(project: Project, name: str, payload: bytes) -> Json:
    """Add a version to the secret of this name, without asking anybody's permission."""
    versions = project.table("SecretVersion")
    number = 1 + sum(each.startswith(f"{name}/versions/") for each in versions)
    fields = {"createTime": now_text(), "state": "ENABLED", "replicationStatus": {"automatic": {}}, "etag": '"1"'}
    added = versions.add(f"{name}/versions/{number}", fields)
    project.payloads[f"{name}/versions/{number}"] = payload
    return added


@serves("secretmanager.v1 projects.secrets.versions.get")
def get_version(call: Call) -> Json:
    call.require("secretmanager.versions.get", _secret_name(call))
    return _told(call, _version(call))


@serves("secretmanager.v1 projects.secrets.versions.list")
def list_versions(call: Call) -> Json:
    call.require("secretmanager.versions.list", _secret_name(call))
    name = str(_secret(call)["name"])
    versions = call.table("SecretVersion").under(f"{name}/versions")
    newest = sorted(versions, key=lambda each: -int(str(each["name"]).rpartition("/")[2]))
    return call.page("versions", [_told(call, each) for each in newest])


@serves("secretmanager.v1 projects.secrets.versions.access")
def access_version(call: Call) -> Json:
    call.require("secretmanager.versions.access", _secret_name(call))
    version = _version(call)
    told = _told(call, version)["name"]
    if version["state"] != "ENABLED":
        raise failed_precondition(f"Secret Version [{told}] is in {version['state']} state.")
    data = base64.b64encode(call.project.payloads[str(version["name"])]).decode()
    return {"name": told, "payload": {"data": data}}


def _change(call: Call, permission: str, state: str) -> Json:
    call.require(f"secretmanager.versions.{permission}", _secret_name(call))
    version = _version(call)
    if version["state"] == "DESTROYED":
        raise failed_precondition(f"Secret Version [{_told(call, version)['name']}] is in DESTROYED state.")
    version["state"] = state
    if state == "DESTROYED":
        version["destroyTime"] = now_text()
        call.project.payloads.pop(str(version["name"]), None)
    return _told(call, version)


@serves("secretmanager.v1 projects.secrets.versions.destroy")
def destroy_version(call: Call) -> Json:
    return _change(call, "destroy", "DESTROYED")


@serves("secretmanager.v1 projects.secrets.versions.disable")
def disable_version(call: Call) -> Json:
    return _change(call, "disable", "DISABLED")


@serves("secretmanager.v1 projects.secrets.versions.enable")
def enable_version(call: Call) -> Json:
    return _change(call, "enable", "ENABLED")


def _policy(call: Call) -> Policy:
    return call.project.policy_of(str(_secret(call)["name"]))


serve_policy("secretmanager.v1 projects.secrets", "secretmanager.secrets", _policy)
