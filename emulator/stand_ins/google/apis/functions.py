"""Cloud Functions of the second generation: uploads, functions, and the operations that build and deploy them."""

import re
from collections.abc import Callable
from typing import Any

from emulator.stand_ins.google import deployments
from emulator.stand_ins.google.calls import Call, serve_policy, serves
from emulator.stand_ins.google.errors import GoogleRefusal, already_exists, denied, invalid, not_found
from emulator.stand_ins.google.function_rules import check_function
from emulator.stand_ins.google.policies import Policy
from emulator.stand_ins.google.regions import REGIONS
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

KIND = "google.cloud.functions.v2"
PAGE_SIZE = 20
OUTPUT_ONLY = ("state", "createTime", "updateTime", "url", "environment", "stateMessages")
GENERATION_2 = re.compile(r'environment\s*=\s*"?GEN_2"?')


def _require_region(call: Call, region: str) -> None:
    if region not in REGIONS:
        raise denied("cloudfunctions.functions.create", f"{call.host}/{call.resource}/locations/{region}")


def _find(call: Call) -> Json:
    if call.resource not in call.table("Function"):
        raise not_found(f"Resource '{call.resource}' was not found")
    return call.table("Function")[call.resource]


@serves("cloudfunctions.v2 projects.locations.list", needs="cloudfunctions.locations.list")
def list_locations(call: Call) -> Json:
    told = [
        {"name": f"projects/{call.project.id}/locations/{each}", "locationId": each, "displayName": each}
        for each in sorted(REGIONS)
    ]
    return call.page("locations", told, size=200)


@serves("cloudfunctions.v2 projects.locations.functions.generateUploadUrl")
def generate_upload(call: Call) -> Json:
    call.require("cloudfunctions.functions.sourceCodeSet")
    region = call.places["locationsId"]
    _require_region(call, region)
    bucket = f"gcf-v2-uploads-{call.project.number}.{region}.cloudfunctions.appspot.com"
    number = 1 + sum(owner == bucket for owner, _ in call.state.objects) + len(call.project.settings)
    call.project.settings[f"upload-{number}"] = {}
    name = f"00000000-0000-4000-8000-{number:012d}.zip"
    agent = f"service-{call.project.number}%40gcf-admin-robot.iam.gserviceaccount.com"
    signed = f"?GoogleAccessId={agent}&Expires=1796000000&Signature=c3RhbmQtaW4%3D"
    url = f"https://storage.googleapis.com/{bucket}/{name}{signed}"
    return {"uploadUrl": url, "storageSource": {"bucket": bucket, "object": name}}


@serves("cloudfunctions.v2 projects.locations.functions.create", needs="cloudfunctions.functions.create")
def create_function(call: Call) -> Json:
    region, function_id = call.places["locationsId"], call.query.get("functionId", "")
    _require_region(call, region)
    check_function(function_id, call.body)
    name = f"projects/{call.project.id}/locations/{region}/functions/{function_id}"
    if name in call.table("Function"):
        raise already_exists(
            f"Could not create Cloud Run service {function_id}. A function with the name {name} already exists."
        )
    function = _defaults(call, name, call.body)
    deployments.check_callers(call, function)
    call.table("Function")[name] = function
    return _deploy(call, function, "CREATE")


def _defaults(call: Call, name: str, body: Json) -> Json:
    """Return a new function with Google's defaults for all that is not given."""
    region, function_id = name.split("/")[3], name.rpartition("/")[2]
    function = copied({key: value for key, value in body.items() if key not in OUTPUT_ONLY})
    service: dict[str, Any] = function.setdefault("serviceConfig", {})
    for key, value in {
        "availableMemory": "256Mi",
        "availableCpu": "0.1666",
        "timeoutSeconds": 60,
        "maxInstanceCount": 100,
        "maxInstanceRequestConcurrency": 1,
        "ingressSettings": "ALLOW_ALL",
        "allTrafficOnLatestRevision": True,
        "serviceAccountEmail": call.project.compute_account,
    }.items():
        if service.get(key) in {None, ""}:
            service[key] = value
    now = now_text()
    return {
        **function,
        "name": name,
        "environment": "GEN_2",
        "createTime": now,
        "updateTime": now,
        "state": "DEPLOYING",
        "url": f"https://{region}-{call.project.id}.cloudfunctions.net/{function_id}",
    }


def _deploy(call: Call, function: Json, verb: str) -> Json:
    def act() -> Json:
        try:
            deployments.deploy(call, function)
        except GoogleRefusal as refusal:
            function["state"] = "FAILED"
            function["stateMessages"] = [{"severity": "ERROR", "type": "CloudRun", "message": refusal.message[:500]}]
            raise
        function["state"] = "ACTIVE"
        function.pop("stateMessages", None)
        return {"@type": f"type.googleapis.com/{KIND}.Function", **copied(function)}

    return _begin(call, str(function["name"]), verb, act)


def _begin(call: Call, name: str, verb: str, act: Callable[[], Json]) -> Json:
    parent = name.rpartition("/functions/")[0]
    metadata = {"createTime": now_text(), "target": name, "verb": verb.lower(), "apiVersion": "v2"}
    return call.begin(parent, f"{KIND}.OperationMetadata", act, metadata=metadata)


@serves("cloudfunctions.v2 projects.locations.functions.get", needs="cloudfunctions.functions.get")
def get_function(call: Call) -> Json:
    return copied(_find(call))


@serves("cloudfunctions.v2 projects.locations.functions.list", needs="cloudfunctions.functions.list")
def list_functions(call: Call) -> Json:
    wanted = call.query.get("filter", "")
    if wanted and not GENERATION_2.fullmatch(wanted):
        raise invalid(f"Invalid filter: {wanted}", field="filter")
    return call.page("functions", call.table("Function").under(call.resource), size=PAGE_SIZE)


@serves("cloudfunctions.v1 projects.locations.functions.list", needs="cloudfunctions.functions.list")
def list_old_functions(call: Call) -> Json:
    """Return no function: there are none of the first generation."""
    del call
    return {}


@serves("cloudfunctions.v2 projects.locations.functions.patch", needs="cloudfunctions.functions.update")
def patch_function(call: Call) -> Json:
    have = _find(call)
    if have["state"] == "DEPLOYING":
        raise GoogleRefusal("ABORTED", "unable to queue the operation: an operation on the function is in progress")
    wanted = copied(have)
    call.patched(wanted)
    for key in (*OUTPUT_ONLY, "name"):
        wanted[key] = have[key] if key in have else wanted.pop(key, None)
    wanted = {key: value for key, value in wanted.items() if value is not None}
    if (trigger := have.get("eventTrigger")) and "pubsubTopic" in trigger:
        wanted["eventTrigger"].setdefault("pubsubTopic", trigger["pubsubTopic"])
    check_function(call.places["functionsId"], wanted)
    deployments.check_callers(call, wanted)
    have.clear()
    have.update(wanted, state="DEPLOYING", updateTime=now_text())
    return _deploy(call, have, "UPDATE")


@serves("cloudfunctions.v2 projects.locations.functions.delete", needs="cloudfunctions.functions.delete")
def delete_function(call: Call) -> Json:
    function = _find(call)
    function["state"] = "DELETING"

    def act() -> Json:
        deployments.remove(call.project, function)
        return {"@type": "type.googleapis.com/google.protobuf.Empty"}

    return _begin(call, str(function["name"]), "DELETE", act)


@serves("cloudfunctions.v2 projects.locations.operations.get")
def get_operation(call: Call) -> Json:
    return call.project.operations.poll(call.resource)


def _policy(call: Call) -> Policy:
    return call.project.policy_of(deployments.service_name(str(_find(call)["name"])))


serve_policy("cloudfunctions.v2 projects.locations.functions", "cloudfunctions.functions", _policy)
