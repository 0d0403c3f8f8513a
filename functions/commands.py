"""Commands for whoever runs the project: `python -m functions.commands first-admin EMAIL`."""

import argparse
import sys
from collections.abc import Sequence

from shared.bootstrap import Services
from shared.bootstrap import services as production
from shared.kernel.errors import DomainError


def main(arguments: Sequence[str], services: Services | None = None) -> int:
    """Run one command; 0 if it did what it was asked."""
    asked = _parser().parse_args(arguments)
    try:
        first_admin(asked.email, services or production(), is_forced=asked.force)
    except DomainError as error:
        print(f"{error.detail} ({error.code})", file=sys.stderr)
        return 1
    return 0


def first_admin(email: str, services: Services, *, is_forced: bool) -> None:
    """Make the user with this address an admin; later ones are made by an admin."""
    is_verification_needed = not services.settings.is_laptop
    uid = services.operators.first_admin(email, is_forced=is_forced, is_verification_needed=is_verification_needed)
    print(f"{email} ({uid}) is an admin once they have signed in again.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m functions.commands", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    admin = commands.add_parser("first-admin", help="make the first admin of this project")
    admin.add_argument("email", help="of a user who has signed up")
    admin.add_argument("--force", action="store_true", help="even if there is an admin already")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
