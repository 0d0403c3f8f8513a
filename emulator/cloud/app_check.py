"""App Check for the people of a deploy: a token of the web app, by a debug token that is deleted at the end."""

import platform
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.steps.apis import turn_on

API = "https://firebaseappcheck.googleapis.com/v1"
FIREBASE = "https://firebase.googleapis.com/v1beta1"
HEADER = "X-Firebase-AppCheck"
WEB_KEY = "WEB_API_KEY"


@contextmanager
def app_check(project: Project) -> Iterator[Mapping[str, str]]:
    """Yield the headers with which the API takes calls: empty, unless APP_CHECK is `enforce`.

    The debug token is deleted at the end, and one that an interrupted deploy of this machine left is deleted before.
    """
    if project.settings.get("APP_CHECK") != "enforce":
        yield {}
        return
    turn_on(project, ["firebaseappcheck.googleapis.com"])
    app = _web_app(project)
    tokens, name = f"{API}/projects/{project.id}/apps/{app}/debugTokens", f"make deploy on {platform.node()}"
    _delete(project, tokens, name)
    secret = str(uuid.uuid4())
    project.google.post(tokens, {"displayName": name, "token": secret})
    try:
        exchange = f"{API}/projects/{project.id}/apps/{app}:exchangeDebugToken"
        told = project.google.post(exchange, {"debugToken": secret}, key=project.settings.get(WEB_KEY))
        yield {HEADER: str(told["token"])}
    finally:
        _delete(project, tokens, name)


def _web_app(project: Project) -> str:
    listed = project.google.items(f"{FIREBASE}/projects/{project.id}/webApps", "apps")
    app = next((str(each["appId"]) for each in listed if each.get("state", "ACTIVE") == "ACTIVE"), None)
    if app is None:
        raise CloudProblem("APP_CHECK is enforce, and the project has no web app: add one in the Firebase console.")
    return app


def _delete(project: Project, tokens: str, name: str) -> None:
    for each in list(project.google.items(tokens, "debugTokens")):
        if each.get("displayName") == name:
            project.google.delete(f"{API}/{each['name']}")
