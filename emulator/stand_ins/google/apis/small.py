"""APIs of which a deployment asks one or two things: Compute, Runtime Configurator, App Check."""

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import not_found
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

PROTECTED = ("firestore.googleapis.com", "identitytoolkit.googleapis.com", "firebasestorage.googleapis.com")


@serves("compute.v1 projects.get", needs="compute.projects.get")
def get_compute_project(call: Call) -> Json:
    return {
        "kind": "compute#project",
        "id": call.project.number,
        "name": call.project.id,
        "defaultServiceAccount": call.project.compute_account,
    }


@serves("runtimeconfig.v1beta1 projects.configs.list", needs="runtimeconfig.configs.list")
def list_configs(call: Call) -> Json:
    del call
    return {}


@serves("firebaseappcheck.v1 projects.services.list", needs="firebaseappcheck.services.get")
def list_protected(call: Call) -> Json:
    return call.page("services", call.table("ProtectedService").values())


def _protected(call: Call) -> Json:
    if call.places["servicesId"] not in PROTECTED:
        raise not_found()
    name = f"projects/{call.project.number}/services/{call.places['servicesId']}"
    return call.table("ProtectedService").setdefault(name, {"name": name, "enforcementMode": "OFF"})


@serves("firebaseappcheck.v1 projects.services.get", needs="firebaseappcheck.services.get")
def get_protected(call: Call) -> Json:
    return copied(_protected(call))


@serves("firebaseappcheck.v1 projects.services.patch", needs="firebaseappcheck.services.update")
def patch_protected(call: Call) -> Json:
    service = call.patched(_protected(call), allowed=("enforcementMode", "replayProtection"))
    service["updateTime"] = now_text()
    return copied(service)
