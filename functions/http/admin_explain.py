"""`/v1/admin/entries/{uid}/{seq}/explain`: an entry between the cause outside and the entries that followed."""

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import fields

from functions.http.admin_payment_views import AdminPaymentOut, told_payment
from functions.http.credit_history import EntryOut, RefOut
from functions.http.fields import WHOLE, Answer, Credits, Time
from functions.http.routes import READ_USERS, Call, Routes
from shared.kernel.documents import Document
from shared.kernel.errors import NotFound
from shared.kernel.ids import Uid
from shared.ledger.about import Reference
from shared.ledger.entries import POSTED_KINDS
from shared.ledger.errors import EntryNotFound
from shared.ledger.history import EntryFilter
from shared.ledger.log.position import leaf_index, position_path, stored_position
from shared.ledger.positions import read_position
from shared.ledger.views import EntryView
from shared.users.ports import UserNotFound

EVENTS_MAX = 50
RELATED_MAX = 50
ALL_KINDS = POSTED_KINDS | {"hold", "extension", "release", "status"}

routes = Routes("admin_explain")


class ProviderEventOut(Answer):
    """Event by which a payment provider told of the payment. Handled events are kept for 90 days."""

    id = fields.String(required=True)
    provider = fields.String(required=True)
    type = fields.String(required=True)
    at = Time(required=True)
    received_at = Time(required=True)
    status = fields.String(required=True)
    reason = fields.String(required=True)


class WorkOut(RefOut):
    """The task, call or reservation that the entry is about. `status` is null if nothing is stored of it any more."""

    status = fields.String(required=True, allow_none=True)


class PostingOut(Answer):
    """Movement of credits from a source to a destination. `lot` is the purchase or gift that they belong to."""

    from_ = fields.String(required=True, data_key="from", attribute="from")
    to = fields.String(required=True)
    amount = Credits(required=True)
    lot = fields.String(required=True, allow_none=True)


class ExplainOut(Answer):
    """An entry, from the cause outside to the entries that followed.

    `provider_events` made `payment` move, or `work` made the call; that wrote `entry` with the `postings`. `related`
    are the other entries about the same object, newest first; `is_whole` is false if there may be older ones.
    `is_published` says whether subscribers were told. `leaf_index` is the entry's place in the log, null before the log
    has the entry.
    """

    uid = fields.String(required=True)
    provider_events = fields.List(fields.Nested(ProviderEventOut), required=True)
    payment = fields.Nested(AdminPaymentOut, required=True, allow_none=True)
    work = fields.Nested(WorkOut, required=True, allow_none=True)
    entry = fields.Nested(EntryOut, required=True)
    postings = fields.List(fields.Nested(PostingOut), required=True)
    related = fields.List(fields.Nested(EntryOut), required=True)
    is_whole = fields.Boolean(required=True)
    is_published = fields.Boolean(required=True)
    leaf_index = fields.Integer(required=True, allow_none=True)


@routes.get(
    "/admin/entries/{uid}/{seq}/explain",
    access=READ_USERS,
    answer=ExplainOut,
    errors=(EntryNotFound, UserNotFound),
)
def explain(call: Call) -> Any:
    """Explain one entry of a user: the provider's events, the payment or task, the entry, and the entries that
    followed.
    """
    uid, seq = Uid(call.path["uid"]), call.path["seq"]
    call.services.operators.user(uid)
    if not WHOLE.fullmatch(seq):
        raise EntryNotFound
    entry = call.services.credits.ledger.entry(uid, int(seq))
    ref = entry.about.ref
    is_payment = ref is not None and ref.type == "payment"
    return {
        "uid": uid,
        "provider_events": _provider_events(call, ref.id) if ref is not None and is_payment else [],
        "payment": _found(lambda: told_payment(call, ref.id)) if ref is not None and is_payment else None,
        "work": None if ref is None or is_payment else _work(call, uid, ref),
        "entry": entry,
        "postings": [{"lot": None, **posting} for posting in entry.postings],
        **_related(call, uid, entry),
        **_followed(call, uid, entry.seq),
    }


def _provider_events(call: Call, payment: str) -> list[Mapping[str, Any]]:
    events = call.services.payments.inbox.about(payment, EVENTS_MAX)
    return sorted((_told_event(each) for each in events), key=lambda event: event["at"])


def _told_event(document: Document) -> Mapping[str, Any]:
    names = ("provider", "type", "at", "received_at", "status", "reason")
    return {"id": document.data["event_id"], **{name: document.data[name] for name in names}}


def _work(call: Call, uid: Uid, ref: Reference) -> Mapping[str, Any]:
    services = call.services
    looks: Mapping[str, Callable[[], Any]] = {
        "image_task": lambda: services.images.tasks.get(uid, ref.id).status,
        "agent_task": lambda: services.agents.tasks.get(uid, ref.id).status,
    }
    return {"type": ref.type, "id": ref.id, "status": _found(looks[ref.type]) if ref.type in looks else None}


def _related(call: Call, uid: Uid, entry: EntryView) -> Mapping[str, Any]:
    """Return the other entries about the entry's object. An entry that is about no object has none."""
    ref = entry.about.ref
    if ref is None:
        return {"related": [], "is_whole": True}
    wanted = EntryFilter(kinds=ALL_KINDS, ref=f"{ref.type}:{ref.id}")
    page = call.services.credits.ledger.history(uid, before=None, limit=RELATED_MAX, wanted=wanted)
    return {"related": [each for each in page.items if each.seq != entry.seq], "is_whole": page.before is None}


def _followed(call: Call, uid: Uid, seq: int) -> Mapping[str, Any]:
    """Return whether the entry was published, and where the log has the entry."""
    documents = call.services.ports.documents()
    position = stored_position(uid, documents.get(position_path(uid)))
    return {
        "is_published": read_position(documents, uid).published >= seq,
        "leaf_index": leaf_index(documents, position, seq),
    }


def _found(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except NotFound:
        return None
