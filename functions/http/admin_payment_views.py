"""Payments as operators see them: the owner's view, the provider's money, the problem, and refunds in coins."""

from collections.abc import Mapping
from typing import Any, get_args

from marshmallow import fields, validate

from functions.http.crypto_schemas import PayoutOut, RefundAddressOut
from functions.http.fields import Answer, Choice
from functions.http.money import Money
from functions.http.payments import PaymentOut
from functions.http.routes import Call
from shared.kernel.documents import Data
from shared.payments.chains.payout_view import payout_view
from shared.payments.chains.refund_addresses import address_view
from shared.payments.fiat import Fiat
from shared.payments.movements import Kind, State
from shared.payments.payment import Payment
from shared.payments.problems import PROBLEMS, problem_sentence


class ProblemOut(Answer):
    """Reason why a payment waits for an operator."""

    code = fields.String(required=True, validate=validate.OneOf(sorted(PROBLEMS)))
    message = fields.String(required=True, metadata={"description": "A sentence: the cause, and how to act."})


class MovementOut(Answer):
    """Refund or dispute that the provider reported."""

    id = fields.String(required=True, metadata={"description": "The provider's id; empty for money of earlier times."})
    kind = Choice(*get_args(Kind), required=True)
    state = Choice(
        *get_args(State),
        required=True,
        metadata={"description": "`open`: undecided. `gone`: not ours any more. `back`: never left, or came back."},
    )
    amount = Money(required=True)


class AdminPaymentOut(PaymentOut):
    """Payment as operators see it.

    `received` is the money that the provider reports, null before the payment. `problem` is the reason why the payment
    waits for an operator.
    """

    uid = fields.String(required=True)
    problem = fields.Nested(ProblemOut, required=True, allow_none=True)
    received = Money(required=True, allow_none=True)
    movements = fields.List(fields.Nested(MovementOut), required=True)
    provider_ids = fields.List(fields.String(), required=True)
    refund_address = fields.Nested(RefundAddressOut, required=True, allow_none=True)
    payouts = fields.List(fields.Nested(PayoutOut), required=True)


def told_payment(call: Call, payment_id: str) -> Mapping[str, Any]:
    """Return a payment as operators see it. Raises PaymentNotFound."""
    stored = call.services.payments.store
    return {**stored.view(payment_id, None), **for_operators(call, stored.get(payment_id))}


def for_operators(call: Call, known: Payment) -> Mapping[str, Any]:
    """Return the fields of a payment that operators see beside the owner's view."""
    moved = known.seen.movements or {}
    problem = {"code": known.problem, "message": problem_sentence(known)} if known.problem else None
    return {
        "problem": problem,
        "received": known.seen.paid,
        "movements": [
            {
                "id": name.partition(":")[2],
                "kind": each.kind,
                "state": each.state,
                "amount": Fiat(each.minor, each.currency),
            }
            for name, each in sorted(moved.items())
        ],
        "provider_ids": known.provider_ids,
        **_coins_back(call, known),
    }


def _coins_back(call: Call, known: Payment) -> Data:
    """Return the address for refunds that the user named, and the refunds in coins."""
    if not known.is_on_chain:
        return {"refund_address": None, "payouts": []}
    crypto, now = call.services.crypto, call.services.clock.now()
    named = crypto.refund_addresses.find(known.id)
    is_any = any(each.kind == "refund" for each in (known.seen.movements or {}).values())
    payouts = crypto.payouts.of_payment(known.id) if is_any else ()
    return {
        "refund_address": None if named is None else address_view(named, now),
        "payouts": [payout_view(each, crypto.networks.get(each.terms.network)) for each in payouts],
    }
