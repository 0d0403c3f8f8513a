"""`/v1/credits`: a user's balance, history and reservations."""

from typing import Any

from marshmallow import fields

from functions.http.fields import (
    Amount,
    Answer,
    Choice,
    Credits,
    Flag,
    Request,
    Text,
    Time,
    Whole,
)
from functions.http.routes import MEMBER, READ, Call, Reply, Routes
from shared.kernel.clock import SECOND
from shared.kernel.ids import HoldId
from shared.ledger.about import about
from shared.ledger.commands import Capture, PlaceHold, RateLimit, Release
from shared.ledger.errors import (
    AccountFrozen,
    HoldExists,
    HoldNotFound,
    HoldResolved,
    InsufficientCredits,
    LimitReached,
    RateLimited,
)
from shared.ledger.hold_names import hold_id
from shared.ledger.receipts import CaptureReceipt
from shared.sagas.accounts.bonus_caps import BonusCapReached
from shared.sagas.accounts.welcome_bonus import AlreadyClaimed, BonusNotAllowed
from shared.users.ports import AppCheckFailed

TTL_SECONDS_DEFAULT = 900
TTL_SECONDS_MAX = 86_400
DESCRIPTION_CHARS_MAX = 200
NAME_CHARS_MAX = 200
NDJSON = "application/x-ndjson"
PURPOSE = "reservation"

SPENDING_ERRORS = (InsufficientCredits, AccountFrozen, LimitReached, RateLimited)

routes = Routes("credits")


class LotOut(Answer):
    """Credits of one origin."""

    id = fields.String(required=True)
    source = fields.String(required=True)
    available = Credits(required=True)
    held = Credits(required=True)
    granted = Credits(required=True)
    is_paid = fields.Boolean(required=True)
    expires_at = Time(required=True, allow_none=True)


class OtherLotsOut(Answer):
    """Credits that are spent after all listed lots."""

    count = fields.Integer(required=True)
    available = Credits(required=True)


class BalanceOut(Answer):
    """Balance of a user."""

    available = Credits(required=True)
    held = Credits(required=True)
    total = Credits(required=True)
    debt = Credits(required=True)
    lots = fields.List(fields.Nested(LotOut), required=True)
    other_lots = fields.Nested(OtherLotsOut, required=True)
    status = Choice("open", "frozen", "closed", required=True)
    seq = fields.Integer(required=True)
    updated_at = Time(required=True, allow_none=True)


class Posted(Answer):
    """The balance after a call."""

    available = Credits(required=True)
    held = Credits(required=True)


class ReserveIn(Request):
    """Amount to set aside."""

    amount = Amount(required=True)
    ttl_seconds = Whole(1, TTL_SECONDS_MAX, load_default=TTL_SECONDS_DEFAULT)
    description = Text(length_max=DESCRIPTION_CHARS_MAX, load_default="")


class ReservationOut(Answer):
    """Credits set aside by the user."""

    id = fields.String(required=True)
    amount = Credits(required=True)
    captured = Credits(required=True)
    released = Credits(required=True)
    status = Choice("active", "captured", "released", "expired", required=True)
    expires_at = Time(required=True)


class CaptureIn(Request):
    """Amount to charge."""

    amount = Amount(required=True)
    final = Flag(load_default=True)


class ResolvedOut(Answer):
    """Effect of this call on the reservation."""

    id = fields.String(required=True)
    status = Choice("active", "captured", "released", required=True)
    captured = Credits(required=True)
    released = Credits(required=True)
    balance = fields.Nested(Posted, required=True)


class BonusOut(Answer):
    """The welcome bonus."""

    amount = Credits(required=True)
    balance = fields.Nested(Posted, required=True)


@routes.get("/credits/balance", scopes=READ, answer=BalanceOut)
def balance(call: Call) -> Any:
    """Show the caller's balance and lots."""
    return call.services.credits.ledger.balance(call.uid)


@routes.post(
    "/credits/reserve",
    access=MEMBER,
    body=ReserveIn,
    answer=ReservationOut,
    spends=True,
    errors=(*SPENDING_ERRORS, HoldExists),
)
def reserve(call: Call) -> Any:
    """Set credits aside, to capture or release later. When the time is up, the rest comes back by itself."""
    placed = call.services.credits.ledger.execute(call.uid, _place_hold(call)).receipt
    reservation = {
        "id": placed.hold,
        "amount": placed.amount,
        "captured": 0,
        "released": 0,
        "status": "active",
        "expires_at": placed.expires_at,
    }
    return Reply(value=reservation, cost=0, available=placed.after.available)


@routes.get("/credits/reservations/{id}", access=MEMBER, answer=ReservationOut, errors=(HoldNotFound,))
def reservation(call: Call) -> Any:
    """Show one of the caller's reservations."""
    hold = call.services.credits.ledger.hold(call.uid, HoldId(call.path["id"]))
    if hold.principal != _principal(call):
        raise HoldNotFound
    return hold


@routes.post(
    "/credits/reservations/{id}/capture",
    status=200,
    access=MEMBER,
    body=CaptureIn,
    answer=ResolvedOut,
    spends=True,
    errors=(HoldNotFound, HoldResolved),
)
def capture(call: Call) -> Any:
    """Charge a reservation for the used amount. The rest comes back, unless more is to follow (`final: false`)."""
    done = call.services.credits.ledger.execute(call.uid, _capture(call)).receipt
    status = "captured" if call.body["final"] else "active"
    return _resolved(done, status)


@routes.post(
    "/credits/reservations/{id}/release",
    status=200,
    access=MEMBER,
    answer=ResolvedOut,
    spends=True,
    errors=(HoldNotFound, HoldResolved),
)
def release(call: Call) -> Any:
    """Give a reservation back."""
    done = call.services.credits.ledger.execute(call.uid, _release(call)).receipt
    return _resolved(done, "released")


@routes.post(
    "/credits/welcome-bonus",
    access=MEMBER,
    answer=BonusOut,
    errors=(AlreadyClaimed, BonusNotAllowed, BonusCapReached),
)
def welcome_bonus(call: Call) -> Any:
    """Claim the welcome bonus, once per user and mailbox.

    A mail domain that is not a public mail provider's has a limit of claims per day, and a limit in all until one of
    the domain's users has paid. A refusal says when to try again.
    """
    asked = call.asked
    granted = call.services.users.welcome_bonus.claim(
        call.principal, asked.operation, asked.fingerprint, is_app_verified=_is_app_verified(call)
    )
    return {"amount": granted.amount, "balance": granted.after}


def _is_app_verified(call: Call) -> bool:
    """True if the bonus needs an App Check token and the call has a valid one."""
    if "app_check" not in call.services.settings.welcome_bonus_requires:
        return False
    try:
        call.services.ports.identity().verify_app_check(call.app_check_token)
    except AppCheckFailed:
        return False
    return True


def _principal(call: Call) -> str:
    """Return the holder of a reservation.

    The holder is not a bare uid, so that nobody captures or releases the holds of our own model calls.
    """
    return f"user:{call.uid}"


def _place_hold(call: Call) -> PlaceHold:
    """Return the command of a reservation.

    The hold's id follows from the operation, so that a repeated call finds the same hold.
    """
    settings, asked, wanted = call.services.settings, call.asked, call.body
    hold = hold_id(asked.operation)
    return PlaceHold(
        operation=asked.operation,
        fingerprint=asked.fingerprint,
        amount=wanted["amount"],
        hold=hold,
        purpose=PURPOSE,
        lifetime=wanted["ttl_seconds"] * SECOND,
        principal=_principal(call),
        is_reservation=True,
        rate=RateLimit(per_minute=settings.rate_limit_per_minute, burst=settings.rate_limit_burst),
        note=wanted["description"],
        about=about("reservation", ref=("reservation", hold)),
    )


def _capture(call: Call) -> Capture:
    return Capture(
        operation=call.asked.operation,
        fingerprint=call.asked.fingerprint,
        hold=HoldId(call.path["id"]),
        amount=call.body["amount"],
        is_final=call.body["final"],
        principal=_principal(call),
    )


def _release(call: Call) -> Release:
    return Release(
        operation=call.asked.operation,
        fingerprint=call.asked.fingerprint,
        hold=HoldId(call.path["id"]),
        principal=_principal(call),
    )


def _resolved(done: CaptureReceipt, status: str) -> Reply:
    resolved = {
        "id": done.hold,
        "status": status,
        "captured": done.captured,
        "released": done.released,
        "balance": done.after,
    }
    return Reply(value=resolved, cost=done.captured, available=done.after.available)
