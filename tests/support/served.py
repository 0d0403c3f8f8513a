"""The served backend as tests meet it from outside: people over HTTP, their ledger, the processes of a function."""

import base64
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from emulator.suite import Suite
from shared.kernel.clock import SystemClock
from shared.kernel.ids import Uid, new_id
from shared.kernel.settings import SigningKey
from shared.ledger.key_ring import KeyRing
from shared.ledger.ledger import Ledger
from shared.platform.firestore.documents import FirestoreDocuments
from tests.support.emulators import TEST_SEED
from tests.support.processes import descendants

SECONDS_MAX = 180
PASSWORD = "correct horse battery staple"


class Person:
    """Somebody with credits, over real HTTP."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        url = f"{suite.endpoints.auth}/identitytoolkit.googleapis.com/v1/accounts:signUp?key=laptop"
        body = {"email": f"{new_id('p')}@example.com", "password": PASSWORD, "returnSecureToken": True}
        answer = requests.post(url, json=body, timeout=SECONDS_MAX).json()
        self.uid, self._token = Uid(answer["localId"]), answer["idToken"]
        assert self.call("POST", "/v1/credits/welcome-bonus").status_code == 201

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token}", **options.pop("headers", {})}
        url = f"{self._suite.endpoints.api}{path}"
        return requests.request(method, url, headers=headers, timeout=SECONDS_MAX, **options)


def ledger_of(suite: Suite, documents: FirestoreDocuments) -> Ledger:
    """The ledger that the functions write, to look into."""
    keys = KeyRing((SigningKey(kid="test-1", seed=base64.b64decode(TEST_SEED)),))
    return Ledger(documents, SystemClock(), keys, ledger_id=suite.project, hold_lifetime_seconds=900)


def kill(suite: Suite, function: str) -> None:
    """End every process of this function, where it stands. One may end by itself when its parent has."""
    for pid in workers(suite, function):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def workers(suite: Suite, function: str) -> list[int]:
    """The processes of this suite that are this function."""
    assert suite._process is not None
    found = []
    for pid in descendants(suite._process.pid):
        with suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if f"FUNCTION_TARGET={function}".encode() in environment:
                found.append(pid)
    assert found, "a worker is running"
    return found
