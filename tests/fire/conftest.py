"""Chat under fire, of real servers and in memory. `make fire` has the longest of it as well."""

from collections.abc import Iterator

import pytest

from emulator.suite import Suite
from emulator.upstream import Upstream
from tests.fire.stage import Stage
from tests.support.emulators import environment


@pytest.fixture(scope="package")
def stage(emulators: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with environment(emulators.environment()), Upstream() as upstream:
        yield Stage(emulators, upstream, tmp_path_factory.mktemp("fire"))
