"""Chat under fire. What kills real servers runs with `make fire`; what fits into memory runs with every `make test`."""

import os
from collections.abc import Iterator

import pytest

from emulator.suite import Suite
from emulator.upstream import Upstream
from tests.fire.stage import Stage
from tests.support.emulators import environment

if not os.environ.get("FIRE"):
    collect_ignore = ["test_disconnect.py", "test_kill.py", "test_storm.py"]


@pytest.fixture(scope="package")
def stage(emulators: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with environment(emulators.environment()), Upstream() as upstream:
        yield Stage(emulators, upstream, tmp_path_factory.mktemp("fire"))
