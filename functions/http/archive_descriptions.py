"""Descriptions of the fields of archives for the OpenAPI document, by schema and name."""

from collections.abc import Mapping

BY_SCHEMA: Mapping[str, str] = {
    "ArchiveIn.reason": "The reason, which stands in the audit trail alone.",
    "ArchiveOut.last": "The last entry that is archived or will be.",
    "ArchiveOut.status": "`waiting`, `deleting` or `archived`.",
    "ArchiveOut.uid": "The user.",
    "UnarchiveOut.status": "`restoring` or `restored`.",
    "UnarchiveOut.uid": "The user.",
}
