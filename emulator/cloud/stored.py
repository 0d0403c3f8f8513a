"""Documents of a project's database, as Firestore's REST API tells them."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from emulator.cloud.project import Project

API = "https://firestore.googleapis.com/v1"


def stored_documents(project: Project, collection: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the documents of a small collection by id. Empty also if there is no database yet."""
    url = f"{API}/projects/{project.id}/databases/(default)/documents/{collection}"
    if project.google.find(f"{API}/projects/{project.id}/databases/(default)") is None:
        return {}
    found = project.google.items(url, "documents", pageSize=300)
    return {str(each["name"]).rpartition("/")[2]: _fields(each.get("fields") or {}) for each in found}


def _fields(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in told.items()}


def _value(told: Mapping[str, Any]) -> Any:
    """Return a value of the REST API as the library returns the value."""
    ((kind, value),) = told.items()
    if kind == "integerValue":
        return int(value)
    if kind == "mapValue":
        return _fields(value.get("fields") or {})
    if kind == "arrayValue":
        return [_value(each) for each in value.get("values") or ()]
    if kind == "timestampValue":
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if kind == "bytesValue" else value
