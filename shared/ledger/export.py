"""Export of an account as one self-contained NDJSON, which a customer or an auditor can verify offline.

Line 1, the header: `{"type": "header", "format": "ics-export", "version": 1, "ledger", "uid", "keys": […]}`; once there
is a transparency log, the header also has `checkpoint`. Then each entry from the first: `{"type": "entry", "schema",
"seq", "kind", "body", "hash", "signature"}`, where `body` is the canonical text (RFC 8785, restricted), `hash` its
SHA-256 in hex and `signature` the Ed25519 signature of `ics-entry-v1:` and the hash. Last the account: `{"type":
"account", "version", "nonce", "state", "seal", "plain": {…}}`, sealed as `account_documents.seal_message` says.
"""

from collections.abc import Iterator, Mapping

import orjson

from shared.kernel.ids import Uid
from shared.ledger.account_documents import StoredAccount, exported
from shared.ledger.key_ring import KeyRing
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import StoredEntry

FORMAT = "ics-export"
FORMAT_VERSION = 1
WINDOW = 500
STRANGERS_MAX = 20


def export_lines(store: AccountStore, keys: KeyRing, ledger: str, uid: Uid) -> Iterator[str]:
    """Yield the lines of the export. The account is read first, so that every counted entry exists when read.

    Entries in the journal's collection that the ledger did not write are exported too, so that the verifier finds them.
    """
    stored = store.stored(uid)
    seq = stored.plain.get("seq", 0)
    yield _line(
        {
            "type": "header",
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "ledger": ledger,
            "uid": uid,
            "keys": [key.to_json() for key in keys.registry],
        }
    )
    last = seq if isinstance(seq, int) else 0
    for page in entry_pages(store, uid, 1, last):
        for entry in page:
            yield _line(_entry(entry))
    for entry in uncounted_entries(store, uid, last):
        yield _line(_entry(entry))
    if stored.state is not None:
        yield _line(account_record(stored))


def entry_pages(
    store: AccountStore, uid: Uid, first: int, last: int, size: int = WINDOW
) -> Iterator[list[StoredEntry]]:
    """Yield the stored entries `first` to `last` in pages of `size` entries. Stops behind the last stored entry.

    A document between two entries that the ledger did not write is part of a page, and has the seq -1.
    """
    while first <= last:
        page = store.entries_from(uid, first, last, size)
        if page:
            yield page
        if len(page) < size:
            return
        first = max(first, *(entry.seq for entry in page)) + 1


def uncounted_entries(store: AccountStore, uid: Uid, last: int) -> list[StoredEntry]:
    """Return stored entries that the account does not count, at most `STRANGERS_MAX` on each side.

    Entries that the account counts by a second read are left out.
    """
    found = store.strangers(uid, last, STRANGERS_MAX)
    if not found:
        return []
    seq = store.stored(uid).plain.get("seq", 0)
    now = seq if isinstance(seq, int) else 0
    return [entry for entry in found if not last < entry.seq <= now]


def _entry(entry: StoredEntry) -> Mapping[str, object]:
    return {
        "type": "entry",
        "schema": entry.schema,
        "seq": entry.seq,
        "kind": entry.kind,
        "body": entry.body,
        "hash": entry.hash,
        "signature": entry.signature,
    }


def account_record(stored: StoredAccount) -> Mapping[str, object]:
    """Return the account's line of an export."""
    data = {} if stored.state is None else stored.state.data
    plain = {name: exported(value) for name, value in {**stored.plain, **stored.beside_the_seal}.items()}
    sealed = {name: data.get(name) for name in ("version", "nonce", "state", "seal")}
    return {"type": "account", **sealed, "plain": plain}


def _line(value: Mapping[str, object]) -> str:
    return orjson.dumps(value, default=str).decode() + "\n"
