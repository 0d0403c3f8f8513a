"""Emulators for tests: started, made known to the clients of this process, ended."""

import base64
import contextlib
import os
from collections.abc import Iterator

from emulator.suite import Suite
from emulator.upstream import Upstream

ENDING = "ending"
"""The stand-in provider once more, as one whose bill ends with an aborted call."""
CONFIRMATIONS = 5
"""Blocks after which a small payment with coins counts for the functions of the tests."""
TEST_SEED = base64.b64encode(bytes(range(32))).decode()


def laptop_settings(*, upstream: Upstream) -> dict[str, str]:
    """What the functions are told when tests run them. The signing key is nobody's."""
    return {
        "AI_PLATFORM_API_KEY": "sk-laptop",
        "AI_PLATFORM_BASE_URL": upstream.url,
        "AI_UPSTREAMS": f"{ENDING}={upstream.url}",
        "AI_UPSTREAM_ENDING_API_KEY": "sk-laptop",
        "AI_UPSTREAM_ENDING_PROFILE": "openai",
        "LEDGER_SIGNING_KEY": f"test-1:{TEST_SEED}",
        "LEDGER_LOG_KEY": TEST_SEED,
        "WELCOME_BONUS_REQUIRES": "any",
    }


@contextlib.contextmanager
def running(suite: Suite) -> Iterator[Suite]:
    """The suite started, with the environment of this process pointing at it."""
    with suite, environment(suite.environment()):
        yield suite


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
