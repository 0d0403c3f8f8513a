"""`make token EMAIL=… PROJECT=…`: sign in with a typed password, and print the ID token for calls with curl.

Only the token goes to standard output, so that `TOKEN=$(make -s token …)` has the token and nothing else. Without a
project, the login is one of the running laptop.
"""

import json
import os
import sys
from collections.abc import Mapping

from emulator.cloud.app_check import WEB_KEY
from emulator.cloud.people import id_token
from emulator.cloud.problems import CloudProblem
from emulator.cloud.session import open_project
from emulator.cloud.terminal import Console
from emulator.cloud.web import Web
from emulator.command import ENDPOINTS

ANY_KEY = "laptop"
"""Public key that the Auth emulator takes, as it takes any."""
PASSWORD = "PASSWORD"
"""Variable with the password, for a machine without a terminal."""


def place_of(project_id: str, environment: Mapping[str, str]) -> tuple[Web, str]:
    """Return where people sign in, and the public key for it: at the project, or without one on the running laptop.

    Raises CloudProblem.
    """
    if project_id:
        with open_project([project_id], environment) as project:
            return project.web, project.settings.get(WEB_KEY)
    if not ENDPOINTS.exists():
        raise CloudProblem("No laptop runs: start it with `make run`, or write PROJECT=… for a Google project.")
    return Web(json.loads(ENDPOINTS.read_text())["auth"]), ANY_KEY


def main() -> int:
    project_id, email = (*sys.argv[1:3], "", "")[:2]
    try:
        if "@" not in email:
            raise CloudProblem("Nobody is named: write EMAIL=… with the address of the administrator.")
        web, key = place_of(project_id, os.environ)
        password = os.environ.get(PASSWORD) or Console().ask_secret(PASSWORD, f"the password of {email}")
        print(id_token(web, key, email, password))
    except CloudProblem as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
