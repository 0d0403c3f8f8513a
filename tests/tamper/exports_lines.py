"""Classes of edits of an export's lines: missing, moved, repeated, mixed with lines of another export."""

from collections.abc import Callable
from random import Random

from tests.tamper.edits import Make, edit_at, some_line, tampers
from tests.tamper.exports import Edit, Export, Record, file_of, uid_at


@tampers("an entry is missing", "sequence")
def _entry_missing(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    edit = edit_at(records, index)
    del records[index]
    return Edit(data=file_of(records), uid=edit.uid, seq=edit.seq)


@tampers("entries in the middle are missing", "sequence")
def _middle_missing(export: Export, random: Random) -> Edit | None:
    records, places = export.records(), export.places("entry")
    first = random.choice(places[:-2])
    edit = edit_at(records, first)
    last = first + random.randrange(1, 5)
    left = [each for at, each in enumerate(records) if not (first <= at <= last and each["type"] == "entry")]
    return Edit(data=file_of(left), uid=edit.uid, seq=edit.seq)


@tampers("the tail is cut", "sequence")
def _tail_cut(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    edit, uid = edit_at(records, index), uid_at(records, index)
    left = [
        each
        for at, each in enumerate(records)
        if not (each["type"] in {"entry", "hold"} and uid_at(records, at) == uid and each["seq"] >= edit.seq)
    ]
    return Edit(data=file_of(left), uid=uid, seq=edit.seq)


@tampers("all entries are missing", "sequence")
def _no_entries(export: Export, random: Random) -> Edit | None:
    records = [each for each in export.records() if each["type"] in {"header", "account"}]
    uid = random.choice(records[1:])["uid"]
    return Edit(data=file_of(records), uid=uid, seq=1)


@tampers("the file ends early", "grammar")
def _ends_early(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    edit = edit_at(records, index)
    return Edit(data=file_of(records[: index + 1]), uid=edit.uid, seq=edit.seq + 1)


@tampers("an entry stands twice", "sequence", "grammar")
def _entry_twice(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    records.insert(index, dict(records[index]))
    return edit_at(records, index, records[index]["seq"] + (1 if records[index]["seq"] == 1 else 0))


@tampers("two entries are swapped", "sequence", "grammar")
def _entries_swapped(export: Export, random: Random) -> Edit | None:
    records, places = export.records(), export.places("entry")
    index = random.choice([at for at in places if at + 1 in places])
    edit = edit_at(records, index)
    records[index], records[index + 1] = records[index + 1], records[index]
    return Edit(data=file_of(records), uid=edit.uid, seq=edit.seq)


@tampers("a line stands far from its place", "grammar", "sequence", "archive", "identity", "seal")
def _moved(export: Export, random: Random) -> Edit | None:
    records = export.records()
    index = random.randrange(1, len(records) - 1)
    record = records.pop(index)
    to = random.choice([at for at in range(len(records) + 1) if abs(at - index) > 1])
    records.insert(to, record)
    return Edit(data=file_of(records), is_anywhere=True)


def _line_moved(kind: str, to: Callable[[list[Record], int], int]) -> Make:
    """Return the edit that moves a random line of a type, and is located by the first line out of order."""

    def make(export: Export, random: Random) -> Edit | None:
        index, records = some_line(export, random, kind), export.records()
        if index is None:
            return None
        record = records.pop(index)
        place = to(records, index)
        records.insert(place, record)
        return Edit(data=file_of(records), line=place + 1) if place != index else None

    return make


tampers("the header stands later", "grammar")(
    lambda export, random: Edit(data=b"".join([*export.lines[1:3], export.lines[0], *export.lines[3:]]), line=1)
)
tampers("the header is missing", "grammar")(
    lambda export, random: Edit(data=b"".join(export.lines[1 + random.randrange(3) :]), line=1)
)
tampers("the header stands twice", "grammar")(lambda export, random: Edit(data=export.lines[0] + export.data, line=2))
tampers("an archived lot stands among the entries", "grammar")(
    _line_moved("lot", lambda records, index: next(at for at in range(index) if records[at]["type"] == "entry"))
)
tampers("an archived hold stands among the entries", "grammar")(
    _line_moved("hold", lambda records, index: next(at for at in range(index) if records[at]["type"] == "entry"))
)


@tampers("the account stands twice", "grammar")
def _account_twice(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "account"), export.records()
    assert index is not None
    records.insert(index, records[index])
    return Edit(data=file_of(records), line=index + 2)


@tampers("the account is missing", "grammar")
def _account_missing(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "account"), export.records()
    assert index is not None
    uid, last = records[index]["uid"], max(at for at in export.places("entry") if at < index)
    seq = records[last]["seq"] + 1
    del records[index]
    return Edit(data=file_of(records), uid=uid, seq=seq)


@tampers("the lines of an account stand twice", "grammar")
def _lines_twice(export: Export, random: Random) -> Edit | None:
    del random
    return Edit(data=export.data + b"".join(export.lines[1:]), line=_end_of_first_account(export) + len(export.lines))


def _end_of_first_account(export: Export) -> int:
    return export.places("account")[0]


@tampers("two lots are swapped", "grammar")
def _lots_swapped(export: Export, random: Random) -> Edit | None:
    return _neighbours_swapped(export, random, "lot")


@tampers("two holds are swapped", "grammar")
def _holds_swapped(export: Export, random: Random) -> Edit | None:
    return _neighbours_swapped(export, random, "hold")


def _neighbours_swapped(export: Export, random: Random, kind: str) -> Edit | None:
    records, places = export.records(), export.places(kind)
    pairs = [at for at in places if at + 1 in places and uid_at(records, at) == uid_at(records, at + 1)]
    if not pairs:
        return None
    index = random.choice(pairs)
    records[index], records[index + 1] = records[index + 1], records[index]
    return Edit(data=file_of(records), line=index + 2)
