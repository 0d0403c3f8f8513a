"""What tests share: emulators on free ports, started when first asked for and ended with everything they started.

A session ended from outside (SIGTERM) is ended like one by Ctrl-C, so that nothing outlives it.
"""

import contextlib
import gc
import os
import signal
import sys
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from emulator.chains.laptop import PORTS as CHAIN_PORTS
from emulator.chains.laptop import LaptopChains, laptop_chains
from emulator.payment_providers import PaymentProviders, payment_providers
from emulator.stand_ins.deliveries import ATTEMPTS_MAX, BACKOFF_SECONDS
from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.stripe import StripeStandIn
from emulator.suite import EMULATORS, Suite
from emulator.upstream import Upstream
from shared.payments.providers import PROVIDERS
from shared.platform.firestore.documents import connect
from tests.support.emulators import CONFIRMATIONS, environment, laptop_settings, running
from tests.support.endpoint import Endpoint
from tests.support.live import LiveDocuments

pytest_plugins = ["tests.support.browsers", "tests.support.bitcoin"]
WITHOUT_SOCKETS = ("unit", "properties", "api", "architecture")
HERE = Path(__file__).parent
EMULATED = ("suite", "emulators", "firestore_emulator")
"""Fixtures with emulators of their own."""


def unique_project() -> str:
    return f"demo-{uuid.uuid4().hex[:12]}"


GARBAGE_THRESHOLDS = (20_000, 20, 10)
"""Python's own are 700, 10 and 10. A test makes many more objects, and most of them die without the collector."""

# Machines that run tests are noisy: how long an example takes says nothing about it, nor how long it takes to draw one.
# The same tests meet the same examples each time; `--hypothesis-profile=random` looks for others.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", PATIENT)
settings.register_profile("noisy", PATIENT, derandomize=True)
settings.load_profile("noisy")


def pytest_configure() -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


RECURSION_LIMIT = sys.getrecursionlimit()


def pytest_collection_finish() -> None:
    """Keep the modules and the collected tests out of later garbage collections: 1.4 million objects, a second each.

    Restore the recursion limit, which some libraries that tests import raise.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(HERE).parts[0] in WITHOUT_SOCKETS:
            item.add_marker(pytest.mark.disable_socket)


@pytest.fixture(scope="session")
def firestore_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Firestore alone, with the project's rules. FIRESTORE_EMULATOR_HOST is set while it runs."""
    with running(
        Suite(home=tmp_path_factory.mktemp("firestore"), only=("firestore",), project=unique_project())
    ) as suite:
        yield suite


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Auth, Firestore and Pub/Sub; the variables by which Google's clients find them are set while they run."""
    only = ("auth", "firestore", "pubsub")
    with running(Suite(home=tmp_path_factory.mktemp("emulators"), only=only, project=unique_project())) as suite:
        yield suite


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """A fixture that outlives a test is made before `pointed_at_its_own_emulators`, and needs the same."""
    asked = [name for name in EMULATED if name in fixturedef.argnames and fixturedef.scope != "function"]
    if not asked:
        return (yield)
    with environment(request.getfixturevalue(asked[0]).environment()):
        return (yield)


@pytest.fixture(autouse=True)
def pointed_at_its_own_emulators(request: pytest.FixtureRequest) -> Iterator[None]:
    """Several emulators may be running by now: the environment of a test names those that it asked for."""
    for name in EMULATED:
        if name in request.fixturenames:
            with environment(request.getfixturevalue(name).environment()):
                yield
            return
    yield


@pytest.fixture(autouse=True)
def environment_left_as_it_was(pointed_at_its_own_emulators: None) -> Iterator[None]:
    """What one test leaves in the environment, every process that a later one starts would inherit."""
    before = dict(os.environ)
    yield
    names = {name for name in before.keys() | os.environ.keys() if before.get(name) != os.environ.get(name)}
    changed = names - {"PYTEST_CURRENT_TEST"}
    assert not changed, "a test changed the environment"


@pytest.fixture(scope="session")
def suite_upstream() -> Iterator[Upstream]:
    """The stand-in provider that the functions of `suite` call."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def suite_payments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaymentProviders]:
    """The stand-in Stripe and PayPal that the functions of `suite` call, and that call them."""
    with contextlib.ExitStack() as stack:
        free = dict.fromkeys(PROVIDERS, 0)
        yield payment_providers(stack, {}, free, tmp_path_factory.mktemp("payments"))


@pytest.fixture(scope="session")
def suite_chains() -> Iterator[LaptopChains]:
    """The EVM networks that the functions of `suite` ask. Small payments wait so long that a page shows the way."""
    with contextlib.ExitStack() as stack:
        chains = laptop_chains(stack, {}, dict.fromkeys(CHAIN_PORTS, 0))
        chains.settings["LOCAL_BASE_TIERS"] = f"100:{CONFIRMATIONS},any:finalized"
        yield chains


@pytest.fixture(scope="session")
def suite(
    tmp_path_factory: pytest.TempPathFactory,
    suite_upstream: Upstream,
    suite_payments: PaymentProviders,
    suite_chains: LaptopChains,
) -> Iterator[Suite]:
    """The whole backend: every emulator and every function, with stand-in providers behind it. Slow to start."""
    settings = {**laptop_settings(upstream=suite_upstream), **suite_payments.settings, **suite_chains.settings}
    home = tmp_path_factory.mktemp("suite")
    with running(Suite(home=home, only=EMULATORS, project=unique_project(), settings=settings)) as whole:
        suite_payments.deliver_to(whole.endpoints.functions)
        yield whole


@pytest.fixture(scope="module")
def suite_live(suite: Suite) -> LiveDocuments:
    """The documents of `suite` that listeners read."""
    with environment(suite.environment()):
        return LiveDocuments(connect(suite.project))


@pytest.fixture(autouse=True)
def listeners_read_what_is_published(
    request: pytest.FixtureRequest, pointed_at_its_own_emulators: None
) -> Iterator[None]:
    """After a test of the served functions, every document that a client may read is as its schema says."""
    live = request.getfixturevalue("suite_live") if "suite" in request.fixturenames else None
    yield
    if live is not None:
        live.check_new()


@pytest.fixture(scope="session")
def upstream_server() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(upstream_server: Upstream) -> Upstream:
    """A stand-in provider with an empty journal and no scripts."""
    upstream_server.reset()
    return upstream_server


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[StripeStandIn]:
    with StripeStandIn() as server:
        yield server


@pytest.fixture
def stripe_stand_in(stripe_server: StripeStandIn) -> StripeStandIn:
    """A stand-in Stripe that knows nothing yet and delivers to nobody."""
    stripe_server.target(urls=[])
    stripe_server.retry(attempts=ATTEMPTS_MAX, backoff_seconds=BACKOFF_SECONDS)
    stripe_server.reset()
    return stripe_server


@pytest.fixture(scope="session")
def paypal_server() -> Iterator[PayPalStandIn]:
    with PayPalStandIn() as server:
        yield server


@pytest.fixture
def paypal_stand_in(paypal_server: PayPalStandIn) -> PayPalStandIn:
    """A stand-in PayPal that knows nothing yet and delivers to nobody."""
    paypal_server.target(urls=[])
    paypal_server.retry(attempts=ATTEMPTS_MAX, backoff_seconds=BACKOFF_SECONDS)
    paypal_server.reset()
    return paypal_server


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A webhook endpoint that takes whatever comes."""
    with Endpoint() as it:
        yield it


@pytest.fixture
def project() -> str:
    """A project id nobody else uses: an empty database on a shared emulator."""
    return unique_project()
