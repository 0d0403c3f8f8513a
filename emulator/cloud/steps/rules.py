"""Rules and indexes of the database: published by the Firebase CLI, and waited for until every index is ready."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Change, Project

FIRESTORE = "https://firestore.googleapis.com/v1"
RULES = "https://firebaserules.googleapis.com/v1"
BUILDING = frozenset({"CREATING"})
BROKEN = frozenset({"NEEDS_REPAIR"})
OVERRIDES = "indexConfig.usesAncestorConfig=false OR ttlConfig:*"
POLLS_MAX = 360
POLL_SECONDS = 10.0
Key = tuple[str, ...]


def look(project: Project) -> Sequence[Change]:
    says = [*_rules(project), *_indexes(project), *_fields(project)]
    if says:

        def publish() -> None:
            project.firebase.deploy("firestore", project.root)

        return [Change(says="; ".join(says), do=publish)]
    if building := _building(project):
        return [Change(says=f"wait for {building} indexes that Google is building", do=lambda: _wait(project))]
    return []


def _database(project: Project) -> str:
    return f"{FIRESTORE}/projects/{project.id}/databases/(default)"


def _rules(project: Project) -> list[str]:
    release = project.google.find(f"{RULES}/projects/{project.id}/releases/cloud.firestore")
    wanted = (project.root / "firestore.rules").read_text()
    if release is not None:
        ruleset = project.google.get(f"{RULES}/{release['rulesetName']}")
        if [each["content"] for each in ruleset["source"]["files"]] == [wanted]:
            return []
    return ["publish firestore.rules"]


def _indexes(project: Project) -> list[str]:
    present = {_index_key(each) for each in _listed_indexes(project)}
    wanted = {_index_key(each) for each in _file(project)["indexes"]}
    missing = len(wanted - present)
    return [f"create {missing} composite indexes"] if missing else []


def _listed_indexes(project: Project) -> list[Mapping[str, Any]]:
    url = f"{_database(project)}/collectionGroups/-/indexes"
    return list(project.google.items(url, "indexes"))


def _index_key(index: Mapping[str, Any]) -> Key:
    """Return what makes an index. Google adds the document's name as the last field."""
    group = index.get("collectionGroup") or str(index["name"]).split("/")[5]
    fields = [each for each in index["fields"] if each["fieldPath"] != "__name__"]
    return (group, index["queryScope"], *(f"{each['fieldPath']} {_mode(each)}" for each in fields))


def _mode(field: Mapping[str, Any]) -> str:
    return str(field.get("order") or field.get("arrayConfig") or json.dumps(field.get("vectorConfig"), sort_keys=True))


def _fields(project: Project) -> list[str]:
    present = {_path(each): each for each in _listed_fields(project)}
    changed = [
        wanted
        for wanted in _file(project)["fieldOverrides"]
        if not _is_as_wanted(present.get((wanted["collectionGroup"], wanted["fieldPath"])), wanted)
    ]
    return [f"set the indexes of {len(changed)} single fields"] if changed else []


def _listed_fields(project: Project) -> list[Mapping[str, Any]]:
    listed = project.google.items(f"{_database(project)}/collectionGroups/-/fields", "fields", filter=OVERRIDES)
    return [each for each in listed if "__default__" not in str(each["name"])]


def _path(field: Mapping[str, Any]) -> Key:
    parts = str(field["name"]).split("/")
    return parts[5], parts[7].strip("`")


def _is_as_wanted(found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    if found is None:
        return False
    indexes = (found.get("indexConfig") or {}).get("indexes") or ()
    return _single(indexes) == _single(wanted.get("indexes") or ()) and bool(found.get("ttlConfig")) == bool(
        wanted.get("ttl")
    )


def _single(indexes: Iterable[Mapping[str, Any]]) -> set[Key]:
    """Return the scopes and modes of a field's own indexes, as the file or as Google writes them."""
    return {
        (each.get("queryScope", "COLLECTION"), _mode((each.get("fields") or [each])[0]))
        for each in indexes
        if each.get("order") or each.get("arrayConfig") or each.get("fields")
    }


def _file(project: Project) -> Mapping[str, Any]:
    read: Mapping[str, Any] = json.loads((project.root / "firestore.indexes.json").read_text())
    return read


def _building(project: Project) -> int:
    """Return the number of indexes that are not ready. Raises CloudProblem for an index that Google gave up."""
    states = [str(each.get("state")) for each in _listed_indexes(project)]
    for field in _listed_fields(project):
        states += [str(each.get("state")) for each in (field.get("indexConfig") or {}).get("indexes") or ()]
    if BROKEN & set(states):
        raise CloudProblem(
            "An index of the database needs repair: delete the index in the Cloud Console, and run the command again."
        )
    return sum(state in BUILDING for state in states)


def _wait(project: Project) -> None:
    told = 0
    for _ in range(POLLS_MAX):
        left = _building(project)
        if not left:
            return
        if left != told:
            project.terminal.say(f"     {left} indexes are being built …")
            told = left
        project.google.pause(POLL_SECONDS)
    raise CloudProblem("Google is still building indexes: run the command again later, which goes on from here.")
