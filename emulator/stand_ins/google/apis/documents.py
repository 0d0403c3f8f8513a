"""Firestore's documents, as lists by REST. The backend behind the project holds them."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from emulator.stand_ins.google.apis.firestore import database
from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json


@serves("firestore.v1 projects.databases.documents.listDocuments", needs="datastore.entities.list")
def list_documents(call: Call) -> Json:
    database(call)
    collection = call.resource.partition("/documents/")[2]
    found = call.project.backend.documents(collection) if call.project.backend is not None else {}
    now = now_text()
    return call.page(
        "documents",
        [
            {"name": f"{call.resource}/{name}", "fields": _fields(data), "createTime": now, "updateTime": now}
            for name, data in sorted(found.items())
        ],
    )


def _fields(data: Mapping[str, Any]) -> Json:
    return {name: _value(value) for name, value in data.items()}


def _value(value: Any) -> Json:  # noqa: PLR0911  # a table of types
    if value is None:
        return {"nullValue": None}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"integerValue": str(value)}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"timestampValue": value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    if isinstance(value, Mapping):
        return {"mapValue": {"fields": _fields(value)}}
    assert isinstance(value, Sequence), "the database stores no other type"
    return {"arrayValue": {"values": [_value(each) for each in value]}}
