"""Command `migrate`: bring stored documents to the present form, or count those that are not."""

import argparse
import sys

from shared.bootstrap import Services
from shared.bootstrap.migrations import MIGRATIONS
from shared.kernel.errors import Conflict, InvalidValue
from shared.sagas.engine.migrations import Migration, MigrationReport, Migrations

NAMES = tuple(entry.name for entry in MIGRATIONS)


class MigrationIncomplete(Conflict):
    """Error for a run that left documents in an older form. The command may be repeated."""

    code = "migration_incomplete"

    def __init__(self, name: str, found: int) -> None:
        super().__init__(
            f"The last pass found {found} documents in an older form. They are broken, in the hands of a worker, or an "
            f'instance of an older release still writes them. Run "migrate {name}" again once that instance is gone.',
            found=found,
        )


def migrate(asked: argparse.Namespace, services: Services) -> None:
    """Run a migration to its end, with --dry-run only count, and without a name list all migrations.

    Raises InvalidValue for a limit below 1, MigrationIncomplete, Unavailable.
    """
    if asked.name is None:
        for entry in MIGRATIONS:
            print(f"{entry.name:16} {entry.purpose}")
        return
    if asked.limit is not None and asked.limit < 1:
        raise InvalidValue("limit", "must be at least 1")
    migration = next(entry for entry in MIGRATIONS if entry.name == asked.name).build(services)
    runner = Migrations(services.ports.documents(), services.clock, _tell)
    if asked.dry_run:
        _preview(runner, migration, asked.limit)
        return
    with services.users.audit.recording("command:migrate", "migrate", migration.name, reason=None):
        report = runner.run(migration, asked.limit)
    _print_report(migration.name, report)
    if not report.is_complete and not report.is_limited:
        raise MigrationIncomplete(migration.name, report.found)


def _preview(runner: Migrations, migration: Migration, limit: int | None) -> None:
    found = runner.preview(migration, limit)
    for kind, count in sorted(found.due.items()):
        print(f"{kind}: {count} to move")
    for document in found.examples:
        print(f"  such as {document.path}, schema version {document.schema_version or 'none'}")
    for path in found.unknown:
        print(f"  unknown to this release: {path}")
    print(f"{found.seen} documents seen, {sum(found.due.values())} to move. Nothing was written.")


def _print_report(name: str, report: MigrationReport) -> None:
    for path, code in report.failed.items():
        print(f"  not moved: {path} ({code})")
    print(f"{name}: {report.seen} documents seen, {report.moved} moved, passes: {report.passes}.", end=" ")
    print(_end_of(report))


def _end_of(report: MigrationReport) -> str:
    if report.is_complete:
        return "The last pass found none in an older form."
    if report.is_limited:
        return "The limit is reached; run the command again."
    return f"{report.left} of {report.found} documents that the last pass found are left."


def _tell(line: str) -> None:
    """Print a line of progress at once, beside the result."""
    print(line, file=sys.stderr, flush=True)
