"""Firestore Admin: composite indexes and field settings, which are built over a while."""

from emulator.stand_ins.google.apis.firestore import KIND, database
from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import already_exists, invalid
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

PAGE_SIZE = 500
LAST_FIELD = "__name__"


def _normal(fields: list[Json]) -> list[Json]:
    """Return the fields with `__name__` at the end, which Firestore adds by itself."""
    if fields and fields[-1].get("fieldPath") == LAST_FIELD:
        return fields
    order = next((each["order"] for each in reversed(fields) if "order" in each), "ASCENDING")
    return [*fields, {"fieldPath": LAST_FIELD, "order": order}]


def _is_of_one_field(fields: list[Json]) -> bool:
    """Return True if the field's own index serves the same queries: one field, with the name in the same direction."""
    others = fields[:-1]
    return len(others) <= 1 and all(each.get("order", "ASCENDING") == fields[-1]["order"] for each in others)


@serves("firestore.v1 projects.databases.collectionGroups.indexes.create", needs="datastore.indexes.create")
def create_index(call: Call) -> Json:
    parent = f"{database(call)['name']}/collectionGroups/{call.places['collectionGroupsId']}/indexes"
    given = list(call.body.get("fields") or [])
    fields, scope = _normal(given), call.body.get("queryScope")
    if scope not in {"COLLECTION", "COLLECTION_GROUP", "COLLECTION_RECURSIVE"}:
        raise invalid("The query scope must be specified.", field="index.query_scope")
    if _is_of_one_field(fields):
        raise invalid("this index is not necessary, configure using single field index controls")
    table = call.table("Index")
    if any(each["fields"] == fields and each["queryScope"] == scope for each in table.under(parent)):
        raise already_exists("index already exists")
    name = f"{parent}/CICAgO{len(table) + 1:06d}"
    table.add(name, {"queryScope": scope, "fields": fields, "state": "CREATING", "density": "SPARSE_ALL"})

    def act() -> Json:
        table[name]["state"] = "READY"
        return {"@type": f"type.googleapis.com/{KIND}.Index", **copied(table[name])}

    metadata = {"startTime": now_text(), "index": name, "state": "PROCESSING"}
    return call.begin(str(database(call)["name"]), f"{KIND}.IndexOperationMetadata", act, metadata=metadata)


@serves("firestore.v1 projects.databases.collectionGroups.indexes.list", needs="datastore.indexes.list")
def list_indexes(call: Call) -> Json:
    database(call)
    return call.page("indexes", call.table("Index").under(call.resource), size=PAGE_SIZE)


@serves("firestore.v1 projects.databases.collectionGroups.indexes.get", needs="datastore.indexes.get")
def get_index(call: Call) -> Json:
    return copied(call.table("Index").find(call.resource))


@serves("firestore.v1 projects.databases.collectionGroups.indexes.delete", needs="datastore.indexes.delete")
def delete_index(call: Call) -> Json:
    call.table("Index").remove(call.resource)
    return {}


@serves("firestore.v1 projects.databases.collectionGroups.fields.patch", needs="datastore.indexes.update")
def patch_field(call: Call) -> Json:
    parent = str(database(call)["name"])
    name, mask = call.resource, call.query.get("updateMask", "")
    field = copied(call.table("Field").get(name, {"name": name}))
    if not mask or "indexConfig" in mask:
        _set_indexes(field, call.body, call.places["fieldsId"])
    if not mask or "ttlConfig" in mask:
        field.pop("ttlConfig", None)
        if "ttlConfig" in call.body:
            field["ttlConfig"] = {"state": "CREATING"}

    def act() -> Json:
        for index in field.get("indexConfig", {}).get("indexes", []):
            index["state"] = "READY"
        if "ttlConfig" in field:
            field["ttlConfig"] = {"state": "ACTIVE"}
        if len(field) == 1:
            call.table("Field").pop(name, None)
        else:
            call.table("Field")[name] = field
        return {"@type": f"type.googleapis.com/{KIND}.Field", **copied(field)}

    call.table("Field")[name] = field
    return call.begin(parent, f"{KIND}.FieldOperationMetadata", act, metadata={"startTime": now_text(), "field": name})


def _set_indexes(field: Json, body: Json, path: str) -> None:
    """Take the single-field indexes. Without an `indexConfig` the field follows the database again."""
    if "indexConfig" not in body:
        field.pop("indexConfig", None)
        return

    def part_of(given: Json) -> Json:
        return {"fieldPath": path, **{name: value for name, value in given.items() if value is not None}}

    indexes = body["indexConfig"].get("indexes") or []
    told = [
        {
            "queryScope": each.get("queryScope", "COLLECTION"),
            "fields": [part_of(given) for given in each["fields"]],
            "state": "CREATING",
        }
        for each in indexes
    ]
    field["indexConfig"] = {"indexes": told} if told else {}


@serves("firestore.v1 projects.databases.collectionGroups.fields.list", needs="datastore.indexes.list")
def list_fields(call: Call) -> Json:
    database(call)
    return call.page("fields", call.table("Field").under(call.resource), size=PAGE_SIZE)


@serves("firestore.v1 projects.databases.collectionGroups.fields.get", needs="datastore.indexes.get")
def get_field(call: Call) -> Json:
    default = {"name": call.resource, "indexConfig": {"usesAncestorConfig": True}}
    return copied(call.table("Field").get(call.resource, default))
