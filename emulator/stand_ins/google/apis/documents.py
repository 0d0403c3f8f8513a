"""Firestore's documents, as lists by REST. The backend behind the project holds them."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from emulator.stand_ins.google.apis.firestore import database
from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import not_found, service_disabled
from emulator.stand_ins.google.state import Project, State, now_text
from emulator.stand_ins.wire import Answer, Json, Request, json_answer

HOST, TITLE = "firestore.googleapis.com", "Cloud Firestore API"
QUERY = re.compile(r"/v1/projects/([^/]+)/databases/([^/]+)/documents:runQuery")


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


def plain(state: State, request: Request, path: str) -> Answer | None:
    """Answer a query for a whole collection or collection group, without conditions. The answer is a list.

    The published description has only queries below a document.
    """
    found = QUERY.fullmatch(path)
    project = state.find_project(found[1]) if found else None
    if found is None or project is None or request.method != "POST":
        return None
    if not project.answers(HOST):
        raise service_disabled(HOST, TITLE, project.number)
    if f"projects/{project.id}/databases/{found[2]}" not in project.table("Database"):
        raise not_found(f"The database {found[2]} does not exist for project {project.id}.")
    return json_answer(
        _rows(project, unquote(path).split("/", 2)[2].removesuffix(":runQuery"), json.loads(request.body))
    )


def _rows(project: Project, parent: str, asked: Json) -> list[Json]:
    query, now = asked["structuredQuery"], now_text()
    [source] = query["from"]
    wanted = [each["fieldPath"] for each in query.get("select", {}).get("fields", ())]
    found = project.backend.documents(source["collectionId"]) if project.backend is not None else {}
    rows: list[Json] = []
    for name, data in sorted(found.items())[: query.get("limit")]:
        fields = _fields({key: data[key] for key in wanted or data if key in data})
        place = f"{parent}/{source['collectionId']}/{name}"
        document = {"name": place, "fields": fields, "createTime": now, "updateTime": now}
        rows.append({"document": document, "readTime": now})
    return rows or [{"readTime": now}]


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
