"""Monitoring of a project as files in Google's published shapes: metrics, alert policies, a channel and a budget.

The files are applied in the order of `files`: a policy is refused as long as its metric is unknown.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

FOLDER = Path(__file__).parent
LOGGING = "https://logging.googleapis.com/v2"
MONITORING = "https://monitoring.googleapis.com/v3"
BUDGETS = "https://billingbudgets.googleapis.com/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringFile:
    """Wanted thing at Google. `key` is the field by which one that exists is found in the collection's list."""

    kind: str
    collection: str
    key: str
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.body[self.key])

    def is_kept_by(self, found: Mapping[str, Any]) -> bool:
        """Return True if the thing at Google has all wanted values. Fields that only Google sets are not compared."""
        return _has(found, self.body)


def files(project: str, channels: Sequence[str] = ()) -> list[MonitoringFile]:
    """Return the metrics and the policies of a project; incidents of the policies are told to the channels."""
    policies = [{**body, "notificationChannels": list(channels)} for body in _read("policies.yaml")]
    return [
        *(_metric(project, body) for body in _read("metrics.yaml")),
        *(_monitored("policy", project, "alertPolicies", body) for body in policies),
    ]


def channel(project: str, address: str) -> MonitoringFile:
    """Return the channel that mails incidents to this address."""
    return _monitored("channel", project, "notificationChannels", _read("channel.yaml", ALERT_EMAIL=address))


def budget(project: str, number: str, billing_account: str, units: int, channels: Sequence[str] = ()) -> MonitoringFile:
    """Return the monthly budget of a project, in units of the account's currency.

    `number` is the project's number, `billing_account` is `billingAccounts/…`.
    """
    body = _read("budget.yaml", PROJECT=project, PROJECT_NUMBER=number, MONTHLY_BUDGET=str(units))
    told = {"notificationsRule": {"monitoringNotificationChannels": list(channels)} if channels else {}}
    return MonitoringFile(
        kind="budget", collection=f"{BUDGETS}/{billing_account}/budgets", key="displayName", body={**body, **told}
    )


def _metric(project: str, body: Mapping[str, Any]) -> MonitoringFile:
    return MonitoringFile(kind="metric", collection=f"{LOGGING}/projects/{project}/metrics", key="name", body=body)


def _monitored(kind: str, project: str, collection: str, body: Mapping[str, Any]) -> MonitoringFile:
    return MonitoringFile(
        kind=kind, collection=f"{MONITORING}/projects/{project}/{collection}", key="displayName", body=body
    )


def _read(name: str, **values: str) -> Any:
    return _filled(_parsed(name), values)


@functools.lru_cache
def _parsed(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """Fill the placeholders, such as `${PROJECT}`, in all texts of a file that was read."""
    if isinstance(value, Mapping):
        return {key: _filled(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    return Template(value).safe_substitute(values) if isinstance(value, str) else value


def _has(found: Any, wanted: Any) -> bool:
    """Return True if `found` has all that is wanted. Google leaves out fields that are empty, zero or false."""
    if isinstance(wanted, Mapping):
        return isinstance(found or {}, Mapping) and all(_has((found or {}).get(key), wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        things = found or []
        return len(things) == len(wanted) and all(_has(*pair) for pair in zip(things, wanted, strict=True))
    return bool(found == wanted or (not wanted and not found))
