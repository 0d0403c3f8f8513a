"""The grammar of an export: one form for each line, and one order of the lines."""

import base64
import io
from typing import Any

import orjson
import pytest

from shared.kernel.canonical import canonical
from shared.ledger.verify import grammar
from shared.ledger.verify.grammar import (
    LINE_BYTES_MAX,
    AccountLine,
    EntryLine,
    HeaderLine,
    HoldLine,
    LotLine,
    Note,
    NotGrammatical,
    OldExport,
    lines_of,
    parse_line,
)
from shared.ledger.verify.line_order import LineOrder

SIGNATURE = base64.b64encode(bytes(range(64))).decode()
PUBLIC_KEY = base64.b64encode(bytes(range(32))).decode()
KEY = {"alg": "Ed25519", "kid": "k1", "public_key": PUBLIC_KEY, "since": "2026-11-22T00:00:00.000Z"}
HEADER = {
    "format": "ics-export",
    "keys": [KEY],
    "ledger": "demo",
    "seal": f"k1:{SIGNATURE}",
    "type": "header",
    "version": 2,
}
ENTRY = {"body": "{}", "hash": "00", "kind": "grant", "schema": 1, "seq": 1, "signature": SIGNATURE, "type": "entry"}
LOT = {"id": "l", "state": "{}", "type": "lot", "uid": "ann"}
HOLD = {"seq": 1, "state": "{}", "type": "hold", "uid": "ann"}
ACCOUNT = {
    "nonce": "n",
    "plain": {"seq": 1},
    "seal": f"k1:{SIGNATURE}",
    "state": "{}",
    "type": "account",
    "uid": "ann",
    "version": 1,
}
NOTE = {"salt": "s", "text": "sorry"}
LINES = [HEADER, ENTRY, LOT, HOLD, ACCOUNT]


def line(record: Any) -> bytes:
    return canonical(record) + b"\n"


def refusal(text: bytes) -> str:
    with pytest.raises(NotGrammatical) as caught:
        parse_line(text)
    return str(caught.value)


def order_of(*records: Any) -> str | None:
    order = LineOrder()
    try:
        for record in records:
            order.take(parse_line(line(record)))
        order.end()
    except NotGrammatical as error:
        return str(error)
    return None


def test_each_type_of_line_becomes_its_record():
    assert parse_line(line(ENTRY)) == EntryLine("{}", "00", "grant", 1, 1, SIGNATURE)
    assert parse_line(line({**ENTRY, "note": NOTE})) == EntryLine(
        "{}", "00", "grant", 1, 1, SIGNATURE, Note(salt="s", text="sorry")
    )
    assert parse_line(line({**LOT, "rest_order": "1"})) == LotLine(id="l", state="{}", uid="ann", rest_order="1")
    assert parse_line(line(HOLD)) == HoldLine(1, "{}", "ann")
    assert parse_line(line(ACCOUNT)) == AccountLine("n", {"seq": 1}, f"k1:{SIGNATURE}", "{}", "ann", 1)
    header = parse_line(line({**HEADER, "checkpoint": "text"}))
    assert isinstance(header, HeaderLine)
    assert (header.ledger, header.checkpoint, header.keys[0].until) == ("demo", "text", None)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"seq":1', b'"seq":1.0'),
        lambda text: text.replace(b'"seq":1', b'"seq":1e0'),
        lambda text: text.replace(b'"seq":1', b'"seq":true'),
        lambda text: text.replace(b'"seq":1', b'"seq":"1"'),
        lambda text: text.replace(b'"seq":1', b'"seq":null'),
        lambda text: text.replace(b'"seq":1', b'"seq":01'),
        lambda text: text.replace(b'"seq":1', b'"seq":-0'),
        lambda text: text.replace(b'"seq":1', b'"seq":1,"seq":1'),
        lambda text: text.replace(b'"seq":1', b'"seq":18446744073709551616'),
        lambda text: text.replace(b'"seq":1', b'"seq":9007199254740992'),
        lambda text: text.replace(b'"seq":1', b'"seq": 1'),
        lambda text: text.replace(b"grant", b"gr\\u0061nt"),
        lambda text: text.replace(b"grant", b"gr\\/ant"),
        lambda text: text.replace(b"grant", b"gr\x00ant"),
        lambda text: text.replace(b"grant", b"gr\xffant"),
        lambda text: text.replace(b"grant", b"gr\xed\xa0\x80ant"),
        lambda text: text.replace(b"grant", b"gr\\ud800ant"),
        lambda text: text.replace(b'"hash":"00",', b""),
        lambda text: text.replace(b'"hash":"00",', b'"hash":"00","hat":"",'),
        lambda text: text.replace(b"grant", b"grant\x85"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b" \n"),
        lambda text: text.replace(b"\n", b"{}\n"),
        lambda text: text.replace(b"\n", b""),
        lambda text: b" " + text,
        lambda text: b"\n",
        lambda text: b"[" * 100_000 + b"\n",
        lambda text: b'{"a":' * 100_000 + b"\n",
        lambda text: b"[]\n",
        lambda text: b"NaN\n",
    ],
)
def test_a_line_in_another_form_is_not_grammatical(change):
    assert refusal(change(line(ENTRY)))


@pytest.mark.parametrize("record", LINES, ids=lambda record: record["type"])
def test_a_line_has_exactly_the_keys_of_its_type(record):
    wrongs: list[Any] = [0, "wrong", True, [], {}, [[]]]
    for name in record:
        assert refusal(line({key: value for key, value in record.items() if key != name}))
        for wrong in wrongs:
            if type(wrong) is not type(record[name]) or name == "type":
                assert refusal(line({**record, name: wrong})), name
    assert refusal(line({**record, "unknown": ""}))


@pytest.mark.parametrize(
    "wrong",
    [
        {**ENTRY, "note": ""},
        {**ENTRY, "note": {"text": ""}},
        {**ENTRY, "note": {**NOTE, "by": ""}},
        {**LOT, "rest_order": 1},
        {**ACCOUNT, "plain": {"seq": {}}},
        {**HEADER, "checkpoint": 1},
        {**HEADER, "version": 3},
        {**HEADER, "format": "other"},
        {**HEADER, "keys": [KEY, KEY]},
        {**HEADER, "keys": [1]},
        {**HEADER, "keys": [{**KEY, "status": "signing"}]},
        {**HEADER, "keys": [{**KEY, "public_key": PUBLIC_KEY[:-2] + "9="}]},
        {**HEADER, "keys": [{**KEY, "public_key": PUBLIC_KEY[:20] + "\n" + PUBLIC_KEY[20:]}]},
    ],
)
def test_a_part_of_a_line_has_one_form_too(wrong):
    assert refusal(line(wrong))


def test_a_float_beside_a_known_shape_is_refused_in_plain_fields():
    text = line(ACCOUNT).replace(b'"plain":{"seq":1}', b'"plain":{"seq":1.5}')

    assert refusal(text)
    assert refusal(line(ACCOUNT).replace(b'"plain":{"seq":1}', b'"plain":{"seq":9007199254740993}'))


def test_version_1_is_refused_by_name():
    header = {"type": "header", "format": "ics-export", "version": 1, "ledger": "demo", "uid": "ann", "keys": []}

    with pytest.raises(OldExport, match="export version 1: ask for a new export"):
        parse_line(orjson.dumps(header) + b"\n")
    with pytest.raises(OldExport):
        parse_line(line(header))


def test_a_huge_line_comes_in_parts_that_are_not_grammatical(monkeypatch):
    monkeypatch.setattr(grammar, "LINE_BYTES_MAX", 50)

    parts = list(grammar.lines_of(io.BytesIO(line(ENTRY) + b"{}\n")))

    assert max(len(part) for part in parts) == 51
    assert all(refusal(part) for part in parts)
    assert LINE_BYTES_MAX > 2**20
    assert list(lines_of(io.BytesIO(b"a\nb"))) == [b"a\n", b"b"]


def test_accounts_follow_each_other_whole_and_once():
    two = {**ENTRY, "seq": 2}
    bob = [{**record, "uid": "bob"} for record in (LOT, HOLD, ACCOUNT)]

    assert order_of(*LINES) is None
    assert order_of(HEADER) is None
    assert order_of(HEADER, ENTRY, two, ACCOUNT, ENTRY, *bob) is None
    assert order_of(HEADER, ENTRY, {**LOT, "id": "k"}, LOT, HOLD, {**HOLD, "seq": 2}, ACCOUNT) is None


@pytest.mark.parametrize(
    "records",
    [
        [],
        [ENTRY],
        [ACCOUNT],
        [HEADER, HEADER],
        [HEADER, ENTRY],
        [HEADER, LOT, ACCOUNT],
        [HEADER, ENTRY, LOT, ENTRY, ACCOUNT],
        [HEADER, ENTRY, HOLD, LOT, ACCOUNT],
        [HEADER, ENTRY, LOT, LOT, ACCOUNT],
        [HEADER, ENTRY, LOT, {**LOT, "id": "k"}, ACCOUNT],
        [HEADER, ENTRY, HOLD, HOLD, ACCOUNT],
        [HEADER, ENTRY, {**LOT, "uid": "bob"}, ACCOUNT],
        [HEADER, ENTRY, ACCOUNT, ACCOUNT],
        [HEADER, ENTRY, ACCOUNT, ENTRY, ACCOUNT],
        [HEADER, ENTRY, {**ENTRY, "seq": 2}, ENTRY, ACCOUNT],
        [HEADER, ENTRY, ACCOUNT, LOT, {**ACCOUNT, "uid": "bob"}],
        [HEADER, ENTRY, ACCOUNT, HEADER],
    ],
)
def test_lines_in_another_order_are_not_grammatical(records):
    assert order_of(*records)


def test_a_new_account_begins_after_an_account_without_a_line():
    order = LineOrder()
    for record in (HEADER, ENTRY, {**LOT, "uid": "bob"}):
        order.take(parse_line(line(record)))

    with pytest.raises(NotGrammatical):
        order.take(parse_line(line(ENTRY)))
    order.take(parse_line(line(ACCOUNT)))

    order.end()
