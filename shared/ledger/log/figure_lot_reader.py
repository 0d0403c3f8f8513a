"""Reader of the kinds of lots that the figures have forgotten."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import orjson

from shared.kernel.canonical import parse_canonical
from shared.kernel.documents import Document, Documents
from shared.kernel.events import log_error
from shared.kernel.ids import LotId, Uid
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.codec import decode_account, decode_lot
from shared.ledger.document_paths import lot_path
from shared.ledger.log.figure_lots import forgotten_lots
from shared.ledger.log.rounds import AccountRead

UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)


def with_lots(documents: Documents, read: AccountRead, generation: int) -> AccountRead:
    """Return the account with the kinds of the lots that its entries name and that the figures have forgotten.

    Entries that cannot be read have none: the check of the entries tells of them. Raises StoreUnavailable.
    """
    known = read.position.figured.at(generation)
    if known.seq != read.position.seq:
        return read
    try:
        forgotten = forgotten_lots(known.lots, (orjson.loads(entry.body) for entry in read.entries.values()))
    except UNREADABLE:
        return read
    return replace(read, lots=lot_kinds(documents, read.visit.uid, forgotten)) if forgotten else read


def lot_kinds(documents: Documents, uid: Uid, lots: Collection[str]) -> Mapping[str, bool]:
    """Return the kinds of these lots; True: the lot was bought. A lot that is not found is missing.

    A lot stands in the account's state, or in the archive once the lot has left the state. No lot changes its kind.
    Raises StoreUnavailable.
    """
    if not lots:
        return {}
    states = [state_path(uid), account_path(uid)]
    found = documents.get_all([*states, *(lot_path(uid, LotId(lot)) for lot in sorted(lots))])
    kinds: dict[str, bool] = {}
    for document in found:
        try:
            kinds |= _kinds_in(document, is_state=document is not None and document.path in states)
        except (*UNREADABLE, SchemaUnknown) as error:
            log_error("lot_kind_not_read", error, uid=uid)
    return {lot: kinds[lot] for lot in lots if lot in kinds}


def _kinds_in(document: Document | None, *, is_state: bool) -> Mapping[str, bool]:
    if document is None or "state" not in document.data:
        return {}
    state = str(document.data["state"])
    if is_state:
        return {lot.id: lot.is_paid for lot in decode_account(state).lots.values()}
    return {document.id: decode_lot(cast("Mapping[str, Any]", parse_canonical(state))).is_paid}
