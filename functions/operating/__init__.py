"""Commands of operating procedures: explain an account, drain, dead events, models, prices, keys, migrations."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from functions.operating import (
    accounts,
    drains,
    events,
    journals,
    log_files,
    logs,
    migrating,
    models,
    signing_keys,
    wallets,
)

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # what add_subparsers returns


def add_commands(commands: "Commands") -> None:
    """Add the commands to a parser. Each sets `run` to the function that carries the command out."""
    _add_account_commands(commands)
    drain = commands.add_parser("drain", help="take no new spending calls; running ones end")
    drain.add_argument("reason", metavar="REASON", help="for the audit trail")
    drain.set_defaults(run=drains.drain)
    commands.add_parser("undrain", help="take spending calls again").set_defaults(run=drains.undrain)
    _add_event_commands(commands)
    for name, run, effect in (
        ("model-off", models.model_off, "take a model off the offer; running calls end"),
        ("model-on", models.model_on, "offer a model again"),
    ):
        switch = commands.add_parser(name, help=effect)
        switch.add_argument("model", metavar="MODEL", help="its id")
        switch.add_argument("reason", metavar="REASON", help="for the audit trail")
        switch.set_defaults(run=run)
    prices = commands.add_parser("model-prices", help="show a model's price in credits, and its changes")
    prices.add_argument("model", metavar="MODEL", help="its id")
    prices.set_defaults(run=models.model_prices)
    _add_log_commands(commands)
    _add_wallet_commands(commands)
    _add_key_commands(commands)
    migration = commands.add_parser("migrate", help="bring stored documents to the present form")
    migration.add_argument("name", nargs="?", choices=migrating.NAMES, metavar="NAME", help="without: list them all")
    migration.add_argument("--dry-run", action="store_true", help="count and show; write nothing")
    migration.add_argument("--limit", type=int, metavar="N", help="move at most N documents in this run")
    migration.set_defaults(run=migrating.migrate)


def _add_event_commands(commands: "Commands") -> None:
    commands.add_parser("dead-events", help="list events that failed for too long").set_defaults(run=events.dead_events)
    resend = commands.add_parser("resend-event", help="handle a dead event again, here and now")
    resend.add_argument("event", metavar="ID", help="as dead-events and the alert name the event")
    resend.set_defaults(run=events.resend_event)
    discard = commands.add_parser("discard-event", help="forget a dead event that nobody can handle")
    discard.add_argument("event", metavar="ID", help="as dead-events and the alert name the event")
    discard.add_argument("reason", metavar="REASON", help="for the audit trail")
    discard.set_defaults(run=events.discard_event)


def _add_log_commands(commands: "Commands") -> None:
    key = commands.add_parser("log-key", help="print the policy that names the transparency log, for auditors")
    key.add_argument("version", nargs="?", metavar="KEY_VERSION", help="of a key in Cloud KMS that is to sign the log")
    key.set_defaults(run=logs.log_key)
    commands.add_parser("log-status", help="compare the log with its anchors").set_defaults(run=logs.log_status)
    export = commands.add_parser("export-log", help="write all entries up to the newest checkpoint, for auditors")
    export.add_argument("file", type=Path, metavar="FILE", help="a new file, or one that was interrupted")
    export.set_defaults(run=log_files.export_log)
    restore = commands.add_parser("restore-log", help="bring the log of a restored database back from its anchors")
    restore.add_argument("by", metavar="BY", help="who restored, for ever in the log: a name or a role")
    restore.add_argument("reason", metavar="REASON", help="why, for ever in the log: no personal data of customers")
    restore.set_defaults(run=logs.restore_log)


def _add_account_commands(commands: "Commands") -> None:
    """Add the commands on one account."""
    explain = commands.add_parser("explain", help="say in words why an account's balance is as it is")
    explain.add_argument("who", metavar="WHO", help="an e-mail address, or a uid")
    explain.add_argument(
        "--entries", type=int, default=accounts.ENTRIES, metavar="N", help="how many entries are shown"
    )
    explain.set_defaults(run=accounts.explain)
    release = commands.add_parser("release-log", help="let the transparency log go on with a parked account")
    release.add_argument("who", metavar="WHO", help="an e-mail address, or a uid")
    release.add_argument("--accept-fork", action="store_true", help="go on although the account lost entries")
    release.set_defaults(run=accounts.release_log)
    archive = commands.add_parser("archive-journal", help="move an account's entries to the bucket")
    archive.add_argument("who", metavar="WHO", help="an e-mail address, or a uid")
    archive.add_argument("reason", metavar="REASON", help="for the audit trail")
    archive.set_defaults(run=journals.archive_journal)
    back = commands.add_parser("unarchive-journal", help="move archived entries back to the database")
    back.add_argument("who", metavar="WHO", help="an e-mail address, or a uid")
    back.add_argument("reason", metavar="REASON", help="for the audit trail")
    back.set_defaults(run=journals.unarchive_journal)
    redact = commands.add_parser("redact-entry", help="delete the body of an entry behind a snapshot in the log")
    redact.add_argument("who", metavar="WHO", help="an e-mail address, or a uid")
    redact.add_argument("seq", type=int, metavar="SEQ", help="the number of the entry")
    redact.add_argument("reason", metavar="REASON", help="for the audit trail")
    redact.set_defaults(run=accounts.redact_entry)


def _add_wallet_commands(commands: "Commands") -> None:
    commands.add_parser("addresses", help="show each key's first addresses").set_defaults(run=wallets.addresses)
    lying = commands.add_parser("balances", help="show the coins that lie at addresses, for your own sweep")
    lying.add_argument("network", nargs="?", metavar="NETWORK", help="one of CRYPTO_NETWORKS; without: all")
    lying.set_defaults(run=wallets.balances)
    token = commands.add_parser("find-token", help="look for a token that nobody listed at all addresses")
    token.add_argument("network", metavar="NETWORK", help="one of CRYPTO_NETWORKS")
    token.add_argument("contract", metavar="CONTRACT", help="of the token")
    token.set_defaults(run=wallets.find_token)


def _add_key_commands(commands: "Commands") -> None:
    """Add the commands about signing keys."""
    commands.add_parser("keys", help="list the signing keys and their progress").set_defaults(run=signing_keys.keys)
    for name, run, effect in (
        ("end-key", signing_keys.end_key, "let a key sign no more, and retire it once everything is sealed again"),
        ("keep-key", signing_keys.keep_key, "take back the end of a key that is not retired yet"),
    ):
        change = commands.add_parser(name, help=effect)
        change.add_argument("kid", metavar="KID", help="the key's id, as keys lists it")
        change.add_argument("reason", metavar="REASON", help="for the audit trail")
        change.set_defaults(run=run)
    uses = commands.add_parser("key-uses", help="list what a key gave to accounts since a time")
    uses.add_argument("kid", metavar="KID", help="the key's id, as keys lists it")
    uses.add_argument("since", metavar="SINCE", help="a time such as 2026-11-30T12:00:00Z")
    uses.set_defaults(run=signing_keys.key_uses)
    reseal = commands.add_parser("reseal-account", help="seal an account again that was restored to an older seal")
    reseal.add_argument("who", metavar="WHO", help="an e-mail address, or a uid")
    reseal.set_defaults(run=signing_keys.reseal_account)
