"""App Check's debug tokens: made by operators, and exchanged for the token that an app would have."""

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import denied, not_found
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json

KIND = "DebugToken"


@serves("firebaseappcheck.v1 projects.apps.debugTokens.create", needs="firebaseappcheck.debugTokens.update")
def create_debug_token(call: Call) -> Json:
    number = len(call.table(KIND)) + 1
    made = {**call.body, "updateTime": now_text()}
    told = call.table(KIND).add(f"{call.resource}/00000000-0000-4000-8000-{number:012d}", made)
    return {name: value for name, value in told.items() if name != "token"}


@serves("firebaseappcheck.v1 projects.apps.debugTokens.list", needs="firebaseappcheck.debugTokens.get")
def list_debug_tokens(call: Call) -> Json:
    listed = call.table(KIND).under(call.resource)
    return call.page("debugTokens", [{key: each[key] for key in each if key != "token"} for each in listed])


@serves("firebaseappcheck.v1 projects.apps.debugTokens.delete", needs="firebaseappcheck.debugTokens.update")
def delete_debug_token(call: Call) -> Json:
    if call.resource not in call.table(KIND):
        raise not_found()
    call.table(KIND).remove(call.resource)
    return {}


@serves("firebaseappcheck.v1 projects.apps.exchangeDebugToken")
def exchange(call: Call) -> Json:
    known = {each["token"] for each in call.table(KIND).under(f"{call.resource}/debugTokens")}
    if call.body.get("debugToken") not in known or call.project.backend is None:
        raise denied("firebaseappcheck.appCheckTokens.exchange", f"{call.host}/{call.resource}")
    return {"token": call.project.backend.app_token(), "ttl": "3600s"}
