"""Laws of growth: what an act costs for a small, a large and a huge account, conversation or task."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from shared.kernel.clock import HOUR, MINUTE
from shared.kernel.deadline import Deadline
from shared.kernel.ids import Uid
from shared.ledger.account_audit import AuditTurn
from tests.cost.journals import account_with, charge, execute, with_purchases
from tests.cost.metering import Measured, Meter
from tests.cost.product import Caller, Product
from tests.cost.units import MESSAGE, ToolUser, conversation_of, without_minutes

IS_LONG = os.environ.get("COST") == "long"
CHARGES = 20
SAID_WITH_TOOLS = "word " * 400
"""Text of each thought of the measured task."""
"""Charges of which the quickest counts."""
SHORT = 2
GROWTH_MAX = 1.25
"""Most by which a count may grow from the last size but one to the last, ten times as large."""


@dataclass(frozen=True, slots=True)
class Grown:
    """Cost at one size: a count, and the milliseconds of CPU that the act took."""

    count: float
    milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """An act, the counted thing, the sizes of the thing acted on, and the most that is counted at the largest size.

    The tests measure two sizes, `make cost` all. `milliseconds_most` is for each size that `make cost` measures.
    """

    name: str
    title: str
    counted: str
    sizes: tuple[int, ...]
    run: Callable[[int], Grown]
    most: float | None = None
    milliseconds_most: float | None = None

    def measured_sizes(self) -> tuple[int, ...]:
        """Return the sizes to measure now."""
        return self.sizes if IS_LONG else self.sizes[:SHORT]


def _timed(product: Product, act: Callable[[], object], units: int = 1) -> tuple[Measured, float]:
    """Return the counts of an act, and its milliseconds of CPU for each of `units` things."""
    meter, began = Meter(product), time.process_time()
    act()
    return meter.read(units), (time.process_time() - began) * 1_000 / units


def _page(entries: int, query: str = "") -> Grown:
    caller = account_with(entries)
    caller.get("/credits/balance")  # so that the profile is known
    measured, milliseconds = _timed(caller.product, lambda: caller.get(f"/credits/history{query}"))
    return Grown(measured.cost().reads, milliseconds)


def _export(entries: int) -> Grown:
    caller = account_with(entries)
    return _by_entry(*_timed(caller.product, lambda: caller.get("/credits/export"), entries))


def _verify(entries: int) -> Grown:
    caller = account_with(entries)
    return _by_entry(*_timed(caller.product, lambda: _verified(caller), entries))


def _verified(caller: Caller) -> None:
    assert caller.product.of("every_day").credits.ledger.verify(caller.uid) == []


def _audit(entries: int) -> Grown:
    """Measure the first audit of an account."""
    caller = account_with(entries)
    product = caller.product.copy()
    return _by_entry(*_timed(product, lambda: _audited(product, caller), entries))


def _audit_again(entries: int) -> Grown:
    caller = account_with(entries)
    product = caller.product.copy()
    _audited(product, caller)
    return _by_entry(*_timed(product, lambda: _audited(product, caller), entries))


def _audited(product: Product, caller: Caller) -> None:
    ledger = product.of("every_day").credits.ledger
    assert ledger.audit(caller.uid, Deadline.within(product.clock, HOUR)) == AuditTurn(is_complete=True)


def _by_entry(measured: Measured, milliseconds: float) -> Grown:
    reads = measured.total("read")
    return Grown(round(reads / measured.units, 2), milliseconds)


def _delete_conversation(messages: int) -> Grown:
    """Measure the deletion of a conversation."""
    product = Product(fires=False)
    caller = product.person(credits_=100_000)
    conversation = conversation_of(caller)
    for _ in range(messages // 2):
        caller.post(conversation, MESSAGE)
    measured, milliseconds = _timed(product, lambda: caller.call("DELETE", conversation.removesuffix("/messages")))
    return Grown(round(measured.total("trip") / messages, 2), milliseconds / messages)


def _leave(conversations: int) -> Grown:
    """Measure the departure of a user, the minutes in which a job continues it among it."""
    product = Product(fires=False)
    caller = product.person(credits_=100_000)
    for _ in range(conversations):
        caller.post(conversation_of(caller), MESSAGE)
    whole, milliseconds = _timed(product, lambda: _left(product, caller))
    measured = without_minutes(product, whole, pause=MINUTE)
    trips, deletes = (measured.total(operation) for operation in ("trip", "delete"))
    return Grown(round(trips / deletes, 2), milliseconds / deletes)


def _left(product: Product, caller: Caller) -> None:
    caller.call("DELETE", "/me")
    while not _has_left(product, caller.uid):
        product.clock.advance(MINUTE)
        product.schedule("every_minute")


def _has_left(product: Product, uid: Uid) -> bool:
    leaving = product.store.get(f"leavings/{uid}")
    return leaving is not None and "done_at" in leaving.data


def _agent_steps(tools: int) -> Grown:
    """Measure the steps that an agent's slices read again, of a task with this many tools."""
    product = Product(thinking_model=ToolUser(tools // 2, at_once=2, said=SAID_WITH_TOOLS), fires=False)
    caller = product.person()
    body = {"goal": "Add.", "budget": "100", "tools": ["calculator"], "max_steps": tools // 2 + 1}
    product.fires = True
    measured, milliseconds = _timed(product, lambda: caller.post("/chat/agent-tasks", body))
    return Grown(round(measured.total("read", "agent_jobs/*/steps") / tools, 1), milliseconds / tools)


def _charge(purchases: int) -> Grown:
    caller = with_purchases(purchases)
    best = min(_timed(caller.product, partial(execute, caller, [charge(each)]))[1] for each in range(CHARGES))
    state = caller.product.store.get(f"accounts/{caller.uid}/sealed/state")
    assert state is not None
    return Grown(len(str(state.data["state"])), best)


ENTRIES = (100, 2_000, 10_000, 100_000)
LAWS: tuple[Law, ...] = (
    Law(
        name="history_page",
        title="GET history, a page of 20",
        counted="reads",
        sizes=ENTRIES,
        run=_page,
        most=22,
    ),
    Law(
        name="history_of_kind",
        title="GET history of one kind, a page of 20",
        counted="reads",
        sizes=ENTRIES,
        run=lambda entries: _page(entries, "?kind=grant"),
        most=22,
    ),
    Law(
        name="history_of_key",
        title="GET history of an API key, a page of 20",
        counted="reads",
        sizes=ENTRIES,
        run=lambda entries: _page(entries, "?key=1"),
        most=22,
    ),
    Law(
        name="history_of_object",
        title="GET history of an object and an API key, a page of 20",
        counted="reads",
        sizes=ENTRIES,
        run=lambda entries: _page(entries, "?ref=message:msg_7&key=1"),
        most=22,
    ),
    Law(
        name="export",
        title="GET export",
        counted="reads an entry",
        sizes=ENTRIES,
        run=_export,
        milliseconds_most=0.16,
    ),
    Law(
        name="verify",
        title="Verification of an account",
        counted="reads an entry",
        sizes=ENTRIES,
        run=_verify,
        milliseconds_most=0.16,
    ),
    Law(
        name="audit",
        title="First audit of an account",
        counted="reads an entry",
        sizes=ENTRIES,
        run=_audit,
        milliseconds_most=0.16,
    ),
    Law(
        name="audit_again",
        title="Audit without news since the last",
        counted="reads an entry",
        sizes=ENTRIES,
        run=_audit_again,
    ),
    Law(
        name="delete_conversation",
        title="Deletion of a conversation with so many messages",
        counted="round trips a message",
        sizes=(60, 200, 1_000, 10_000),
        run=_delete_conversation,
        most=0.2,
    ),
    Law(
        name="leave",
        title="Departure of a user with so many conversations",
        counted="round trips a document",
        sizes=(20, 80, 1_000, 10_000),
        run=_leave,
        most=0.2,
    ),
    Law(
        name="agent_steps",
        title="Agent's task with so many tools",
        counted="step reads a tool",
        sizes=(10, 40, 100),
        run=_agent_steps,
        most=4,
    ),
    Law(
        name="charge",
        title="Charge with so many purchases unspent",
        counted="characters of the state",
        sizes=(10, 100, 1_000),
        run=_charge,
        milliseconds_most=1,
    ),
)
"""Laws in the order of the table. A count at the last size exceeds the one before by GROWTH_MAX at most."""


def breaches(law: Law, counts: Sequence[float]) -> list[str]:
    """Return the ways in which counts break the law: `most`, `growth`."""
    is_above = law.most is not None and counts[-1] > law.most
    grows = counts[-1] > max(counts[-2], 1) * GROWTH_MAX
    return ["most"] * is_above + ["growth"] * grows
