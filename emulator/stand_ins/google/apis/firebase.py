"""Firebase Management: the project as Firebase sees it, and web apps with their public keys."""

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import not_found
from emulator.stand_ins.wire import Json, copied

KIND = "google.firebase.service.v1beta1"


@serves("firebase.v1beta1 projects.get", needs="firebase.projects.get")
def get_project(call: Call) -> Json:
    return {
        "name": f"projects/{call.project.id}",
        "projectId": call.project.id,
        "projectNumber": call.project.number,
        "displayName": call.project.id,
        "state": "ACTIVE",
        "resources": {"hostingSite": call.project.id},
    }


@serves("firebase.v1beta1 projects.list")
def list_projects(call: Call) -> Json:
    own = [
        {"name": f"projects/{each.id}", "projectId": each.id, "projectNumber": each.number, "state": "ACTIVE"}
        for each in call.state.projects.values()
        if each.may(call.caller, "firebase.projects.get")
    ]
    return call.page("results", own)


@serves("firebase.v1beta1 projects.getAdminSdkConfig", needs="firebase.projects.get")
def get_admin_config(call: Call) -> Json:
    return {"projectId": call.project.id, "storageBucket": f"{call.project.id}.firebasestorage.app"}


@serves("firebase.v1beta1 projects.webApps.create", needs="firebase.clients.create")
def create_web_app(call: Call) -> Json:
    number = 1 + len(call.table("WebApp"))
    app_id = f"1:{call.project.number}:web:{number:022x}"
    name = f"projects/{call.project.id}/webApps/{app_id}"
    made = {**call.body, "appId": app_id, "projectId": call.project.id, "state": "ACTIVE", "apiKeyId": f"key-{number}"}

    def act() -> Json:
        return {"@type": f"type.googleapis.com/{KIND}.WebApp", **call.table("WebApp").add(name, made)}

    return call.begin("", f"{KIND}.CreateWebAppMetadata", act)


@serves("firebase.v1beta1 operations.get")
def get_operation(call: Call) -> Json:
    return call.project.operations.poll(f"operations/{call.places['operationsId']}")


@serves("firebase.v1beta1 projects.webApps.list", needs="firebase.clients.list")
def list_web_apps(call: Call) -> Json:
    return call.page("apps", call.table("WebApp").values())


@serves("firebase.v1beta1 projects.webApps.get", needs="firebase.clients.get")
def get_web_app(call: Call) -> Json:
    return copied(call.table("WebApp").find(call.resource))


@serves("firebase.v1beta1 projects.webApps.getConfig", needs="firebase.clients.get")
def get_web_config(call: Call) -> Json:
    name = call.resource.removesuffix("/config")
    if name not in call.table("WebApp"):
        raise not_found()
    return {
        "projectId": call.project.id,
        "appId": call.table("WebApp")[name]["appId"],
        "apiKey": f"AIzaStandIn{call.project.number}",
        "authDomain": f"{call.project.id}.firebaseapp.com",
        "storageBucket": f"{call.project.id}.firebasestorage.app",
        "messagingSenderId": call.project.number,
    }
