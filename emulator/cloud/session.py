"""Command of an operator on one project: the named project is opened, with its settings, Google and the terminal."""

import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from emulator.cloud.dotenv import SettingsFile
from emulator.cloud.firebase import FirebaseCli
from emulator.cloud.google import google_of
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.secret_manager import SecretManager
from emulator.cloud.template import template
from emulator.cloud.terminal import Console
from emulator.cloud.web import web_of
from emulator.tools import ROOT

PROJECT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", re.ASCII)


class NoProject(CloudProblem):
    """Error for a command without a project, or with a name that no project can have."""

    def __init__(self, named: str) -> None:
        told = f"{named} is no id of a Google project" if named else "No project is named"
        super().__init__(f"{told}: write PROJECT=… with the id that the Firebase console shows.")


class SettingsWritten(CloudProblem):
    """Message that the settings of a new project were written, and wait for a look."""

    def __init__(self, file: Path, project: str) -> None:
        super().__init__(
            f"Wrote {file.name}, the settings of {project}. Look at the lines at its top: REGION and "
            "FIRESTORE_LOCATION are for good, PAYMENT_PROVIDERS says who takes payments, AI_PLATFORM_BASE_URL names "
            "the model provider. Then run the same command again."
        )


def end_as_with_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, so that logins made for a moment are deleted."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def open_project(
    arguments: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    root: Path = ROOT,
    *,
    needs_settings: bool = True,
) -> Iterator[Project]:
    """Open the project that the first argument names. Raises NoProject, SettingsWritten and NoCredentials.

    If the project has no settings file and needs one, a commented file is written.
    """
    named = arguments[0] if arguments else ""
    if not PROJECT_ID.fullmatch(named):
        raise NoProject(named)
    is_plan = environment.get("PLAN") == "1"
    settings = SettingsFile(named, root)
    if needs_settings and not settings.exists:
        if is_plan:
            raise CloudProblem(f"{settings.path.name} is missing: the command without PLAN=1 writes a commented file.")
        settings.write(template(named))
        raise SettingsWritten(settings.path, named)
    google = google_of(named, environment)
    yield Project(
        id=named,
        google=google,
        settings=settings,
        secrets=SecretManager(google),
        web=web_of(environment),
        firebase=FirebaseCli(named, environment),
        terminal=Console(environment),
        environment=environment,
        root=root,
        is_plan=is_plan,
    )
