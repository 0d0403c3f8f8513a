"""People whom a deploy makes for a moment: an operator and a user, who sign in as in an app, and are deleted."""

import getpass
import hashlib
import json
import platform
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from emulator.cloud.app_check import WEB_KEY, app_check
from emulator.cloud.problems import CloudProblem, GoogleFailed
from emulator.cloud.project import Project
from emulator.cloud.web import Web

API = "https://identitytoolkit.googleapis.com/v1"
PASSWORD_BYTES = 24
MARK_LENGTH = 8
UID_BYTES = 8
OPERATOR, USER = "deploy-operator", "deploy-user"


class NoAnswer(CloudProblem):
    """Error for a call of the deployed API that did not succeed."""

    def __init__(self, asked: str, status: int, told: Mapping[str, Any]) -> None:
        detail = told.get("detail") or told.get("title") or "no reason was given"
        code = f" ({told['code']})" if told.get("code") else ""
        silence = f"{asked} was not answered: check the network, PUBLIC_URL, and the log of the function api."
        super().__init__(f"{asked} answered {status}{code}: {detail}" if status else silence)
        self.status = status


class SignInRefused(CloudProblem):
    """Error for an address and a password with which nobody is signed in."""

    def __init__(self, email: str, reason: str) -> None:
        super().__init__(
            f"{email} was not signed in ({reason}): correct the address or the password. With another way to sign in, "
            "such as Google, copy the token from your app instead."
        )
        self.reason = reason


class LoginLeft(CloudProblem):
    """Error for a login of a deploy that could not be deleted."""

    def __init__(self, project: str, email: str, why: GoogleFailed) -> None:
        super().__init__(
            f"The login {email} of this deploy could not be deleted, and may be an administrator: run this command "
            "again on this machine, or delete the login in the Firebase console "
            f"(https://console.firebase.google.com/project/{project}/authentication/users). {why}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is signed in."""

    project: Project
    uid: str
    headers: Mapping[str, str] = field(repr=False)

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> dict[str, Any]:
        """Call the deployed API, `/v1…`, and return its answer. Raises NoAnswer."""
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        status, told = self.project.web.call(method, f"{api_of(self.project)}{path}", body, headers)
        if not 200 <= status < 300:  # noqa: PLR2004  # success
            raise NoAnswer(f"{method} {path}", status, told)
        return told


def api_of(project: Project) -> str:
    """Return the address of the API's function, without `/v1`."""
    return project.settings.get("PUBLIC_URL", project.function_url("api")).rstrip("/")


@contextmanager
def signed_in(project: Project, role: str) -> Iterator[Person]:
    """Make a person of this machine, sign the person in, and delete the login at the end.

    A login that an interrupted deploy left is deleted before. The uid is new each time, since an account that was left
    stays closed. An operator is an administrator for as long as the deploy runs.
    """
    email = f"{role}-{_machine()}@{project.id}.firebaseapp.com"
    _delete(project, email)
    uid, password = f"{role}-{secrets.token_hex(UID_BYTES)}", secrets.token_urlsafe(PASSWORD_BYTES)
    accounts = f"{API}/projects/{project.id}/accounts"
    project.google.post(
        accounts, {"localId": uid, "email": email, "password": password, "emailVerified": True, "displayName": role}
    )
    try:
        if role == OPERATOR:
            claims = json.dumps({"roles": ["admin"]})
            project.google.post(f"{accounts}:update", {"localId": uid, "customAttributes": claims})
        with app_check(project) as proof:
            token = _sign_in(project, email, password, proof)
            yield Person(project=project, uid=uid, headers={"Authorization": f"Bearer {token}", **proof})
    finally:
        _leave(project, email)


def _leave(project: Project, email: str) -> None:
    """Delete the login. Raises LoginLeft."""
    try:
        _delete(project, email)
    except GoogleFailed as error:
        raise LoginLeft(project.id, email, error) from error


def _machine() -> str:
    """Return a name for this machine and its user, so that two operators who deploy at once do not meet."""
    machine = f"{getpass.getuser()}@{platform.node()}"
    return hashlib.sha256(machine.encode()).hexdigest()[:MARK_LENGTH]


def _delete(project: Project, email: str) -> None:
    accounts = f"{API}/projects/{project.id}/accounts"
    for user in project.google.post(f"{accounts}:lookup", {"email": [email]}).get("users") or ():
        project.google.post(f"{accounts}:delete", {"localId": user["localId"]})


def _sign_in(project: Project, email: str, password: str, proof: Mapping[str, str]) -> str:
    try:
        return id_token(project.web, project.settings.get(WEB_KEY), email, password, proof)
    except SignInRefused as refused:
        raise CloudProblem(
            f"Nobody can sign in with e-mail and password ({refused.reason}): turn the provider on in the Firebase "
            f"console (Authentication, Sign-in method), and check {WEB_KEY}."
        ) from refused


def id_token(web: Web, web_key: str, email: str, password: str, proof: Mapping[str, str] | None = None) -> str:
    """Return the ID token of somebody who signs in as in an app. `proof`: headers of App Check.

    Raises SignInRefused.
    """
    body = {"email": email, "password": password, "returnSecureToken": True}
    status, told = web.call("POST", f"{API}/accounts:signInWithPassword?key={web_key}", body, proof)
    if "idToken" in told:
        return str(told["idToken"])
    error = told.get("error")
    reason = error.get("message") if isinstance(error, dict) else None
    raise SignInRefused(email, str(reason or status or "no answer"))
