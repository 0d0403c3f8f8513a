"""Eventarc: the triggers that functions have, and channels."""

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import already_exists, not_found
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

KIND = "google.cloud.eventarc.v1"


def _find(call: Call, kind: str) -> Json:
    if call.resource not in call.table(kind):
        raise not_found(f"Resource '{call.resource}' was not found")
    return call.table(kind)[call.resource]


@serves("eventarc.v1 projects.locations.triggers.get", needs="eventarc.triggers.get")
def get_trigger(call: Call) -> Json:
    return copied(_find(call, "Trigger"))


@serves("eventarc.v1 projects.locations.triggers.list", needs="eventarc.triggers.list")
def list_triggers(call: Call) -> Json:
    return call.page("triggers", call.table("Trigger").under(call.resource))


@serves("eventarc.v1 projects.locations.triggers.delete", needs="eventarc.triggers.delete")
def delete_trigger(call: Call) -> Json:
    name = str(_find(call, "Trigger")["name"])

    def act() -> Json:
        return {"@type": f"type.googleapis.com/{KIND}.Trigger", **call.table("Trigger").remove(name)}

    return call.begin(name.rpartition("/triggers/")[0], f"{KIND}.OperationMetadata", act)


@serves("eventarc.v1 projects.locations.channels.get", needs="eventarc.channels.get")
def get_channel(call: Call) -> Json:
    return copied(_find(call, "Channel"))


@serves("eventarc.v1 projects.locations.channels.create", needs="eventarc.channels.create")
def create_channel(call: Call) -> Json:
    name = f"{call.resource}/{call.query.get('channelId', '')}"
    if name in call.table("Channel"):
        raise already_exists(f"Resource '{name}' already exists")
    now = now_text()

    def act() -> Json:
        made = {**call.body, "state": "ACTIVE", "createTime": now, "updateTime": now}
        return {"@type": f"type.googleapis.com/{KIND}.Channel", **call.table("Channel").add(name, made)}

    return call.begin(call.resource.rpartition("/")[0], f"{KIND}.OperationMetadata", act)


@serves("eventarc.v1 projects.locations.operations.get")
def get_operation(call: Call) -> Json:
    return call.project.operations.poll(call.resource)
