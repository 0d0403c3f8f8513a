"""Service Usage: which APIs are on. Switching one on takes an operation, and then a little longer."""

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import GoogleRefusal, error_info, failed_precondition, invalid
from emulator.stand_ins.google.state import ALWAYS_ON, Project
from emulator.stand_ins.wire import Json

BATCH_MAX = 20
OPERATION = "google.api.serviceusage.v1.OperationMetadata"
FREE = frozenset({
    "firebase.googleapis.com", "firebaserules.googleapis.com", "firestore.googleapis.com", "iam.googleapis.com",
    "identitytoolkit.googleapis.com", "cloudresourcemanager.googleapis.com", "logging.googleapis.com",
    "pubsub.googleapis.com", "storage.googleapis.com", "runtimeconfig.googleapis.com",
    "firebaseappcheck.googleapis.com",
    "cloudbilling.googleapis.com", "billingbudgets.googleapis.com", "monitoring.googleapis.com",
})  # fmt: skip
"""APIs that a project without a billing account may enable."""


def _service(project: Project, name: str) -> Json:
    is_on = name in project.apis or name in ALWAYS_ON
    return {
        "name": f"projects/{project.number}/services/{name}",
        "parent": f"projects/{project.number}",
        "config": {"name": name},
        "state": "ENABLED" if is_on else "DISABLED",
    }


def _require_known(name: str) -> None:
    if not name.endswith(".googleapis.com"):
        raise GoogleRefusal(
            "PERMISSION_DENIED",
            f"Not found or permission denied for service(s): {name}.",
            details=(error_info("SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED", "serviceusage.googleapis.com"),),
        )


def _require_enablable(call: Call, name: str) -> None:
    _require_known(name)
    if not call.project.is_billed and name not in FREE:
        metadata = error_info("UREQ_PROJECT_BILLING_NOT_FOUND", "serviceusage.googleapis.com", services=name)
        raise GoogleRefusal(
            "FAILED_PRECONDITION",
            f"Billing account for project '{call.project.number}' is not found. Billing must be enabled for activation "
            f"of service(s) '{name}' to proceed.",
            details=(metadata,),
        )


@serves("serviceusage.v1 services.get", needs="serviceusage.services.get")
def get_service(call: Call) -> Json:
    name = call.places["servicesId"]
    _require_known(name)
    return _service(call.project, name)


@serves("serviceusage.v1 services.list", needs="serviceusage.services.list")
def list_services(call: Call) -> Json:
    names = sorted({*call.project.apis, *ALWAYS_ON})
    wanted = call.query.get("filter", "")
    if wanted not in {"", "state:ENABLED", "state:DISABLED"}:
        raise invalid(f"Invalid filter: {wanted}", field="filter")
    return call.page("services", [_service(call.project, name) for name in names if wanted != "state:DISABLED"])


@serves("serviceusage.v1 services.batchGet", needs="serviceusage.services.get")
def batch_get(call: Call) -> Json:
    names = [value.rpartition("/")[2] for key, value in call.pairs() if key == "names"]
    return {"services": [_service(call.project, name) for name in names]}


def _enable(call: Call, names: list[str]) -> Json:
    for name in names:
        _require_enablable(call, name)

    def act() -> Json:
        call.project.enable(*names, propagates=True)
        told = [_service(call.project, name) for name in names]
        kind = "type.googleapis.com/google.api.serviceusage.v1."
        if call.method.id.endswith("batchEnable"):
            return {"@type": f"{kind}BatchEnableServicesResponse", "services": told}
        return {"@type": f"{kind}EnableServiceResponse", "service": told[0]}

    if all(name in call.project.apis for name in names):
        return {"name": "operations/noop.DONE_OPERATION", "done": True, "response": act()}
    return call.begin("", OPERATION, act, metadata={"resourceNames": [f"projects/{call.project.number}"]})


@serves("serviceusage.v1 services.enable", needs="serviceusage.services.enable")
def enable_service(call: Call) -> Json:
    return _enable(call, [call.places["servicesId"]])


@serves("serviceusage.v1 services.batchEnable", needs="serviceusage.services.enable")
def batch_enable(call: Call) -> Json:
    names = list(call.body.get("serviceIds") or [])
    if not 0 < len(names) <= BATCH_MAX:
        raise invalid(f"The number of services to enable must be between 1 and {BATCH_MAX}.", field="service_ids")
    return _enable(call, names)


@serves("serviceusage.v1 services.disable", needs="serviceusage.services.disable")
def disable_service(call: Call) -> Json:
    name = call.places["servicesId"]
    if name not in call.project.apis:
        raise failed_precondition(f"Service {name} is not enabled for consumer 'projects/{call.project.number}'.")

    def act() -> Json:
        call.project.disable(name)
        return {
            "@type": "type.googleapis.com/google.api.serviceusage.v1.DisableServiceResponse",
            "service": _service(call.project, name),
        }

    return call.begin("", OPERATION, act)


@serves("serviceusage.v1 operations.get")
def get_operation(call: Call) -> Json:
    name = f"operations/{call.places['operationsId']}"
    if name == "operations/noop.DONE_OPERATION":
        return {"name": name, "done": True, "response": {}}
    return call.project.operations.poll(name)


@serves("serviceusage.v1beta1 services.generateServiceIdentity", needs="serviceusage.services.enable")
def generate_identity(call: Call) -> Json:
    name = call.places["servicesId"]

    def act() -> Json:
        email = call.project.add_agent(name)
        kind = "type.googleapis.com/google.api.serviceusage.v1beta1.ServiceIdentity"
        return {"@type": kind, "email": email, "uniqueId": str(sum(map(ord, email)) + 10**20)}

    return call.begin("", "google.api.serviceusage.v1beta1.OperationMetadata", act)
