"""`make admin EMAIL=… PROJECT=…`: make the first administrator of a real project, with a login if there is none.

A new login has no password. Google mails a link with which the owner of the address sets one, which also verifies the
address. So nobody but that person can become the administrator.
"""

import sys

from emulator.cloud.command import environment_of, run
from emulator.cloud.people import API
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.session import open_project


class LoginMade(CloudProblem):
    """Message that a login was made, and waits for its owner."""

    def __init__(self, email: str) -> None:
        super().__init__(
            f"{email} had no login. One is made, and Google has mailed {email} a link to set a password. "
            "Open the link, then run the same command again."
        )


def require_login(project: Project, email: str) -> None:
    """Return if somebody signs in with this address. Otherwise make a login, and raise LoginMade."""
    if "@" not in email:
        raise CloudProblem("Nobody is named: write EMAIL=… with the address of the administrator.")
    accounts = f"{API}/projects/{project.id}/accounts"
    if project.google.post(f"{accounts}:lookup", {"email": [email]}).get("users"):
        return
    project.google.post(accounts, {"email": email, "emailVerified": False})
    project.google.post(f"{accounts}:sendOobCode", {"requestType": "PASSWORD_RESET", "email": email})
    raise LoginMade(email)


def main() -> int:
    project_id, email = (*sys.argv[1:3], "", "")[:2]
    try:
        with open_project([project_id]) as project:
            require_login(project, email)
            return run(["first-admin", email], environment_of(project))
    except CloudProblem as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
