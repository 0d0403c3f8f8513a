"""Classes of edits of an export's entries, also by the holder of a stolen key."""

from collections.abc import Callable
from random import Random

from tests.tamper.edits import Make, changed_field, edit_at, other_character, other_digit, some_line, tampers
from tests.tamper.exports import (
    ANN,
    CAL,
    OTHER_LEDGER,
    THIEF,
    Edit,
    Export,
    Record,
    body_of,
    file_of,
    rewritten,
    signed,
    uid_at,
)

tampers("a hash is another", "hash")(changed_field("entry", "hash", other_character))
tampers("a hash is in capitals", "hash")(changed_field("entry", "hash", lambda text, random: text.upper()))
tampers("a hash is short", "hash")(changed_field("entry", "hash", lambda text, random: text[: random.randrange(64)]))
tampers("a signature is another", "signature")(
    changed_field(
        "entry", "signature", lambda text, random: other_character(text[:-3], random, "ABCDEFGabcdefg0123") + text[-3:]
    )
)
tampers("a signature has bits in its padding", "signature")(
    changed_field(
        "entry", "signature", lambda text, random: text[:-3] + chr(ord(text[-3]) + random.choice([1, 2, 3])) + "=="
    )
)
tampers("a signature has a line feed", "signature")(
    changed_field("entry", "signature", lambda text, random: text[: (at := random.randrange(86))] + "\n" + text[at:])
)
tampers("a signature has no padding", "signature")(changed_field("entry", "signature", lambda text, random: text[:-2]))
tampers("a signature has another alphabet", "signature")(
    changed_field("entry", "signature", lambda text, random: text.replace("+", "-").replace("/", "_"))
)
tampers("a kind is another", "kind")(changed_field("entry", "kind", lambda text, random: text[:-1] + "x"))
tampers("a schema is another", "format")(
    changed_field("entry", "schema", lambda number, random: random.choice([0, -1, 2, 2**53 - 1]))
)


@tampers("a number of an entry is another", "sequence")
def _other_seq(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    edit = edit_at(records, index)
    records[index]["seq"] += random.choice([1, 7, 2**40])
    return Edit(data=file_of(records), uid=edit.uid, seq=edit.seq)


@tampers("a number of an entry is small", "sequence", "grammar")
def _small_seq(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    edit, seq = edit_at(records, index), random.choice([0, -1, -(2**53 - 1)])
    records[index]["seq"] = seq
    return Edit(data=file_of(records), uid=edit.uid, seq=0 if edit.seq != 1 else 1) if edit.seq != 1 else None


@tampers("a body is another", "hash")
def _other_body(export: Export, random: Random) -> Edit | None:
    return changed_field("entry", "body", other_digit)(export, random)


@tampers("a body is another, with the hash", "signature", "canonical")
def _other_body_and_hash(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    kept = records[index]["signature"]
    body = body_of(records[index])
    body["at"] += random.randrange(1, 1_000)
    records[index] = {**signed(records[index], body), "signature": kept}
    return edit_at(records, index)


@tampers("a body is signed by a stranger", "signature")
def _stranger(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    records[index] = signed(records[index], {**body_of(records[index]), "kid": "live"}, THIEF)
    return edit_at(records, index)


@tampers("a body names an unknown key", "unknown_key")
def _unknown_key(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    records[index] = signed(records[index], {**body_of(records[index]), "kid": "none"}, THIEF)
    return edit_at(records, index)


@tampers("an entry is appended by a retired key", "retired_key")
def _retired(export: Export, random: Random) -> Edit | None:
    records = export.records()
    index = random.choice([at for at in export.places("entry") if body_of(records[at])["kid"] == "live"])
    records[index] = signed(records[index], {**body_of(records[index]), "kid": "old"})
    return edit_at(records, index)


@tampers("an entry is signed by a key before its time", "early_key")
def _early(export: Export, random: Random) -> Edit | None:
    records = export.records()
    index = random.choice([at for at in export.places("entry") if body_of(records[at])["kid"] == "old"])
    records[index] = signed(records[index], {**body_of(records[index]), "kid": "live"})
    return edit_at(records, index)


@tampers("a body is no canonical text", "canonical")
def _spaced_body(export: Export, random: Random) -> Edit | None:
    return changed_field("entry", "body", lambda text, random: text.replace(":", ": ", 1))(export, random)


@tampers("a body is no object", "canonical")
def _listed_body(export: Export, random: Random) -> Edit | None:
    values = ["[]", "{", "", "null", "7", '"x"', "[" * 600 + "]" * 600]
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    if records[index]["seq"] == 1:
        return None
    records[index]["body"] = random.choice(values)
    return edit_at(records, index)


@tampers("a body lacks a member", "format", "postings")
def _short_body(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    body = body_of(records[index])
    del body[random.choice(["prev", "kind", "op", "at", "postings", "posted", "ledger"])]
    records[index] = signed(records[index], body)
    return edit_at(records, index)


@tampers("an entry is of another account", "identity")
def _anothers_entry(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    uid, seq = uid_at(records, index), records[index]["seq"]
    other = export.others[CAL if uid == ANN else ANN].records()
    if seq == 1 or seq >= len(other) or other[seq]["type"] != "entry":
        return None
    records[index] = other[seq]
    return edit_at(records, index)


@tampers("an entry is of another ledger", "identity")
def _foreign_entry(export: Export, random: Random) -> Edit | None:
    records = export.records()
    other = export.others[OTHER_LEDGER].records()
    places = [at for at in export.places("entry") if uid_at(records, at) == ANN]
    if not places:
        return None
    index = random.choice(places)
    records[index] = other[records[index]["seq"]]
    return edit_at(records, index)


# Journals written again with a stolen key ---------------------------------------------------------------------------


def _stolen(change: Callable[[Record, Random], None], seq: int | None = None) -> Make:
    """Return the edit by the holder of the live key, who links and signs all that follows again."""

    def make(export: Export, random: Random) -> Edit | None:
        index, records = some_line(export, random, "entry"), export.records()
        assert index is not None
        before = body_of(records[index])
        records = rewritten(records, index, lambda body: change(body, random))
        if {**body_of(records[index]), "kid": ""} == {**before, "kid": ""}:
            return None
        return edit_at(records, index, seq)

    return make


def _more(body: Record, random: Random) -> None:
    if body["postings"]:
        random.choice(body["postings"])["amount"] += random.randrange(1, 1_000)


def _older(body: Record, random: Random) -> None:
    if body["seq"] > 1:
        body["at"] -= random.randrange(60_000, 90_000)


def _told(name: str) -> Callable[[Record, Random], None]:
    def change(body: Record, random: Random) -> None:
        body[name] += random.randrange(1, 1_000)

    return change


tampers("an amount is rewritten by a stolen key", "postings", "balance_after")(_stolen(_more))
tampers("a balance is rewritten by a stolen key", "balance_after")(_stolen(_told("posted")))
tampers("a debt is rewritten by a stolen key", "balance_after")(_stolen(_told("debt")))
tampers("a time is rewritten by a stolen key", "time", "early_key")(_stolen(_older))
tampers("an entry by a stolen key names another state", "state")(
    _stolen(lambda body, random: body.update(status="frozen"), seq=0)
)


@tampers("one entry is signed by a stolen key", "link", "state")
def _one_entry(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    body = body_of(records[index])
    records[index] = signed(records[index], {**body, "about": {"x": str(random.random())}})
    is_last = records[index + 1]["type"] != "entry"
    return edit_at(records, index, 0 if is_last else body["seq"] + 1)


@tampers("an operation has an effect twice by a stolen key", "operation")
def _twice(export: Export, random: Random) -> Edit | None:
    records, places = export.records(), export.places("entry")
    index = random.choice([at for at in places if at - 1 in places])
    first = body_of(records[index - 1])["op"]
    records = rewritten(records, index, lambda body: body.update(op=first))
    return edit_at(records, index)
