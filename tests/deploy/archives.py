"""Deployed functions as processes: the unpacked archive, the locked packages, and the deployed environment alone."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator.ports import LOOPBACK
from emulator.stand_ins.google.apis.secrets import find_version
from tests.deploy.deployed import Deployment
from tests.support.processes import wait_for

START_SECONDS_MAX = 120.0
ANSWER_SECONDS_MAX = 60.0
FRAMEWORK = ("-S", "-m", "functions_framework")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes


@dataclass(slots=True, kw_only=True)
class Served:
    """One deployed function that runs here. `instead` names what replaces Google and the providers."""

    name: str
    home: Path
    site: Path
    port: int
    environment: Mapping[str, str]
    log: Path = field(init=False)
    _process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.log = self.home.parent / f"{self.name}.log"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start functions-framework with nothing but this function's source, packages and environment."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *FRAMEWORK, "--target", self.name, "--port", str(self.port), "--host", LOOPBACK],
                cwd=self.home,
                env={
                    **self.environment,
                    "HOME": str(self.home.parent),
                    "PYTHONPATH": f"{self.home}{os.pathsep}{self.site}",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        wait_for(self._listens, seconds=START_SECONDS_MAX, what=f"{self.name} to listen")

    def _listens(self) -> bool:
        assert self._process is not None, "started first"
        assert self._process.poll() is None, f"{self.name} ended:\n{self.log.read_text()}"
        with socket.socket() as connection:
            return connection.connect_ex((LOOPBACK, self.port)) == 0

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def post(self, body: bytes, headers: Mapping[str, str], *, path: str = "/", method: str = "POST") -> Answer:
        """Send a request as Cloud Run would pass it on."""
        data = body if method == "POST" else None
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=dict(headers), method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
                return Answer(status=answer.status, body=answer.read())
        except urllib.error.HTTPError as refused:
            return Answer(status=refused.code, body=refused.read())


def environment_of(deployment: Deployment, name: str, port: int) -> dict[str, str]:
    """The environment that Cloud Run gives the function: what was deployed, its own secrets, and Cloud Run's own."""
    config = deployment.functions[name]["serviceConfig"]
    secrets = {
        each["key"]: deployment.project.payloads[
            str(find_version(deployment.project, each["secret"], each["version"])["name"])
        ].decode()
        for each in config.get("secretEnvironmentVariables", [])
    }
    service = name.replace("_", "-")
    run = {"PORT": str(port), "K_SERVICE": service, "K_REVISION": f"{service}-00001-abc", "K_CONFIGURATION": service}
    return {**config["environmentVariables"], **secrets, **run}
