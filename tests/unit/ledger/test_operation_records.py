"""Records of operations: every command's record as it was stored before receipts had types, read and written again."""

from typing import Any, get_args

import orjson
import pytest

from shared.kernel.ids import HoldId, LotId
from shared.ledger.commands import Command
from shared.ledger.decide import HANDLERS
from shared.ledger.operation_records import decode_operation, encode_operation, facts_of, receipt_class, receipt_from
from shared.ledger.receipts import (
    AccountTotals,
    AccrualReceipt,
    AmountReceipt,
    CaptureReceipt,
    ClosingReceipt,
    GrantReceipt,
    HoldReceipt,
    Receipt,
)
from tests.support import books

AFTER = AccountTotals(available=90, held=10, debt=0, status="open", seq=7)

STORED: tuple[tuple[Command, str], ...] = (
    (books.grant("lot", 50), '"amount":50,"available":90,"debt":0,"held":10,"lot":"lot"'),
    (
        books.hold("h", 10),
        '"amount":10,"available":90,"debt":0,"expires_at":1790000900000,"held":10,"hold":"h"',
    ),
    (
        books.hold("h", 10),
        '"affordable":40,"amount":10,"available":90,"debt":0,"expires_at":1790000900000,"held":10,"hold":"h"',
    ),
    (
        books.extend("h", 5),
        '"added":5,"amount":15,"available":90,"debt":0,"expires_at":1790000900000,"held":10,"hold":"h"',
    ),
    (
        books.accrue("h", 3),
        '"accrued":3,"added":0,"available":90,"debt":0,"expires_at":1790000900000,"held":10,"hold":"h"',
    ),
    (
        books.capture("h", 4),
        '"absorbed":0,"available":90,"captured":4,"debt":0,"held":10,"hold":"h","released":6',
    ),
    (
        books.capture("h", 4),
        '"absorbed":0,"available":90,"beyond_cap":1,"captured":4,"debt":0,"held":10,"hold":"h","released":0',
    ),
    (books.release("h"), '"absorbed":0,"available":90,"captured":0,"debt":0,"held":10,"hold":"h","released":10'),
    (books.charge(3), '"amount":3,"available":90,"debt":0,"held":10'),
    (books.reverse("lot", 50), '"available":90,"debt":0,"held":10,"lot":"lot","owed":0,"reversed":50'),
    (books.restore("lot", 20), '"available":90,"debt":0,"forgiven":0,"held":10,"lot":"lot","restored":30'),
    (books.suspend("d", "lot"), '"amount":30,"available":90,"debt":0,"held":10,"hold":"d"'),
    (books.reinstate("d"), '"available":90,"debt":0,"held":10,"hold":"d","released":30'),
    (books.annul(), '"available":90,"debt":0,"held":10'),
    (books.adjust(-5), '"amount":-5,"available":90,"debt":0,"held":10'),
    (books.recover(7, "lot"), '"available":90,"debt":0,"held":10,"recovered":7'),
    (books.freeze(), '"available":90,"debt":0,"held":10'),
    (books.unfreeze(), '"available":90,"debt":0,"held":10'),
    (books.close(), '"available":90,"debt":0,"held":10,"owed":4'),
    (books.expire(), '"available":90,"debt":0,"held":10'),
)


def stored(facts: str, fingerprint: str = "f") -> str:
    """The record with these facts of its result, as canonical JSON."""
    return f'{{"fingerprint":"{fingerprint}","nonce":"n","result":{{{facts},"seq":7,"status":"open"}},"seq":7}}'


def other_class(kind: type[Receipt]) -> Any:
    """A command whose receipts have other facts."""
    return books.capture("h", 1) if kind is not CaptureReceipt else books.grant("lot", 1)


@pytest.mark.parametrize(("command", "facts"), STORED)
def test_a_record_is_written_back_byte_by_byte_after_reading(command, facts):
    state = stored(facts, command.fingerprint)

    receipt = decode_operation(state).receipt_for(command)

    assert receipt is not None
    assert (type(receipt), receipt.after) == (receipt_class(command), AFTER)
    assert encode_operation(command, receipt, "n") == state


def test_every_command_has_a_stored_record_above():
    assert {type(command) for command, _ in STORED} == HANDLERS.keys()


@pytest.mark.parametrize("kind", HANDLERS)
def test_every_command_names_the_class_of_its_receipts(kind):
    [receipts] = get_args(kind.__orig_bases__[0])

    assert issubclass(receipts, Receipt)


@pytest.mark.parametrize(("command", "facts"), STORED)
def test_a_record_of_another_request_has_no_receipt(command, facts):
    record = decode_operation(stored(facts, "another"))

    assert record.receipt_for(command) is None


@pytest.mark.parametrize(("command", "facts"), STORED)
def test_a_record_of_another_kind_of_command_has_no_receipt(command, facts):
    record = decode_operation(stored(facts))

    assert record.receipt_for(other_class(receipt_class(command))) is None


@pytest.mark.parametrize("kind", [Receipt, ClosingReceipt])
def test_a_grant_is_no_annulment_and_no_closing(kind):
    assert receipt_from(facts_of(GrantReceipt(after=AFTER, lot=LotId("lot"), amount=1)), kind) is None


def test_facts_of_a_newer_version_are_left_out():
    facts = {**facts_of(AmountReceipt(after=AFTER, amount=3)), "reason": "new"}

    assert receipt_from(facts, AmountReceipt) == AmountReceipt(after=AFTER, amount=3)


def test_facts_that_an_older_version_did_not_write_have_defaults():
    accrual = {**facts_of(Receipt(after=AFTER)), "hold": "h", "accrued": 3, "expires_at": 9}

    assert receipt_from(accrual, AccrualReceipt) == AccrualReceipt(
        after=AFTER, hold=HoldId("h"), accrued=3, expires_at=9, added=0
    )
    assert receipt_from(facts_of(Receipt(after=AFTER)), ClosingReceipt) == ClosingReceipt(after=AFTER, owed=0)


def test_receipts_are_equal_by_class_and_values():
    one, other = (HoldReceipt(after=AFTER, hold=HoldId("h"), amount=n, expires_at=9) for n in (1, 2))

    assert one == HoldReceipt(after=AFTER, hold=HoldId("h"), amount=1, expires_at=9)
    assert hash(one) == hash(HoldReceipt(after=AFTER, hold=HoldId("h"), amount=1, expires_at=9))
    assert one != other
    assert Receipt(after=AFTER) != AmountReceipt(after=AFTER, amount=1)
    assert "amount" in repr(one)


def test_a_field_that_is_none_is_not_stored():
    receipt = CaptureReceipt(after=AFTER, hold=HoldId("h"), captured=1, released=0)

    assert "beyond_cap" not in facts_of(receipt)
    assert orjson.loads(encode_operation(books.capture("h", 1), receipt, "n"))["result"]["absorbed"] == 0
