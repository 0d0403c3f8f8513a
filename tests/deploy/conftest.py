"""One deployment for the whole session, since the CLI takes long."""

from collections.abc import Iterator

import pytest

from tests.deploy.deployed import Deployment, deployed


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment of this repository on a new project, by `make deploy` with the CLI itself."""
    with deployed(tmp_path_factory.mktemp("clone")) as made:
        yield made
