"""Classes of edits of an export's archived lots, archived holds and notes."""

from collections.abc import Callable
from random import Random

from shared.kernel.canonical import canonical
from tests.tamper.edits import Make, changed_field, edit_at, other_character, other_digit, some_line, tampers
from tests.tamper.exports import Edit, Export, Record, body_of, file_of, uid_at


def _lot_edit(change: Callable[[list[Record], int, Random], None]) -> Make:
    def make(export: Export, random: Random) -> Edit | None:
        index, records = some_line(export, random, "lot"), export.records()
        assert index is not None
        uid, granted = records[index]["uid"], body_of({"body": records[index]["state"]})["granted_seq"]
        before = file_of(records)
        change(records, index, random)
        return None if file_of(records) == before else Edit(data=file_of(records), uid=uid, seq=granted)

    return make


def _other_lot(records: list[Record], index: int, random: Random) -> None:
    state = body_of({"body": records[index]["state"]})
    state[random.choice(["granted", "spent", "priority"])] += random.randrange(1, 100)
    records[index]["state"] = canonical(state).decode()


def _other_order(records: list[Record], index: int, random: Random) -> None:
    if "rest_order" in records[index]:
        records[index]["rest_order"] = other_character(records[index]["rest_order"], random, "0123456789")
    else:
        records[index]["rest_order"] = "000010:0000000000000000:000000000001"


tampers("an archived lot is another", "archive")(_lot_edit(_other_lot))
tampers("an archived lot has another order", "archive")(_lot_edit(_other_order))
tampers("an archived lot is missing", "archive")(_lot_edit(lambda records, index, random: records.__delitem__(index)))
tampers("an archived lot has another name", "archive")(
    _lot_edit(lambda records, index, random: records[index].update(id=records[index]["id"] + "x"))
)
tampers("an archived hold is another", "archive")(changed_field("hold", "state", other_digit))
tampers("an archived hold is none", "archive")(
    changed_field("hold", "state", lambda text, random: text[: random.randrange(9)])
)
tampers("an archived lot is of another user", "identity")(
    lambda export, random: with_seq(changed_field("lot", "uid", lambda uid, random: uid + "x")(export, random), 0)
)
tampers("an archived hold is of another user", "identity")(
    lambda export, random: with_seq(changed_field("hold", "uid", lambda uid, random: uid + "x")(export, random), 0)
)


def with_seq(edit: Edit | None, seq: int) -> Edit | None:
    return None if edit is None else Edit(data=edit.data, uid=edit.uid, seq=seq)


@tampers("an archived hold is missing", "archive")
def _hold_missing(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "hold"), export.records()
    if index is None:
        return None
    edit = edit_at(records, index)
    del records[index]
    return Edit(data=file_of(records), uid=edit.uid, seq=edit.seq)


@tampers("an archived hold names another entry", "archive", "grammar")
def _hold_elsewhere(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "hold"), export.records()
    if index is None:
        return None
    edit = edit_at(records, index)
    records[index]["seq"] += random.choice([1, -1, 2**40])
    return Edit(data=file_of(records), uid=edit.uid, seq=edit.seq)


@tampers("an archived lot is invented", "archive")
def _lot_invented(export: Export, random: Random) -> Edit | None:
    records = export.records()
    index = random.choice(export.places("lot"))
    uid = records[index]["uid"]
    last = max(records[at]["seq"] for at in export.places("entry") if uid_at(records, at) == uid)
    records.insert(index + 1, {**records[index], "id": records[index]["id"] + "x"})
    return Edit(data=file_of(records), uid=uid, seq=last)


def _note_edit(change: Callable[[Record, Random], Record]) -> Make:
    def make(export: Export, random: Random) -> Edit | None:
        records = export.records()
        places = [at for at in export.places("entry") if "note" in records[at]]
        if not places:
            return None
        index = random.choice(places)
        records[index]["note"] = change(records[index]["note"], random)
        return edit_at(records, index)

    return make


tampers("a note is another", "note")(
    _note_edit(lambda note, random: {**note, "text": note["text"] + random.choice("!?. ")})
)
tampers("a salt is another", "note")(
    _note_edit(lambda note, random: {**note, "salt": other_character(note["salt"], random)})
)


@tampers("a note stands at another entry", "note")
def _note_moved(export: Export, random: Random) -> Edit | None:
    records = export.records()
    noted = [at for at in export.places("entry") if "note" in records[at]]
    others = [at for at in export.places("entry") if "note" not in records[at]]
    if not noted:
        return None
    index = random.choice(others)
    records[index]["note"] = records[random.choice(noted)].pop("note")
    return edit_at(records, index)
