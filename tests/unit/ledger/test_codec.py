"""The stored form of an account: documents recorded on 2026-11-30 are read, and written again byte for byte."""

import ast
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import pytest

from shared.kernel.canonical import parse_canonical
from shared.kernel.ids import HoldId, LotId, Uid
from shared.ledger import codec
from shared.ledger.account import AbsorbedAmounts, Account, Budget, Hold, Lot
from shared.ledger.codec import (
    decode_account,
    decode_hold,
    decode_lot,
    encode_account,
    encode_hold,
    encode_lot,
)
from shared.ledger.entries import draft_of
from tests.support.books import Books, grant, hold

GIFT = Lot(
    id=LotId("gift"),
    source="bonus",
    priority=10,
    granted_seq=1,
    expires_at=None,
    is_paid=False,
    granted=100,
    spent=20,
    expired=1,
    reversed=2,
    owed=3,
    held=40,
)
CARD = Lot(
    id=LotId("card"),
    source="payment",
    priority=20,
    granted_seq=2,
    expires_at=1_800_000_000_000,
    is_paid=True,
    granted=50,
)
CALL = Hold(
    id=HoldId("h1"),
    purpose="chat",
    principal="key:k1",
    is_reservation=False,
    placed_at=1_700_000_000_000,
    expires_at=1_700_000_900_000,
    takes=((LotId("gift"), 40),),
    budgets=("key:k1", "task:t"),
    model="gpt-4o-mini",
    input_at_most=30,
    input_held=10,
    about=(("key", "k1"), ("model", "gpt-4o-mini")),
    output_at_most=60,
    accrued=4,
    placed=44,
    captured=4,
)
RESERVATION = Hold(
    id=HoldId("h2"), purpose="reservation", principal="ann", is_reservation=True, placed_at=1, expires_at=2, takes=()
)
RELEASED = replace(RESERVATION, status="released")
UNUSED = Account(ledger="demo", uid=Uid("bob"), head="genesis")
USED = Account(
    ledger="demo",
    uid=Uid("ann"),
    seq=7,
    head="ab" * 32,
    at=1_700_000_000_000,
    status="frozen",
    debt=5,
    tat=1_700_000_000_000_000,
    lots={GIFT.id: GIFT, CARD.id: CARD},
    holds={CALL.id: CALL, RESERVATION.id: RESERVATION},
    budgets={
        "key:k1": Budget(id="key:k1", limit=100, expires_at=1_800_000_000_000, used=4, held=40),
        "task:t": Budget(id="task:t", limit=50),
    },
    absorbed={"ann": AbsorbedAmounts(principal="ann", window=5, amount=2, most=3)},
)
USED_STORED = (
    '{"absorbed":[{"amount":2,"most":3,"principal":"ann","window":5}],"at":1700000000000,"budgets":[{"exp'
    'ires_at":1800000000000,"held":40,"id":"key:k1","limit":100,"used":4},{"held":0,"id":"task:t","limit"'
    ':50,"used":0}],"debt":5,"head":"abababababababababababababababababababababababababababababababab","h'
    'olds":[{"about":[["key","k1"],["model","gpt-4o-mini"]],"accrued":4,"budgets":["key:k1","task:t"],"ca'
    'ptured":4,"expires_at":1700000900000,"id":"h1","input_at_most":30,"input_held":10,"is_reservation":f'
    'alse,"model":"gpt-4o-mini","output_at_most":60,"placed":44,"placed_at":1700000000000,"principal":"ke'
    'y:k1","purpose":"chat","status":"active","takes":[["gift",40]]},{"accrued":0,"budgets":[],"captured"'
    ':0,"expires_at":2,"id":"h2","is_reservation":true,"placed":0,"placed_at":1,"principal":"ann","purpos'
    'e":"reservation","status":"active","takes":[]}],"ledger":"demo","lots":[{"expired":1,"granted":100,"'
    'granted_seq":1,"held":40,"id":"gift","is_paid":false,"owed":3,"priority":10,"reversed":2,"source":"b'
    'onus","spent":20},{"expired":0,"expires_at":1800000000000,"granted":50,"granted_seq":2,"held":0,"id"'
    ':"card","is_paid":true,"owed":0,"priority":20,"reversed":0,"source":"payment","spent":0}],"seq":7,"s'
    'tatus":"frozen","tat":1700000000000000,"uid":"ann","v":1}'
)
UNUSED_STORED = (
    '{"at":0,"budgets":[],"debt":0,"head":"genesis","holds":[],"ledger":"demo","lots":[],"seq":0,"status"'
    ':"open","tat":0,"uid":"bob","v":1}'
)
GIFT_STORED = (
    '{"expired":1,"granted":100,"granted_seq":1,"held":40,"id":"gift","is_paid":false,"owed":3,"priority"'
    ':10,"reversed":2,"source":"bonus","spent":20}'
)
CARD_STORED = (
    '{"expired":0,"expires_at":1800000000000,"granted":50,"granted_seq":2,"held":0,"id":"card","is_paid":'
    'true,"owed":0,"priority":20,"reversed":0,"source":"payment","spent":0}'
)
CALL_STORED = (
    '{"about":[["key","k1"],["model","gpt-4o-mini"]],"accrued":4,"budgets":["key:k1","task:t"],"captured"'
    ':4,"expires_at":1700000900000,"id":"h1","input_at_most":30,"input_held":10,"is_reservation":false,"m'
    'odel":"gpt-4o-mini","output_at_most":60,"placed":44,"placed_at":1700000000000,"principal":"key:k1","'
    'purpose":"chat","status":"active","takes":[["gift",40]]}'
)
RELEASED_STORED = (
    '{"accrued":0,"budgets":[],"captured":0,"expires_at":2,"id":"h2","is_reservation":true,"placed":0,"pl'
    'aced_at":1,"principal":"ann","purpose":"reservation","status":"released","takes":[]}'
)


def fields_in(stored: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", parse_canonical(stored))


@pytest.mark.parametrize(("account", "stored"), [(USED, USED_STORED), (UNUSED, UNUSED_STORED)])
def test_a_recorded_account_is_read_and_written_byte_for_byte(account, stored):
    assert decode_account(stored) == account
    assert encode_account(account) == stored


@pytest.mark.parametrize(("lot", "stored"), [(GIFT, GIFT_STORED), (CARD, CARD_STORED)])
def test_a_recorded_lot_is_read_and_written_byte_for_byte(lot, stored):
    assert decode_lot(fields_in(stored)) == lot
    assert encode_lot(lot) == stored


@pytest.mark.parametrize(("ended", "stored"), [(CALL, CALL_STORED), (RELEASED, RELEASED_STORED)])
def test_a_recorded_hold_is_read_and_written_byte_for_byte(ended, stored):
    assert decode_hold(fields_in(stored)) == ended
    assert encode_hold(ended) == stored


def test_a_missing_field_without_a_default_is_refused():
    with pytest.raises(TypeError):
        decode_account(UNUSED_STORED.replace('"head":"genesis",', ""))
    with pytest.raises(TypeError):
        decode_lot(fields_in(GIFT_STORED.replace('"priority":10,', "")))


def test_an_unknown_field_of_a_lot_is_refused():
    with pytest.raises(TypeError):
        decode_lot(fields_in(GIFT_STORED.replace('"priority":10,', '"priority":10,"quality":1,')))


def test_a_sealed_entry_gives_back_every_fact_of_the_draft():
    books = Books()
    books.do(grant("gift", 100))
    books.do(hold("h", 40))

    assert [set(draft_of(body).facts) for body in books.bodies] == [{"lot"}, {"hold"}]


def test_the_codec_repeats_no_name_of_a_field():
    tree = ast.parse(Path(codec.__file__).read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    named = {each.name for of in (Account, Lot, Hold, Budget, AbsorbedAmounts) for each in fields(of)}

    assert texts & named == set()
