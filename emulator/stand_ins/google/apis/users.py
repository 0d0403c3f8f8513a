"""Users of Identity Toolkit, as operators make them, and the sign-in of an app with its public key."""

import json

from emulator.stand_ins.google.apis.identity import SETTING
from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import invalid, not_found
from emulator.stand_ins.google.state import Project, State
from emulator.stand_ins.wire import Answer, Json, Request, copied, json_answer

USER = "User"
KIND = "identitytoolkit#"
SIGN_IN = "/v1/accounts:signInWithPassword"
PASSWORD_LENGTH_MIN = 6
WEB_KEY = "AIzaStandIn"
"""Beginning of a web app's public key; the project's number follows."""


@serves("identitytoolkit.v1 projects.accounts", needs="firebaseauth.users.create")
def create_user(call: Call) -> Json:
    if SETTING not in call.project.settings:
        raise not_found("CONFIGURATION_NOT_FOUND")
    email = call.body.get("email")
    uid = str(call.body.get("localId") or f"uid-{len(call.table(USER)) + 1}")
    if uid in call.table(USER):
        raise invalid("DUPLICATE_LOCAL_ID")
    if any(each.get("email") == email for each in call.table(USER).values()):
        raise invalid("EMAIL_EXISTS")
    if "password" in call.body and len(str(call.body["password"])) < PASSWORD_LENGTH_MIN:
        raise invalid("WEAK_PASSWORD : Password should be at least 6 characters")
    call.table(USER).add(uid, {**copied(call.body), "localId": uid})
    return {"kind": f"{KIND}SignupNewUserResponse", "localId": uid, "email": email}


@serves("identitytoolkit.v1 projects.accounts.update", needs="firebaseauth.users.update")
def update_user(call: Call) -> Json:
    user = _known(call)
    if "customAttributes" in call.body:
        json.loads(call.body["customAttributes"])
    user.update(copied(call.body))
    return {"kind": f"{KIND}SetAccountInfoResponse", "localId": user["localId"]}


@serves("identitytoolkit.v1 projects.accounts.lookup", needs="firebaseauth.users.get")
def look_up(call: Call) -> Json:
    wanted = {*(call.body.get("localId") or ()), *(call.body.get("email") or ())}
    found = [
        {name: value for name, value in each.items() if name not in {"password", "name", "idToken"}}
        for uid, each in call.table(USER).items()
        if {uid, each.get("email")} & wanted
    ]
    return {"kind": f"{KIND}GetAccountInfoResponse", **({"users": found} if found else {})}


@serves("identitytoolkit.v1 projects.accounts.batchGet", needs="firebaseauth.users.get")
def list_users(call: Call) -> Json:
    users = list(call.table(USER).values())
    size, start = int(call.query.get("maxResults", "20")), int(call.query.get("nextPageToken", "0"))
    told = [
        {name: value for name, value in each.items() if name not in {"password", "name"}}
        for each in users[start : start + size]
    ]
    more = {"nextPageToken": str(start + size)} if start + size < len(users) else {}
    return {"kind": f"{KIND}DownloadAccountResponse", **({"users": told} if told else {}), **more}


@serves("identitytoolkit.v1 projects.accounts.sendOobCode", needs="firebaseauth.users.sendEmail")
def send_code(call: Call) -> Json:
    """Mail a link. The stand-in remembers the mail with the user, and follows no link."""
    email = call.body.get("email")
    user = next((each for each in call.table(USER).values() if each.get("email") == email), None)
    if user is None:
        raise invalid("EMAIL_NOT_FOUND")
    call.table("Mail").add(f"{call.body['requestType']} {email}", {})
    return {"kind": f"{KIND}GetOobConfirmationCodeResponse", "email": email}


@serves("identitytoolkit.v1 projects.accounts.delete", needs="firebaseauth.users.delete")
def delete_user(call: Call) -> Json:
    uid = str(_known(call)["localId"])
    call.table(USER).remove(uid)
    if call.project.backend is not None:
        call.project.backend.forget(uid)
    return {"kind": f"{KIND}DeleteAccountResponse"}


def _known(call: Call) -> Json:
    uid = str(call.body.get("localId", ""))
    if uid not in call.table(USER):
        raise invalid("USER_NOT_FOUND")
    return call.table(USER)[uid]


def plain(state: State, request: Request, path: str) -> Answer | None:
    """Sign somebody in with the public key of a web app, as an app does: without credentials of Google."""
    if path != SIGN_IN:
        return None
    key = request.asked().get("key", "")
    project = next((each for each in state.projects.values() if f"{WEB_KEY}{each.number}" == key), None)
    if project is None:
        raise invalid("API key not valid. Please pass a valid API key.")
    return _sign_in(project, json.loads(request.body or b"{}"))


def _sign_in(project: Project, given: Json) -> Answer:
    email = (project.settings.get(SETTING, {}).get("signIn") or {}).get("email") or {}
    if not email.get("enabled"):
        raise invalid("OPERATION_NOT_ALLOWED : The identity provider configuration is not found.")
    users = project.table(USER).values()
    user = next((each for each in users if each.get("email") == given.get("email")), None)
    if user is None or user.get("password") != given.get("password"):
        raise invalid("INVALID_LOGIN_CREDENTIALS")
    claims = json.loads(user.get("customAttributes") or "{}")
    told = {"localId": user["localId"], "email": user["email"], "claims": claims}
    token = f"token-of-{user['localId']}" if project.backend is None else project.backend.sign_in(told)
    return json_answer({
        "kind": f"{KIND}VerifyPasswordResponse", "localId": user["localId"], "email": user["email"], "idToken": token,
        "refreshToken": "stand-in", "expiresIn": "3600", "registered": True,
    })  # fmt: skip


@serves("identitytoolkit.v2 projects.defaultSupportedIdpConfigs.list", needs="firebaseauth.configs.get")
def list_providers(call: Call) -> Json:
    return call.page("defaultSupportedIdpConfigs", call.table("IdpConfig").values())
