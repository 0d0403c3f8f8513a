"""Commands for the people who run the project: `python -m functions.commands first-admin EMAIL`, and others."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from functions.operating import add_commands
from shared.ai.models.listing import listed_models
from shared.bootstrap import Services
from shared.bootstrap import services as production
from shared.kernel.deadline import Deadline
from shared.kernel.errors import DomainError, InvalidValue
from shared.kernel.ids import Uid
from shared.payments.payment import status_of
from shared.users.mailbox import mark_key_of

REPORT_SECONDS = 10.0
"""Seconds between two lines about the progress of a long command."""


def main(arguments: Sequence[str], services: Services | None = None) -> int:
    """Run one command, and return the exit code: 0 if the command succeeded."""
    asked = _parser().parse_args(arguments)
    try:
        asked.run(asked, services or production())
    except DomainError as error:
        print(f"{error.detail} ({error.code})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return 0


def first_admin(asked: argparse.Namespace, services: Services) -> None:
    """Make the user with this address an admin; later ones are made by an admin."""
    uid = services.operators.first_admin(
        asked.email, is_forced=asked.force, is_verification_needed=not services.settings.is_laptop
    )
    print(f"{asked.email} ({uid}) is an admin once they have signed in again.")


def rebuild_analytics(asked: argparse.Namespace, services: Services) -> None:
    """Project the journals again: those of the named users, or of all users."""
    for uid in asked.uids or services.credits.analytics.accounts():
        print(f"{uid}: {services.credits.analytics.rebuild(Uid(uid))} entries")


def rebuild_books(asked: argparse.Namespace, services: Services) -> None:
    """Count all entries of the log into the figures of the platform again."""
    del asked
    figures = services.credits.figure_count
    state, after = figures.begin_again(), ""
    while (rest := figures.go_on(after, Deadline.within(services.clock, REPORT_SECONDS))) is not None:
        after = rest
        print(f"counted up to {after or 'the start'}")
    figures.mark_whole(state.generation)
    print("All entries of the log are counted.")


def models_sync(asked: argparse.Namespace, services: Services) -> None:
    """Show the changes that a provider's listing would make to the models. With `--apply`, write the changes."""
    listing = None if asked.listing is None else _listing_in(asked.listing)
    found = services.models.sync.compare(asked.upstream, is_free_wanted=asked.free, listing=listing)
    for name, reason in sorted(found.left_out.items()):
        print(f"  left out   {name}: {reason}")
    for model_id in found.gone:
        print(f"  gone       {model_id} is listed no more; it stays until an operator disables it")
    for change in found.changes:
        print(f"  {'new' if change.before is None else 'changed':10} {change.model_id}")
        for name, (before, after) in sorted(change.differences.items()):
            print(f"             {name}: {'' if before is None else f'{before} → '}{after}")
        if asked.apply:
            services.models.sync.apply(change)
    print(
        f"{len(found.changes)} to write, {len(found.unchanged)} as they are, {len(found.left_out)} left out.", end=" "
    )
    print("Written." if asked.apply else "Nothing is written without --apply.")


def _listing_in(path: Path) -> Mapping[str, Any]:
    """Return the listing in a file: an object with `data`, or LiteLLM's of models by name. Raises InvalidValue."""
    try:
        found = json.loads(path.read_bytes(), parse_float=Decimal)
        listed_models(found)
    except (OSError, ValueError) as error:
        raise InvalidValue("listing", "must be a file with a JSON listing of models") from error
    return found if isinstance(found, Mapping) else {"data": found}


def replay_payment(asked: argparse.Namespace, services: Services) -> None:
    """Settle a payment that is stuck or under review again, from the provider's present state.

    Print the payment's status.
    """
    payment = services.payments.replays.payment(asked.payment)
    print(f"{payment.id} is {status_of(payment)}{f', under review: {payment.problem}' if payment.problem else ''}.")


def replay_notice(asked: argparse.Namespace, services: Services) -> None:
    """Handle a provider's notice again, in any state of the notice. Print the notice's new status."""
    status = services.payments.replays.notice(asked.notice)
    print(f"{asked.notice} is {status}.")


def mark_keys(asked: argparse.Namespace, services: Services) -> None:
    """Print the keys for marks that the ledger's signing keys give, for the setting MARKS_SECRET.

    A signing key may be removed once its key stands there.
    """
    del asked
    for key in services.settings.ledger_signing_keys:
        print(f"{key.kid}: hex:{mark_key_of(key.seed).hex()}")


def _parser() -> argparse.ArgumentParser:
    """Return the parser of all commands. Each command sets `run` to the function that carries it out."""
    parser = argparse.ArgumentParser(prog="python -m functions.commands", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    admin = commands.add_parser("first-admin", help="make the first admin of this project")
    admin.add_argument("email", help="of a user who has signed up")
    admin.add_argument("--force", action="store_true", help="even if there is an admin already")
    admin.set_defaults(run=first_admin)
    analytics = commands.add_parser("rebuild-analytics", help="project usage from the journals anew")
    whose = analytics.add_mutually_exclusive_group(required=True)
    whose.add_argument("uids", nargs="*", default=[], metavar="UID", help="whose")
    whose.add_argument("--all", action="store_true", help="everybody's")
    analytics.set_defaults(run=rebuild_analytics)
    books = commands.add_parser("rebuild-books", help="count the figures of the platform from all entries again")
    books.set_defaults(run=rebuild_books)
    sync = commands.add_parser("models-sync", help="bring models and prices from a provider's listing")
    sync.add_argument("upstream", nargs="?", default="default", help="one of the providers in the settings")
    sync.add_argument("--apply", action="store_true", help="write what is shown")
    sync.add_argument(
        "--listing", type=Path, metavar="FILE", help="not the provider's own, but this one, such as LiteLLM's"
    )
    sync.add_argument("--free", action="store_true", help="models whose price is zero, too")
    sync.set_defaults(run=models_sync)
    payment = commands.add_parser("replay-payment", help="settle a payment anew that stuck or waits for a look")
    payment.add_argument("payment", metavar="ID", help="as it is called in alerts and in payments/{id}")
    payment.set_defaults(run=replay_payment)
    notice = commands.add_parser("replay-notice", help="deal anew with what a provider announced")
    notice.add_argument("notice", metavar="ID", help="{provider}:{event id}, as in alerts and in inbox/{id}")
    notice.set_defaults(run=replay_notice)
    marks = commands.add_parser("mark-keys", help="print the mark keys of the signing keys: secrets, as those are")
    marks.set_defaults(run=mark_keys)
    add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
