"""Resource Manager: a project, its policy, and the permissions that the caller has there."""

from emulator.stand_ins.google.calls import Call, serve_policy, serves
from emulator.stand_ins.wire import Json

MADE_AT = "2026-11-01T09:00:00.000000Z"


@serves("cloudresourcemanager.v1 projects.get", needs="resourcemanager.projects.get")
def get_project(call: Call) -> Json:
    return {
        "projectId": call.project.id,
        "projectNumber": call.project.number,
        "name": call.project.id,
        "lifecycleState": "ACTIVE",
        "createTime": MADE_AT,
        "labels": {"firebase": "enabled"},
    }


serve_policy("cloudresourcemanager.v1 projects", "resourcemanager.projects", lambda call: call.project.policy)
