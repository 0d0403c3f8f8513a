"""Google's APIs: those that the functions and this deploy use are on."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from emulator.cloud.manifest import Manifest
from emulator.cloud.project import Change, Project

API = "https://serviceusage.googleapis.com/v1"
AT_ONCE_MAX = 20
APIS: Mapping[str, str] = {
    "artifactregistry.googleapis.com": "keeps the functions' images",
    "billingbudgets.googleapis.com": "keeps the budget that warns of high costs",
    "cloudbilling.googleapis.com": "tells whether the project can be billed",
    "cloudbuild.googleapis.com": "builds the functions",
    "cloudfunctions.googleapis.com": "runs the functions",
    "cloudresourcemanager.googleapis.com": "keeps the roles of the functions' accounts",
    "cloudscheduler.googleapis.com": "calls every_minute and every_day",
    "eventarc.googleapis.com": "brings events to the functions",
    "firebase.googleapis.com": "tells the web app's key",
    "firebaserules.googleapis.com": "keeps the rules of the database",
    "firestore.googleapis.com": "keeps every document",
    "iam.googleapis.com": "keeps the functions' accounts",
    "identitytoolkit.googleapis.com": "signs users in",
    "logging.googleapis.com": "keeps logs, and counts them",
    "monitoring.googleapis.com": "raises alerts",
    "pubsub.googleapis.com": "brings messages to the functions",
    "run.googleapis.com": "runs the functions' containers",
    "secretmanager.googleapis.com": "keeps secrets",
    "storage.googleapis.com": "keeps users' files",
}
"""APIs with the purpose of each. `requiredAPIs` in functions.yaml names those that the functions themselves need."""


def look(project: Project) -> Sequence[Change]:
    wanted = APIS.keys() | set(Manifest(project.root).apis)
    missing = _off(project, wanted)
    project.google.expect(wanted - set(missing))  # an interrupted deploy may have turned some on a moment ago
    return [
        Change(
            says=f"turn on {', '.join(name.removesuffix('.googleapis.com') for name in names)}",
            do=partial(turn_on, project, names),
        )
        for at in range(0, len(missing), AT_ONCE_MAX)
        if (names := missing[at : at + AT_ONCE_MAX])
    ]


def turn_on(project: Project, names: Sequence[str]) -> None:
    """Turn on those of these APIs that are off, at most twenty at once."""
    if missing := _off(project, names):
        url = f"{API}/projects/{project.id}/services:batchEnable"
        project.google.wait(project.google.post(url, {"serviceIds": missing}), url)
        project.google.expect(missing)


def _off(project: Project, names: Iterable[str]) -> list[str]:
    services = f"{API}/projects/{project.id}/services"
    listed = project.google.items(services, "services", filter="state:ENABLED", pageSize=200)
    return sorted(set(names) - {str(each["name"]).rpartition("/")[2] for each in listed})
