"""Clients that others wrote, against our API as production serves it, with emulators and a stand-in model."""

from collections.abc import Iterator

import pytest

from emulator.suite import Suite
from emulator.upstream import Upstream
from tests.clients.stage import Counter
from tests.fire.stage import Server, Stage
from tests.support.emulators import environment


@pytest.fixture(scope="package")
def client_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="package")
def stage(emulators: Suite, client_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with environment(emulators.environment()):
        yield Stage(emulators, client_upstream, tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="package")
def server(stage: Stage) -> Iterator[Server]:
    with Server(stage) as running:
        yield running


@pytest.fixture
def counter(stage: Stage, server: Server, client_upstream: Upstream) -> Counter:
    """A customer with credits and an API key."""
    client_upstream.reset()
    return Counter(stage, server)
