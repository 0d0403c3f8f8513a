"""Usage follows the chain on Firestore as it does in memory: from many followers at once, anew, and after a removal."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.documents import Query
from shared.ledger.analytics import Report, UsageAnalytics
from shared.ledger.ledger import Ledger
from shared.ledger.usage import UsageFold, folded
from shared.platform.firestore.documents import connect
from tests.support.books import capture, charge, grant, hold
from tests.support.ledgers import KEYS, UID

ALWAYS = ("0001-01-01", "9999-12-31")


@pytest.fixture
def documents(firestore_emulator, project):
    return connect(project)


@pytest.fixture
def ledger(documents):
    ledger = Ledger(documents, SystemClock(), KEYS, ledger_id="demo-test", hold_lifetime_seconds=900)
    ledger.execute(UID, grant("l", 1_000))
    return ledger


def spend(ledger, times):
    for number in range(times):
        ledger.execute(UID, hold(f"h{number}", 5, tags=(("model", f"m{number % 3}"),), principal="key:k"))
        ledger.execute(UID, capture(f"h{number}", 3, usage=(("input_tokens", 7),)))
        ledger.execute(UID, charge(1))


def whole(ledger):
    bodies = ledger.bodies(UID, 1, 10_000)
    return Report(days=folded(UsageFold(), bodies).days, seq=len(bodies))


def test_many_followers_at_once_project_each_entry_once(documents, ledger):
    spend(ledger, 10)
    followers = [UsageAnalytics(documents, ledger, SystemClock()) for _ in range(8)]

    with ThreadPoolExecutor(9) as pool:
        writing = pool.submit(spend_more, ledger)
        for _ in range(4):
            list(pool.map(lambda follower: follower.follow(UID), followers))
        writing.result()

    assert followers[0].report(UID, *ALWAYS) == whole(ledger)


def spend_more(ledger):
    for _ in range(20):
        ledger.execute(UID, charge(1))


def test_what_was_projected_is_removed_and_projected_anew(documents, ledger):
    spend(ledger, 3)
    analytics = UsageAnalytics(documents, ledger, SystemClock())
    before = analytics.report(UID, *ALWAYS)

    assert analytics.rebuild(UID) == before.seq == whole(ledger).seq

    assert analytics.report(UID, *ALWAYS) == before == whole(ledger)
    assert len(documents.query(Query(collection=f"accounts/{UID}/usage", limit=10))) == len(before.days)
    assert list(analytics.accounts()) == [UID]
