"""Who settles a payment is killed at each commit, on Firestore with the real adapters; another process ends it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import cast

import pytest

from emulator.suite import Suite
from emulator.tools import ROOT
from shared.bootstrap import production
from shared.kernel.clock import to_datetime
from shared.kernel.documents import Patch
from shared.kernel.settings import parse_settings
from shared.payments.payment import Payment
from shared.payments.ports import ProviderName
from tests.support.bazaar import Bazaar, opened
from tests.support.faults import FaultyDocuments

COMMITS_MIN = 5  # claim, begin, and one for each step and the account
AT_ONCE = 3
SECONDS_MAX = 120


@pytest.fixture
def bazaar(firestore_emulator: Suite, project: str, tmp_path: Path) -> Iterator[Bazaar]:
    with opened(firestore_emulator, project, tmp_path) as it:
        yield it


def dying(bazaar: Bazaar, payment: Payment, number: int, when: str) -> int:
    """How a process ended that was to settle it, and to die at this commit."""
    command = [sys.executable, "-m", "tests.support.settler", payment.id, str(number), when]
    environment = {**os.environ, **bazaar.environment}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr[-2_000:]
    return done.returncode


def commits_of(bazaar: Bazaar, provider: ProviderName) -> int:
    """How many commits a settlement takes, its account's among them."""
    payment = bazaar.begin(provider)
    bazaar.pay(payment)
    services = production(parse_settings(bazaar.environment))
    counting = FaultyDocuments(services.documents)
    services.__dict__["documents"] = counting
    services.settlement.settle(payment.id)
    bazaar.check([payment])
    return counting.commits


def let_the_lease_end(bazaar: Bazaar, payment: Payment) -> None:
    """Nobody renews it any more; a test does not wait for it."""
    documents = bazaar.first.documents
    document = documents.get(f"payment_sagas/{payment.id}")
    assert document is not None
    lease = cast("Mapping[str, object]", document.data["lease"])
    ended = {**lease, "until": to_datetime(0)}
    documents.commit([Patch(document.path, {"lease": ended}, document.version)])  # type: ignore[dict-item]  # as read


@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_whoever_is_killed_at_whatever_commit_the_next_one_ends_it_once(bazaar: Bazaar, provider: ProviderName):
    def die_and_inherit(death: tuple[int, str]) -> tuple[Payment, int]:
        payment = bazaar.begin(provider)
        bazaar.pay(payment)
        code = dying(bazaar, payment, *death)
        let_the_lease_end(bazaar, payment)
        bazaar.instances[1].settlement.settle(payment.id)
        return payment, code

    commits = commits_of(bazaar, provider)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(die_and_inherit, product(range(1, commits + 1), ("before", "after"))))

    assert commits >= COMMITS_MIN
    assert {code for _, code in ended} == {-signal.SIGKILL}
    bazaar.check([payment for payment, _ in ended])
