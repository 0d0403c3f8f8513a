"""Accounts with long journals, made by commands of the ledger: holds and captures as chat makes them, and purchases."""

from collections.abc import Sequence
from functools import cache

from shared.kernel.clock import DAY, HOUR, SECOND
from shared.kernel.ids import HoldId, LotId, OperationId, Uid
from shared.kernel.money import Micro
from shared.ledger.about import about
from shared.ledger.commands import Capture, Charge, Command, Grant, PlaceHold
from tests.cost.product import CREDIT, Caller, Product

BATCH = 50
"""Commands of a commit."""
KEYS = 2
"""API keys of the calls in a journal. Each call has an object of its own."""
HELD, USED = Micro(1_000), Micro(700)


@cache
def account_with(entries: int) -> Caller:
    """Return somebody with a journal of this length, over a product whose triggers do not fire."""
    product = Product(fires=False)
    caller = product.person(credits_=9_000_000)
    for first in range(0, entries // 2, BATCH):
        numbers = range(first, min(first + BATCH, entries // 2))
        for make in (_hold, _capture):
            execute(caller, [make(caller.uid, number) for number in numbers])
        product.clock.advance(20 * SECOND)
    return caller


def with_purchases(purchases: int) -> Caller:
    """Return somebody with this many paid lots that are not spent."""
    caller = Product(fires=False).person()
    for first in range(0, purchases, BATCH):
        numbers = range(first, min(first + BATCH, purchases))
        execute(caller, [_purchase(caller, number) for number in numbers])
    return caller


def execute(caller: Caller, commands: Sequence[Command]) -> None:
    """Execute all commands. Raises the error of the first that is refused."""
    caller.product.of("api").credits.ledger.execute_all(caller.uid, commands)


def charge(number: int) -> Charge:
    """Return a small charge."""
    return Charge(operation=OperationId(f"op_x{number}"), amount=USED, purpose="chat")


def _hold(uid: Uid, number: int) -> PlaceHold:
    return PlaceHold(
        operation=OperationId(f"op_p{number}"),
        hold=HoldId(f"hold_{number:020d}"),
        amount=HELD,
        purpose="chat",
        lifetime=HOUR,
        principal=uid,
        tags=(("model", "small"),),
        about=about("chat", ref=("message", f"msg_{number}"), model="small", principal=f"key:{number % KEYS}"),
    )


def _capture(uid: Uid, number: int) -> Capture:
    return Capture(
        operation=OperationId(f"op_c{number}"), hold=HoldId(f"hold_{number:020d}"), amount=USED, principal=uid
    )


def _purchase(caller: Caller, number: int) -> Grant:
    return Grant(
        operation=OperationId(f"op_g{number}"),
        amount=Micro(CREDIT),
        lot=LotId(f"lot_{number:020d}"),
        source="world:stripe",
        is_paid=True,
        expires_at=caller.product.clock.now() + 900 * DAY,
    )
