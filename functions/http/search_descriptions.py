"""Descriptions of the fields of a search for the OpenAPI document, by schema and name."""

from collections.abc import Mapping

BY_SCHEMA: Mapping[str, str] = {
    "FindingOut.id": "The object's id.",
    "FindingOut.kind": "What it is, such as `payment`.",
    "FindingOut.path": "The route of operators that shows the object or its owner; null if there is none.",
    "FindingOut.uid": "The owner; null for an object without one.",
}
