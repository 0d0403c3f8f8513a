"""Values of a deploy: the project with its ports, a change, and a step that finds changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from emulator.cloud.dotenv import SettingsFile
from emulator.cloud.google import Google
from emulator.cloud.secret_manager import SecretManager
from emulator.cloud.web import Web

REGION_DEFAULT = "us-central1"


class Terminal(Protocol):
    """Person at the terminal, or the lack of one."""

    def say(self, line: str) -> None: ...

    def ask_secret(self, name: str, question: str) -> str:
        """Return a typed answer that is not shown. Raises CloudProblem if nobody can answer."""
        ...

    def agrees(self, question: str) -> bool:
        """Return True if the person said yes. Without a person, only YES=1 means yes."""
        ...


class Firebase(Protocol):
    """Firebase CLI."""

    def deploy(self, only: str, root: Path) -> None:
        """Run `firebase deploy --only …` in this folder. Raises CloudProblem with the CLI's own words."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Google project that is deployed to, with its settings and the ports through which the steps act."""

    id: str
    google: Google
    settings: SettingsFile
    secrets: SecretManager
    web: Web
    firebase: Firebase
    terminal: Terminal
    environment: Mapping[str, str]
    root: Path
    is_plan: bool = False

    @property
    def region(self) -> str:
        return self.settings.get("REGION", REGION_DEFAULT)

    def address(self, name: str, default: str) -> str:
        """Return the address of another service: this machine's environment wins over the project's settings."""
        return self.environment.get(name) or self.settings.get(name, default)

    def function_url(self, function: str) -> str:
        """Return the address of an HTTP function, which is known before the function is deployed."""
        return f"https://{self.region}-{self.id}.cloudfunctions.net/{function}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Change that a step would make: a sentence without a subject (“create the topic alerts”), and the act.

    A change with a question is made only after a yes.
    """

    says: str
    do: Callable[[], object]
    question: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Step of a deploy. `look` only reads, and returns the changes that are still to be made.

    `purpose` says the whole work of the step. `after` names steps whose changes cause changes in this step.
    """

    name: str
    purpose: str
    look: Callable[[Project], Sequence[Change]]
    after: tuple[str, ...] = ()
