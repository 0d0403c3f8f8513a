"""Pub/Sub topics: all that the functions publish to or are started by, also those that start no function."""

from collections.abc import Sequence
from functools import partial

from emulator.cloud.manifest import Manifest
from emulator.cloud.project import Change, Project
from shared.ledger.relay import CREDIT_EVENTS
from shared.platform.pubsub.alerts import TOPIC as ALERTS
from shared.sagas.health.looks import PROBE_TOPIC

API = "https://pubsub.googleapis.com/v1"
PUBLISHED = frozenset({CREDIT_EVENTS, ALERTS, PROBE_TOPIC})
"""Topics that start no function, so that the Firebase CLI does not create them."""


def topics_of(project: Project) -> frozenset[str]:
    return PUBLISHED | Manifest(project.root).trigger_topics()


def look(project: Project) -> Sequence[Change]:
    listed = project.google.items(f"{API}/projects/{project.id}/topics", "topics", pageSize=100)
    present = {str(each["name"]).rpartition("/")[2] for each in listed}
    missing = sorted(topics_of(project) - present)
    return [Change(says=f"create the topic {name}", do=partial(_create, project, name)) for name in missing]


def _create(project: Project, name: str) -> None:
    project.google.create(f"{API}/projects/{project.id}/topics/{name}", {}, method="PUT")
