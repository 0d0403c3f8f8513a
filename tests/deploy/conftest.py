"""One deployment for the whole session, since the CLI takes long."""

from collections.abc import Iterator

import pytest
import yaml

from emulator import tools
from emulator.stand_ins.google import GoogleStandIn
from tests.deploy.deployed import Deployment, copy_source, deploy, prepare


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment of this repository on a new project, by the CLI's own `firebase deploy`."""
    root = tmp_path_factory.mktemp("clone")
    copy_source(root)
    manifest = yaml.safe_load((tools.ROOT / "functions.yaml").read_text())
    apis = tuple(each["api"] for each in manifest["requiredAPIs"])
    with GoogleStandIn() as google:
        yield deploy(google, root, prepare(google.state, apis))
