"""Person at the terminal: lines to read, secrets without echo, and a yes or no."""

import getpass
import os
import sys
from collections.abc import Mapping

from emulator.cloud.problems import CloudProblem

YES = frozenset({"y", "yes"})


class NobodyToAsk(CloudProblem):
    """Error for a secret that is needed where nobody can type."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is needed, and there is no terminal to ask at: set the variable {name}, or name a file in "
            f"{name}_FILE."
        )


class Console:
    """Terminal of this process."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._is_agreed = environment.get("YES") == "1"

    def say(self, line: str) -> None:
        print(line, flush=True)

    def ask_secret(self, name: str, question: str) -> str:
        """Return a typed answer that is not shown. Raises NobodyToAsk."""
        if not sys.stdin.isatty():
            raise NobodyToAsk(name)
        return getpass.getpass(f"     {question} (not shown): ")

    def agrees(self, question: str) -> bool:
        if self._is_agreed:
            return True
        if not sys.stdin.isatty():
            return False
        return input(f"     {question} [y/N] ").strip().lower() in YES
