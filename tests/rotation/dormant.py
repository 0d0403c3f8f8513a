"""Accounts that sleep through a rotation: made under the old key, asked about once its seed is gone."""

from shared.bootstrap import Services
from shared.kernel.ids import HoldId, LotId, Uid
from shared.ledger.errors import IntegrityFailed
from tests.support import books as ask


def names(count: int) -> list[Uid]:
    return [Uid(f"dormant-{number}") for number in range(count)]


def put_to_sleep(services: Services, uids: list[Uid]) -> None:
    """Give each account a bought lot that is spent and archived, a captured hold, and credits that are left."""
    for uid in uids:
        services.credits.ledger.execute_all(
            uid,
            [
                ask.grant("bought", 100, operation="bought", source="world:stripe", is_paid=True),
                ask.hold("h", 100, operation="held"),
            ],
        )
        services.credits.ledger.execute(uid, ask.capture("h", 100, operation="taken"))
        services.credits.ledger.execute(uid, ask.grant("left", 50, operation="left"))


def wake(services: Services, uid: Uid) -> list[str]:
    """Replay an operation, refund the archived lot, spend, verify; return what went wrong."""
    ledger, wrong = services.credits.ledger, list[str]()
    try:
        if not ledger.execute(uid, ask.capture("h", 100, operation="taken")).is_replay:
            wrong.append("a replay had an effect")
        if ledger.hold(uid, HoldId("h")).status != "captured":
            wrong.append("an archived hold is lost")
        ledger.execute(uid, ask.reverse("bought", 30, operation="refund"))
        if ledger.covered(uid, [LotId("bought")]) != {LotId("bought"): 30}:
            wrong.append("a refund into an archived lot is lost")
        if ledger.execute(uid, ask.charge(5, operation="spend")).balance.available != 15:
            wrong.append("the balance is wrong")
        wrong += [finding.rule for finding in ledger.verify(uid)]
    except IntegrityFailed as error:
        wrong.append(str(error.params["rule"]))
    return [f"{uid}: {each}" for each in wrong]
