"""One deployment for the whole session, since the CLI takes long; and the stand-in for Google, empty for each test."""

from collections.abc import Iterator

import pytest

from emulator.stand_ins.google import GoogleStandIn
from tests.deploy.deployed import Deployment, deployed


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment of this repository on a new project, by `make deploy` with the CLI itself."""
    with deployed(tmp_path_factory.mktemp("clone")) as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[GoogleStandIn]:
    """The stand-in for Google of one module."""
    with GoogleStandIn() as google:
        yield google


@pytest.fixture
def google(server: GoogleStandIn) -> Iterator[GoogleStandIn]:
    """The stand-in without a project. A request or an answer of another shape than Google's fails the test."""
    server.reset()
    yield server
    assert server.mistakes == []
