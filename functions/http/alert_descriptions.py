"""Descriptions of the fields of alerts for the OpenAPI document, by schema and name."""

from collections.abc import Mapping

BY_SCHEMA: Mapping[str, str] = {
    "AlertActIn.reason": "Why, for other operators. Stands in the alert and in the audit trail.",
    "AlertOut.changed_at": "When the alert was last acknowledged, resolved or opened again; null if never.",
    "AlertOut.changed_by": "The operator who acknowledged or resolved the alert; empty if the system did.",
    "AlertOut.count": "How often the trouble was reported, over all openings.",
    "AlertOut.event": "The kind of trouble, as docs/operating/alerts.md lists it.",
    "AlertOut.fields": "Facts of the last report. Addresses and keys are hidden.",
    "AlertOut.first_seen": "When the trouble was first reported.",
    "AlertOut.id": "The alert's id: the event and the subject.",
    "AlertOut.last_seen": "When the trouble was last reported.",
    "AlertOut.opened_at": "When the alert was opened for the last time.",
    "AlertOut.opening": "How often the alert was opened: 1, and 1 more after each end.",
    "AlertOut.reason": "Why the operator acknowledged or resolved the alert; null if nobody did.",
    "AlertOut.state": "`open`, `acknowledged` by an operator, or `resolved` by an operator or the system.",
    "AlertOut.subject": "What the trouble is about, such as a job or a payment; empty if there is only one.",
    "AlertsOut.items": "Alerts, those seen last first.",
}
