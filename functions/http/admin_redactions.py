"""`/v1/admin/entries/{uid}/{seq}/redact`: the deletion of an entry's body."""

from typing import Any

from marshmallow import fields

from functions.http.fields import WHOLE, Answer, Choice, Request, Text
from functions.http.routes import ACT, Call, Routes
from shared.kernel.deadline import Deadline
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.ledger.errors import EntryNotFound, IntegrityFailed, JournalTooLong, NotLoggedYet, NotPublishedYet
from shared.users.audit import REASON_MAX
from shared.users.operator_acts import OwnAccount
from shared.users.ports import UserNotFound

SECONDS_MAX = 20.0
"""Most seconds of a request for reading the journal up to the entry."""

routes = Routes("admin_redactions")


class RedactIn(Request):
    """Reason of a redaction, which stands in the audit trail alone."""

    reason = Text(length_min=1, length_max=REASON_MAX, required=True)


class RedactionOut(Answer):
    """Progress of a redaction.

    `waiting`: the log does not name the snapshot yet, and the body is still there. Send the same request again after a
    minute. `redacted`: the body is gone.
    """

    uid = fields.String(required=True)
    seq = fields.Integer(required=True)
    status = Choice("waiting", "redacted", required=True)


@routes.post(
    "/admin/entries/{uid}/{seq}/redact",
    status=200,
    access=ACT,
    body=RedactIn,
    answer=RedactionOut,
    errors=(
        EntryNotFound,
        UserNotFound,
        OwnAccount,
        NotLoggedYet,
        NotPublishedYet,
        JournalTooLong,
        IntegrityFailed,
        InvalidValue,
    ),
)
def redact(call: Call) -> Any:
    """Delete the body of an entry. Its hash, signature and proof stay, and a snapshot that the log names goes first."""
    uid, seq = Uid(call.path["uid"]), call.path["seq"]
    if not WHOLE.fullmatch(seq):
        raise EntryNotFound
    deadline = Deadline.within(call.services.clock, SECONDS_MAX)
    status = call.services.operators.redact(call.principal, uid, int(seq), call.body["reason"], deadline)
    return {"uid": uid, "seq": int(seq), "status": status}
