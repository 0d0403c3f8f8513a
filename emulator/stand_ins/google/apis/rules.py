"""Firebase Rules: rulesets, and the releases that put one into force. Rules are checked for their frame only."""

import re
from typing import Any

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import already_exists, invalid, not_found
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

FRAME = re.compile(r"service\s+(?:cloud\.firestore|firebase\.storage)\s*\{")
COMMENTS_AND_TEXTS = re.compile(r"//[^\n]*|/\*.*?\*/|'[^'\n]*'|\"[^\"\n]*\"", re.DOTALL)


def _issues(source: Json) -> list[Json]:
    """Return the mistakes of the rules that the stand-in sees: no service, or braces that do not close."""
    issues = []
    for file in source.get("files") or []:
        code = COMMENTS_AND_TEXTS.sub("", str(file.get("content", "")))
        place = {"fileName": str(file.get("name", "")), "line": 1, "column": 1}
        if not FRAME.search(code):
            issues.append({"sourcePosition": place, "description": "Unexpected end of file.", "severity": "ERROR"})
        if any(code.count(left) != code.count(right) for left, right in ("{}", "()", "[]")):
            issues.append({"sourcePosition": place, "description": "Missing 'match' braces.", "severity": "ERROR"})
    return issues


@serves("firebaserules.v1 projects.test", needs="firebaserules.rulesets.test")
def test_rules(call: Call) -> Json:
    issues = _issues(call.body.get("source") or {})
    return {"issues": issues} if issues else {}


@serves("firebaserules.v1 projects.rulesets.create", needs="firebaserules.rulesets.create")
def create_ruleset(call: Call) -> Json:
    source: dict[str, Any] = call.body.get("source") or {}
    if not source.get("files"):
        raise invalid("Ruleset source must have files.", field="ruleset.source")
    if issues := _issues(source):
        raise invalid(str(issues[0]["description"]))
    number = 1 + len(call.table("Ruleset"))
    name = f"projects/{call.project.id}/rulesets/00000000-0000-4000-9000-{number:012d}"
    services = ["cloud.firestore"] if "cloud.firestore" in str(source) else ["firebase.storage"]
    return call.table("Ruleset").add(
        name, {"source": source, "createTime": now_text(), "metadata": {"services": services}}
    )


@serves("firebaserules.v1 projects.rulesets.get", needs="firebaserules.rulesets.get")
def get_ruleset(call: Call) -> Json:
    if call.resource not in call.table("Ruleset"):
        raise not_found()
    return copied(call.table("Ruleset")[call.resource])


@serves("firebaserules.v1 projects.rulesets.list", needs="firebaserules.rulesets.list")
def list_rulesets(call: Call) -> Json:
    rulesets = list(call.table("Ruleset").values())[::-1]
    told = [{key: each[key] for key in ("name", "createTime", "metadata")} for each in rulesets]
    return call.page("rulesets", told, size=10)


@serves("firebaserules.v1 projects.rulesets.delete", needs="firebaserules.rulesets.delete")
def delete_ruleset(call: Call) -> Json:
    if any(each["rulesetName"] == call.resource for each in call.table("Release").values()):
        raise invalid("Ruleset is in use by a release.")
    call.table("Ruleset").remove(call.resource)
    return {}


@serves("firebaserules.v1 projects.releases.create", needs="firebaserules.releases.create")
def create_release(call: Call) -> Json:
    name, ruleset = str(call.body.get("name", "")), str(call.body.get("rulesetName", ""))
    if not name.startswith(f"projects/{call.project.id}/releases/"):
        raise invalid("Invalid release name.", field="release.name")
    if name in call.table("Release"):
        raise already_exists("Requested entity already exists")
    _require_ruleset(call, ruleset)
    now = now_text()
    return call.table("Release").add(name, {"rulesetName": ruleset, "createTime": now, "updateTime": now})


def _require_ruleset(call: Call, ruleset: str) -> None:
    if ruleset not in call.table("Ruleset"):
        raise not_found(f"Ruleset {ruleset} was not found.")


def _find(call: Call) -> Json:
    if call.resource not in call.table("Release"):
        raise not_found()
    return call.table("Release")[call.resource]


@serves("firebaserules.v1 projects.releases.get", needs="firebaserules.releases.get")
def get_release(call: Call) -> Json:
    return copied(_find(call))


@serves("firebaserules.v1 projects.releases.list", needs="firebaserules.releases.list")
def list_releases(call: Call) -> Json:
    return call.page("releases", call.table("Release").values(), size=10)


@serves("firebaserules.v1 projects.releases.patch", needs="firebaserules.releases.update")
def patch_release(call: Call) -> Json:
    ruleset = str((call.body.get("release") or {}).get("rulesetName", ""))
    release = _find(call)
    _require_ruleset(call, ruleset)
    release |= {"rulesetName": ruleset, "updateTime": now_text()}
    return copied(release)
