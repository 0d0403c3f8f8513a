"""`/v1/admin/users/{uid}/archive` and `/unarchive`: a journal that moves to the bucket, and back."""

from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Choice, Request, Text
from functions.http.routes import ACT, Call, Routes
from shared.kernel.deadline import Deadline
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.ledger.errors import IntegrityFailed, JournalTooLong, NothingToArchive, NotLoggedYet, NotPublishedYet
from shared.users.audit import REASON_MAX
from shared.users.operator_acts import OwnAccount

SECONDS_MAX = 20.0
"""Most seconds of a request for reading, writing and deleting entries."""

routes = Routes("admin_archives")


class ArchiveIn(Request):
    """Reason of moving a journal, which stands in the audit trail alone."""

    reason = Text(length_min=1, length_max=REASON_MAX, required=True)


class ArchiveOut(Answer):
    """Progress of an archive. Send the same request again until the status is `archived`.

    `waiting`: the log does not name the archive yet, and all entries are still in the database; ask again after a
    minute. `deleting`: the bucket has all entries up to `last`, and the database still has some of them.
    """

    uid = fields.String(required=True)
    last = fields.Integer(required=True)
    status = Choice("waiting", "deleting", "archived", required=True)


class UnarchiveOut(Answer):
    """Progress of bringing a journal back. Send the same request again until the status is `restored`."""

    uid = fields.String(required=True)
    status = Choice("restoring", "restored", required=True)


@routes.post(
    "/admin/users/{uid}/archive",
    status=200,
    access=ACT,
    body=ArchiveIn,
    answer=ArchiveOut,
    errors=(
        OwnAccount,
        NothingToArchive,
        NotLoggedYet,
        NotPublishedYet,
        JournalTooLong,
        IntegrityFailed,
        InvalidValue,
    ),
)
def archive(call: Call) -> Any:
    """Move all entries of an account but the newest to the bucket. Balance, holds and refunds stay as they are."""
    uid, deadline = Uid(call.path["uid"]), Deadline.within(call.services.clock, SECONDS_MAX)
    step = call.services.journal_moves.archive(call.principal, uid, call.body["reason"], deadline)
    return {"uid": uid, "last": step.last, "status": step.progress}


@routes.post(
    "/admin/users/{uid}/unarchive",
    status=200,
    access=ACT,
    body=ArchiveIn,
    answer=UnarchiveOut,
    errors=(OwnAccount, NothingToArchive, IntegrityFailed, InvalidValue),
)
def unarchive(call: Call) -> Any:
    """Move archived entries back from the bucket to the database."""
    uid, deadline = Uid(call.path["uid"]), Deadline.within(call.services.clock, SECONDS_MAX)
    is_done = call.services.journal_moves.bring_back(call.principal, uid, call.body["reason"], deadline)
    return {"uid": uid, "status": "restored" if is_done else "restoring"}
