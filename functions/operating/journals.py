"""Commands on the place of a journal: `archive-journal` and `unarchive-journal`."""

import argparse

from functions.operating.accounts import uid_of
from shared.bootstrap import Services
from shared.kernel.deadline import NEVER


def archive_journal(asked: argparse.Namespace, services: Services) -> None:
    """Move an account's entries to the bucket, one step in each run, and print what is left to do.

    The audit trail records the act. Raises the errors of `JournalArchiver.archive`, UserNotFound.
    """
    uid = uid_of(asked.who, services)
    recording = services.users.audit.recording
    with recording("command:archive-journal", "archive_journal", uid, reason=asked.reason) as act:
        step = services.credits.archiver.archive(uid, NEVER)
        act.after = {"last": step.last, "progress": step.progress}
    if step.progress == "archived":
        print(f"The entries 1 to {step.last} of {uid} are in the bucket.")
    else:
        print(f"The log gets the name of an archive up to entry {step.last} of {uid}. Run this again in two minutes.")


def unarchive_journal(asked: argparse.Namespace, services: Services) -> None:
    """Move an account's archived entries back to the database.

    The audit trail records the act. Raises the errors of `JournalArchiver.bring_back`, UserNotFound.
    """
    uid = uid_of(asked.who, services)
    recording = services.users.audit.recording
    with recording("command:unarchive-journal", "unarchive_journal", uid, reason=asked.reason):
        services.credits.archiver.bring_back(uid, NEVER)
    print(f"All entries of {uid} are in the database again.")
