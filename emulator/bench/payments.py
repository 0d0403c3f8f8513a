"""From a webhook's raw bytes to the credited balance, beside the bare cost of the same commits and requests."""

import io
import itertools
import json
import os
import statistics
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from emulator.bench.tables import Row, milliseconds, percentile, print_table, timed
from emulator.seed import seed_packages
from emulator.settings import laptop_settings
from emulator.stand_ins.stripe import StripeStandIn
from emulator.suite import Suite
from shared.bootstrap import Services, production
from shared.kernel.documents import (
    COMMIT_TIMEOUT_SECONDS,
    Delete,
    Document,
    Documents,
    Put,
    Query,
    Version,
    Write,
)
from shared.kernel.ids import Uid, new_id, operation_id
from shared.kernel.settings import parse_settings
from shared.payments.payment import Payment
from shared.sagas.payments.checkout import PackageOrder

IN_FLIGHT = (1, 50)
SAMPLES = 100
WARM_UP = 5
PACKAGE = "plus"
Commits = list[list[Write]]


@dataclass(frozen=True)
class Done:
    """Cost of one payment: commits, and requests to the provider as paths with queries."""

    commits: Commits
    requests: list[str]


class Recorded:
    """A store that records the commits of each thread."""

    def __init__(self, inner: Documents) -> None:
        self._inner = inner
        self._own = threading.local()

    def begin(self) -> Commits:
        """Return a list to which each later commit of this thread is added."""
        self._own.commits = []
        commits: Commits = self._own.commits
        return commits

    def get(self, path: str) -> Document | None:
        return self._inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        return self._inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        return self._inner.query(query)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        if hasattr(self._own, "commits"):
            self._own.commits.append(list(writes))
        return self._inner.commit(writes, timeout_seconds=timeout_seconds)


class Till:
    """Payments that were paid, and whose webhook has not come yet."""

    def __init__(self, services: Services, stripe: StripeStandIn, bare: Documents, recorded: Recorded) -> None:
        self.services = services
        self._stripe = stripe
        self._bare = bare
        self._recorded = recorded
        self._own = threading.local()
        self._numbers = itertools.count()

    def paid(self) -> Payment:
        uid = Uid(new_id("bench"))
        wanted = PackageOrder(
            uid=uid,
            package=PACKAGE,
            provider="stripe",
            flow="redirect",
            success_url="https://app.example/",
            cancel_url="https://app.example/",
        )
        payment = self.services.payments.checkouts.begin_checkout(wanted, operation_id("bench", uid), "f")
        self._stripe.pay(session=payment.refs["session"])
        return payment

    def webhook(self, payment: Payment) -> tuple[bytes, dict[str, str]]:
        """Return the raw bytes and the signature of the webhook that reports the payment as paid."""
        events = self._stripe.events(type="checkout.session.completed")
        event = next(each for each in events if each["data"]["object"]["id"] == payment.refs["session"])
        body = self._stripe.body_of(event)
        return body, dict(self._stripe.sign(body, {}))

    def credit(self, payment: Payment, body: bytes, headers: dict[str, str]) -> tuple[float, Done]:
        """Deliver the webhook until the balance has the credits. Return the seconds, and the commits and requests."""
        services, commits = self.services, self._recorded.begin()

        def credited() -> None:
            notice = services.payments.webhooks["stripe"].verify(body, headers)
            services.payments.inbox.store(notice)
            services.payments.notices.handle(f"stripe:{notice.id}")

        seconds = timed(credited)
        if not services.credits.ledger.balance(payment.uid).available:
            raise RuntimeError("the payment was not credited")
        return seconds, Done(commits, self._asked_about(payment))

    def _asked_about(self, payment: Payment) -> list[str]:
        """Return the requests to Stripe since the payment was paid. Each names the payment's session or charge."""
        refs = self.services.payments.store.get(payment.id).refs
        asked = [f"{seen['path']}?{seen['query']}" for seen in self._stripe.requests(method="GET")]
        return [each for each in asked if refs["session"] in each or refs["charge"] in each]

    def again(self, done: Done) -> float:
        """Return the seconds of the same commits on copies of the documents, and of the same requests, alone."""
        copies = copies_of(done.commits, f"bench/{next(self._numbers)}")

        def bare() -> None:
            for writes in copies:
                self._bare.commit(writes)
            for path in done.requests:
                self._get(path)

        return timed(bare)

    def _get(self, path: str) -> None:
        if not hasattr(self._own, "connection"):
            self._own.connection = HTTPConnection(urlsplit(self._stripe.url).netloc)
        connection: HTTPConnection = self._own.connection
        connection.request("GET", path, headers={"Authorization": f"Bearer {self._stripe.secret_key}"})
        answer = connection.getresponse()
        json.loads(answer.read())
        if answer.status != HTTPStatus.OK:
            raise RuntimeError("the stand-in refused what it had answered before")


def copies_of(commits: Commits, prefix: str) -> Commits:
    """Return the commits with every document written to a place of its own below `prefix`, and nothing deleted."""
    return [
        [
            Put(f"{prefix}/{write.path.replace('/', ':')}/copy", write.data)
            for write in each
            if not isinstance(write, Delete)
        ]
        for each in commits
    ]


def main() -> None:
    """Start the servers, measure, and print the table."""
    with tempfile.TemporaryDirectory() as home, StripeStandIn() as stripe:
        suite = Suite(home=Path(home), only=("firestore",))
        with suite:
            os.environ.update(suite.environment())
            seed_packages(suite.project)
            settings = {
                **laptop_settings(),
                **suite.environment(),
                "STRIPE_API_BASE": stripe.url,
                "STRIPE_SECRET_KEY": stripe.secret_key,
                "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
            }
            parsed = parse_settings(settings)
            bare = production(parsed).ports.documents()
            recorded = Recorded(bare)
            services = production(parsed, documents=recorded)
            print_table(_rows(Till(services, stripe, bare, recorded)))


def _rows(till: Till) -> Iterator[Row]:
    with redirect_stdout(io.StringIO()):
        _measure(till, 1, WARM_UP)
    for in_flight in IN_FLIGHT:
        with redirect_stdout(io.StringIO()):  # what is measured logs as it goes
            ours, floor, done = _measure(till, in_flight, SAMPLES)
        who = f"{in_flight} in flight" if in_flight > 1 else "1 at a time"
        what = f"bare, the same {len(done.commits)} commits and {len(done.requests)} requests"
        yield _row(f"webhook to credits, {who}, p50", statistics.median(ours), statistics.median(floor), what)
        yield _row(f"webhook to credits, {who}, p99", percentile(ours, 99), percentile(floor, 99), what)


def _measure(till: Till, in_flight: int, samples: int) -> tuple[list[float], list[float], Done]:
    """Measure our payments and the floor in turn, `in_flight` at once. Return both, and the cost of one payment."""
    ours: list[float] = []
    floor: list[float] = []
    done: list[Done] = []
    with ThreadPoolExecutor(in_flight) as pool:
        for _ in range(max(1, samples // in_flight)):
            payments = [till.paid() for _ in range(in_flight)]
            hooks = [(payment, *till.webhook(payment)) for payment in payments]
            told = list(pool.map(lambda hook: till.credit(*hook), hooks))
            ours += [seconds for seconds, _ in told]
            done = [each for _, each in told]
            floor += list(pool.map(till.again, done))
    return ours, floor, done[0]


def _row(what: str, ours: float, floor: float, beside: str) -> Row:
    return what, milliseconds(ours), f"{milliseconds(floor)} ({beside})", f"{ours / floor:.2f}×"


if __name__ == "__main__":
    main()
