"""Cloud Run, both versions: the services behind functions, and who may call them."""

from typing import Any

from emulator.stand_ins.google.calls import Call, serve_policy, serves
from emulator.stand_ins.google.errors import not_found
from emulator.stand_ins.google.policies import Policy
from emulator.stand_ins.google.regions import REGIONS
from emulator.stand_ins.wire import Json

INGRESS = {
    "ALLOW_ALL": ("INGRESS_TRAFFIC_ALL", "all"),
    "ALLOW_INTERNAL_ONLY": ("INGRESS_TRAFFIC_INTERNAL_ONLY", "internal"),
    "ALLOW_INTERNAL_AND_GCLB": ("INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "internal-and-cloud-load-balancing"),
}


def _find(call: Call) -> Json:
    if call.resource not in call.table("Service"):
        raise not_found(f"Resource '{call.places['servicesId']}' of kind 'SERVICE' in region was not found.")
    return call.table("Service")[call.resource]


def _function(call: Call, service: Json) -> Json:
    return call.table("Function")[str(service["function"])]


def _limits(config: Json) -> dict[str, str]:
    return {"memory": str(config["availableMemory"]), "cpu": str(config["availableCpu"])}


def _v2(call: Call, service: Json) -> Json:
    function = _function(call, service)
    config: dict[str, Any] = function["serviceConfig"]
    plain = [{"name": name, "value": value} for name, value in (config.get("environmentVariables") or {}).items()]
    secret = [
        {
            "name": each["key"],
            "valueSource": {"secretKeyRef": {"secret": each["secret"], "version": each.get("version", "latest")}},
        }
        for each in config.get("secretEnvironmentVariables") or []
    ]
    scaling = {"maxInstanceCount": config["maxInstanceCount"], "minInstanceCount": config.get("minInstanceCount", 0)}
    return {
        "name": service["name"],
        "uid": f"uid-{str(service['name']).rpartition('/')[2]}",
        "generation": str(service["generation"]),
        "observedGeneration": str(service["generation"]),
        "createTime": function["createTime"],
        "updateTime": function["updateTime"],
        "labels": function.get("labels") or {},
        "ingress": INGRESS[config["ingressSettings"]][0],
        "uri": service["uri"],
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        "latestReadyRevision": f"{service['name']}/revisions/{config['revision']}",
        "template": {
            "serviceAccount": config["serviceAccountEmail"],
            "timeout": f"{config['timeoutSeconds']}s",
            "maxInstanceRequestConcurrency": config["maxInstanceRequestConcurrency"],
            "scaling": scaling,
            "containers": [{"env": [*plain, *secret], "resources": {"limits": _limits(config)}}],
        },
    }


def _v1(call: Call, service: Json) -> Json:
    function = _function(call, service)
    config: dict[str, Any] = function["serviceConfig"]
    name, generation = str(service["name"]).rpartition("/")[2], int(service["generation"])
    annotations = {"run.googleapis.com/ingress": INGRESS[config["ingressSettings"]][1]}
    scale = {"autoscaling.knative.dev/maxScale": str(config["maxInstanceCount"])}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": call.project.number,
            "generation": generation,
            "annotations": annotations,
            "labels": {"cloud.googleapis.com/location": str(service["name"]).split("/")[3]},
        },
        "spec": {
            "template": {
                "metadata": {"annotations": scale},
                "spec": {
                    "serviceAccountName": config["serviceAccountEmail"],
                    "containerConcurrency": config["maxInstanceRequestConcurrency"],
                    "timeoutSeconds": config["timeoutSeconds"],
                    "containers": [{"resources": {"limits": _limits(config)}}],
                },
            }
        },
        "status": {
            "observedGeneration": generation,
            "url": service["uri"],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


@serves("run.v2 projects.locations.services.get", needs="run.services.get")
def get_service(call: Call) -> Json:
    return _v2(call, _find(call))


@serves("run.v2 projects.locations.services.list", needs="run.services.list")
def list_services(call: Call) -> Json:
    found = call.table("Service").under(call.resource)
    return call.page("services", [_v2(call, each) for each in found])


@serves("run.v1 projects.locations.services.get", needs="run.services.get")
def get_old_service(call: Call) -> Json:
    return _v1(call, _find(call))


@serves("run.v1 projects.locations.services.list", needs="run.services.list")
def list_old_services(call: Call) -> Json:
    items = [_v1(call, each) for each in call.table("Service").under(call.resource)]
    return {"apiVersion": "serving.knative.dev/v1", "kind": "ServiceList", "items": items}


@serves("run.v1 projects.locations.list", needs="run.locations.list")
def list_locations(call: Call) -> Json:
    told = [{"name": f"projects/{call.project.id}/locations/{each}", "locationId": each} for each in sorted(REGIONS)]
    return call.page("locations", told, size=200)


def _policy(call: Call) -> Policy:
    return call.project.policy_of(str(_find(call)["name"]))


serve_policy("run.v1 projects.locations.services", "run.services", _policy)
serve_policy("run.v2 projects.locations.services", "run.services", _policy)
