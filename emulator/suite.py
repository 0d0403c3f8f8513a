"""Parts of the Firebase Emulator Suite, from the start to the end of the last process.

The emulator of Cloud Storage is not the CLI's. It runs in this process, whenever functions run.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emulator import tools
from emulator.cloud.manifest_text import laptop_manifest
from emulator.guard import ORDERLY_END_SECONDS_MAX
from emulator.listeners import named, strangers
from emulator.ports import LOOPBACK, binding, free_ports, is_answering, require_free, taken_ports
from emulator.problems import LaptopProblem
from emulator.processes import KILL_SECONDS_MAX, MARK, end_marked, mark_of, marked
from emulator.storage import StorageEmulator

EMULATORS = ("auth", "firestore", "functions", "pubsub")
HELPERS = ("hub", "logging", "eventarc", "tasks")  # the CLI starts these by itself
STORAGE = "storage"
REGION = "us-central1"
START_SECONDS_MAX = 180
STOP_SECONDS_MAX = ORDERLY_END_SECONDS_MAX + KILL_SECONDS_MAX
POLL_SECONDS = 0.1
PORTS_POLL_SECONDS = 1.0
WORKERS_MAX = 24  # each is a process of its own here; in production they are threads
LOAD_ALL = "import main\nfor name in main.MODULES: getattr(main, name)"
LOADED = "Loaded functions definitions"
LOAD_FAILURES = (
    "Failed to load function definition",
    "Failed to initialize and load triggers",
    "Functions codebase could not be analyzed",
)
NO_DOWNLOAD = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|download failed|Failed to make request to", re.IGNORECASE)
LINKED_NOT = ("firebase.json", "functions.yaml", "node_modules")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Addresses of one run. Values are URLs without a trailing slash."""

    project: str
    functions: str
    auth: str
    firestore: str
    pubsub: str
    storage: str = ""

    @property
    def api(self) -> str:
        return f"{self.functions}/api"

    def environment(self, emulators: Collection[str]) -> dict[str, str]:
        """Return the environment variables by which Google's clients find the emulators."""
        hosts = {
            "auth": {"FIREBASE_AUTH_EMULATOR_HOST": self.auth},
            "firestore": {"FIRESTORE_EMULATOR_HOST": self.firestore},
            "pubsub": {"PUBSUB_EMULATOR_HOST": self.pubsub},
        }
        named = {key: url.removeprefix("http://") for name in emulators for key, url in hosts.get(name, {}).items()}
        if "functions" in emulators:
            named["STORAGE_EMULATOR_HOST"] = self.storage  # this one with its scheme
        return {"GCLOUD_PROJECT": self.project, "GOOGLE_CLOUD_PROJECT": self.project, **named}


class Suite:
    """Emulators of a `demo-` project, run by the Firebase CLI under a guard (`emulator/guard.py`).

    `home` is a directory for its files. Its `project/` holds links to the source and a `firebase.json` with the ports
    of this run. `settings` are seen by the functions as their process environment; PUBLIC_URL is the API's own address
    unless they say another. `announcement` is a file that the owner may write while the suite runs; it is removed
    when the suite ends, also when this process is killed.
    """

    def __init__(
        self,
        *,
        home: Path,
        only: Collection[str] = EMULATORS,
        project: str = "demo-laptop",
        source: Path = tools.ROOT,
        ports: Mapping[str, int] | None = None,
        settings: Mapping[str, str] | None = None,
        announcement: Path | None = None,
    ) -> None:
        assert project.startswith("demo-"), "only a demo- project is certain never to reach Google"
        self.home = home
        self.only = [name for name in EMULATORS if name in only]
        self.project = project
        self.log = home / "suite.log"
        self._announcement = announcement or home / "announcement"
        self._source = source
        self._ports = {**free_ports((*EMULATORS, *HELPERS, STORAGE, "websocket")), **(ports or {})}
        self._settings = dict(settings or {})
        self._wanted = dict(ports or {})
        self._mark = mark_of(home)
        self._process: subprocess.Popen[bytes] | None = None
        self._storage: StorageEmulator | None = None

    @property
    def endpoints(self) -> Endpoints:
        url = {name: f"http://{LOOPBACK}:{self._ports[name]}" for name in (*EMULATORS, STORAGE)}
        functions = f"{url['functions']}/{self.project}/{REGION}"
        return Endpoints(
            project=self.project,
            functions=functions,
            auth=url["auth"],
            firestore=url["firestore"],
            pubsub=url["pubsub"],
            storage=url[STORAGE],
        )

    def environment(self) -> dict[str, str]:
        return self.endpoints.environment(self.only)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Return when every emulator answers and every function is loaded.

        Raises LaptopProblem, with nothing left running, if that does not happen.
        """
        require_free({name: port for name, port in self._wanted.items() if name in {*self.only, STORAGE}})
        project = self._assemble()
        command = [
            *tools.firebase_cli(),
            "emulators:start",
            "--non-interactive",
            "--project",
            self.project,
            "--only",
            ",".join(self.only),
            "--config",
            str(project / "firebase.json"),
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "emulator.guard", str(project), str(self._announcement), *command],
                cwd=tools.ROOT,
                env=self._environment(),
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            if "functions" in self.only:
                with binding(STORAGE, self._ports[STORAGE]):
                    self._storage = StorageEmulator(port=self._ports[STORAGE])
                self._storage.start()
                self._require_loadable(project)
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def _assemble(self) -> Path:
        """Build a project directory with links to the source.

        The directory's path has a dot, so the CLI does not watch the files and reload.
        """
        project = self.home / ".project"
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir(parents=True)
        for entry in self._source.iterdir():
            if not entry.name.startswith(".") and entry.name not in LINKED_NOT:
                (project / entry.name).symlink_to(entry)
        (project / "firebase.json").write_text(json.dumps(self._config(), indent=2))
        (project / "functions.yaml").write_text(laptop_manifest((self._source / "functions.yaml").read_text()))
        return project

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads((self._source / "firebase.json").read_text())
        config["emulators"] = {
            **{name: {"host": LOOPBACK, "port": self._ports[name]} for name in (*self.only, *HELPERS)},
            "ui": {"enabled": False},  # its zip is a download that aborts everything
            "singleProjectMode": False,
        }
        if "firestore" in self.only:
            config["emulators"]["firestore"]["websocketPort"] = self._ports["websocket"]
        config["functions"] = [{"source": ".", "codebase": "default", "runtime": f"python3{sys.version_info.minor}"}]
        return config

    def _environment(self) -> dict[str, str]:
        """Return the environment of the emulators.

        Settings win over inherited variables, and the project's links hold no .env that could win over both.
        """
        environment = {
            "PUBLIC_URL": self.endpoints.api,
            **os.environ,
            "FUNCTIONS_EMULATOR_PARALLEL": str(WORKERS_MAX),
            **tools.emulator_binaries(self.home),
            **self._settings,
            MARK: self._mark,
            "STORAGE_EMULATOR_HOST": self.endpoints.storage,
            "METADATA_SERVER_DETECTION": "none",
            "NO_GCE_CHECK": "true",
            "NO_UPDATE_NOTIFIER": "1",
            "CI": "1",
            "XDG_CONFIG_HOME": str(self.home / "config"),  # nobody's login is used or changed
        }
        if (home := tools.java_home()) is not None:
            environment |= {"JAVA_HOME": str(home), "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        return environment

    def _require_loadable(self, project: Path) -> None:
        """Import every function now: the CLI reads the manifest only, and a request to a broken one would hang."""
        environment = {**self._environment(), **self.environment(), "FUNCTION_TARGET": "api"}
        loaded = subprocess.run(
            [sys.executable, "-c", LOAD_ALL],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
            check=False,
        )
        if loaded.returncode != 0:
            raise LaptopProblem(f"The functions do not load:\n{_tail(loaded.stderr)}")

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        for text in self._log_as_it_grows(deadline):
            if any(failure in text for failure in LOAD_FAILURES):
                raise LaptopProblem(f"The functions do not load:\n{_tail(text)}")
            if "All emulators ready" in text and ("functions" not in self.only or LOADED in text):
                break
        self._await_answers(deadline)

    def _log_as_it_grows(self, deadline: float) -> Iterator[str]:
        assert self._process is not None, "started first"
        pause, ports_seen_at = threading.Event(), time.monotonic()
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            text = _plain(self.log.read_text(errors="replace"))
            yield text
            if ended or time.monotonic() - ports_seen_at > PORTS_POLL_SECONDS:
                self._require_own_ports()
                ports_seen_at = time.monotonic()
            if ended:
                require_free(self._used())
                raise LaptopProblem(_why_it_ended(text))
            pause.wait(POLL_SECONDS)
        raise LaptopProblem(f"The emulators were not ready after {START_SECONDS_MAX} s; their log: {self.log}")

    def _require_own_ports(self) -> None:
        """Raise LaptopProblem if a process that is not of this run listens on one of its ports.

        Looks twice, since a process of this run may have come or gone between the two listings.
        """
        others = self._strangers() and self._strangers()
        if others:
            ports = {name: self._ports[name] for name in others}
            if ports.keys() <= self._wanted.keys():
                raise LaptopProblem(taken_ports(ports, others))
            taken = ", ".join(f"{port} ({name}){named(others[name])}" for name, port in ports.items())
            raise LaptopProblem(
                f"Taken while the emulators started: port {taken}. Start again; other ports are chosen."
            )

    def _strangers(self) -> dict[str, set[int]]:
        return strangers(self._used(), marked(self._mark) | {os.getpid()})

    def _used(self) -> dict[str, int]:
        """Return the ports on which the CLI and its emulators listen."""
        return {name: self._ports[name] for name in (*self.only, *HELPERS, "websocket")}

    def _await_answers(self, deadline: float) -> None:
        pause = threading.Event()
        for name in self.only:
            while not _answers(f"http://{LOOPBACK}:{self._ports[name]}/"):
                if time.monotonic() > deadline:
                    raise LaptopProblem(f"The {name} emulator does not answer; its log: {self.log}")
                pause.wait(POLL_SECONDS)

    # ── stop ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Ask the guard for an orderly end, then end all remaining processes, since the guard may have been killed."""
        storage, self._storage = self._storage, None
        if storage is not None:
            storage.stop()
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None, "it is a pipe"
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(b".")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS_MAX)
        end_marked(self._mark)
        process.wait()
        self._announcement.unlink(missing_ok=True)

    # ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def silent(self) -> list[str]:
        """Return the emulators that no longer listen: the CLI stays up when one of them is killed."""
        return [name for name in self.only if not is_answering(self._ports[name])]

    def fire_schedule(self, name: str, *, timeout_seconds: float = 300) -> int:
        """Run a scheduled function once, like Cloud Scheduler, and return the HTTP status."""
        url = (
            f"http://{LOOPBACK}:{self._ports['functions']}/functions/projects/{self.project}/triggers/{REGION}-{name}-0"
        )
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        headers = {
            "Content-Type": "application/json",
            "X-CloudScheduler-JobName": name,
            "X-CloudScheduler-ScheduleTime": stamp,
        }
        request = urllib.request.Request(url, data=b"{}", headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _tail(text: str, lines: int = 25) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _why_it_ended(text: str) -> str:
    if NO_DOWNLOAD.search(text):
        return (
            "The Firestore or Pub/Sub emulator is not on this machine and could not be downloaded. Connect to the "
            "internet once, or install them with `gcloud components install cloud-firestore-emulator pubsub-emulator`, "
            "or name them in FIRESTORE_EMULATOR_BINARY_PATH and PUBSUB_EMULATOR_BINARY_PATH."
        )
    return f"The Firebase emulators ended while starting:\n{_tail(text)}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
