"""A customer of the OpenAI routes: credits, an API key, and scripts of clients that are run with them."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from emulator.seed import MODELS, document
from shared.kernel.ids import new_id
from tests.clients.cases import told
from tests.fire.stage import Person, Server, Stage
from tests.support.node import ScriptFailed, run_script
from tests.support.processes import wait_for

SCRIPTS = Path(__file__).parent
BALANCE = 12_000_000
"""µcr: enough for every call here but the dearest."""
RUN_SECONDS_MAX = 600
WITHOUT_NETWORK = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
"""LiteLLM fetches a list of prices when it is imported, unless it is told to use its own."""


class Counter:
    """One customer. `base_url` and `api_key` are all that a client is told."""

    def __init__(self, stage: Stage, server: Server) -> None:
        self._stage = stage
        self._person = Person(stage, BALANCE)
        self._server = server
        for name in ("gpt-4o-mini", "gpt-4o", "text-embedding-3-small"):
            fields = {n: v for n, v in {**document(name), **MODELS[name]}.items() if n not in {"id", "price_version"}}
            if stage.services.models.catalogue.read(name) is None:
                stage.services.models.catalogue.put(name, fields)
        self.base_url = f"{server.url}/openai"
        self.api_key = self._made()

    def _made(self) -> str:
        wanted = {"name": new_id("client"), "scopes": ["chat"]}
        made = requests.post(
            f"{self._server.url}/api-keys", json=wanted, headers=self._person.headers, timeout=RUN_SECONDS_MAX
        )
        assert made.status_code == 201, made.text
        return str(made.json()["key"])

    def revoke(self) -> None:
        """Revoke every key of this customer."""
        url, headers = f"{self._server.url}/api-keys", self._person.headers
        for key in requests.get(url, headers=headers, timeout=RUN_SECONDS_MAX).json()["items"]:
            assert requests.delete(f"{url}/{key['id']}", headers=headers, timeout=RUN_SECONDS_MAX).status_code == 204

    @property
    def spent(self) -> Decimal:
        """What this customer has spent, in credits."""
        return Decimal(self._person.spent) / 1_000_000

    def settle(self) -> None:
        """Wait until no call holds credits: a client that ended may have left a call that is read on."""
        wait_for(lambda: self._person.held == 0, what="no credits are held")

    def check_books(self) -> None:
        """The chain is whole, nothing is held, and no balance on the way was below zero."""
        self._person.check_books()
        assert self._person.held == 0

    def node(self, script: str, **more: object) -> Any:
        """What a Node script of this directory says."""
        return run_script(SCRIPTS / script, {**self._told(), **more}, timeout_seconds=RUN_SECONDS_MAX)

    def python(self, interpreter: Path | str, script: str, **more: object) -> Any:
        """What a Python script of this directory says, run by another interpreter, without our own modules."""
        return self.run([str(interpreter), "-I", str(SCRIPTS / script)], more)

    def run(self, command: Sequence[str], more: Mapping[str, object]) -> Any:
        """Run a program that takes JSON and prints JSON, with an empty folder as its home and its working folder.

        Raises ScriptFailed, or subprocess.TimeoutExpired with the program ended.
        """
        home = tempfile.mkdtemp(dir=self._stage.home)
        done = subprocess.run(
            command,
            input=json.dumps({**self._told(), **more, "home": home}),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS_MAX,
            check=False,
            cwd=home,
            env={"PATH": os.environ["PATH"], "HOME": home, **WITHOUT_NETWORK},
        )
        if done.returncode != 0:
            raise ScriptFailed(f"{command[-1]} ended with {done.returncode}:\n{done.stderr[-4_000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def _told(self) -> dict[str, Any]:
        return told(self.base_url, self.api_key)
