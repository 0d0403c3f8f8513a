"""Export version 2: the lines of a file that a customer or an auditor can verify offline.

A line is the canonical text (RFC 8785, restricted) of one object, and a line feed. An object has exactly the keys of
its type; a key with a question mark may be left out. The header stands first. Behind the header stand the accounts,
each of them once: the account's place in a closed day, the account's entries from 1 on, archived lots in the order of
their ids, archived holds in the order of the entries that ended them, and the account. Since keys are sorted, the first
key of a line tells the type.

- header `{checkpoint?, format, keys, ledger, log?, scope?, seal, type, version}`: `format` is `ics-export`, `version`
  is 2. A key of `keys` is `{alg, kid, public_key, since, until?}`. `seal` is `kid:signature` of `header_message`, by a
  key in `keys`. `checkpoint` is a signed checkpoint of the transparency log.
- `log` of a header `{day?, keys}` has leaves of that checkpoint with their inclusion proofs (RFC 6962); a hash is the
  base64 of 32 bytes. `keys` are the first entries of the registry of keys, `{body, hashes, index, signature}`, and
  `day` is the statement of a closed day, `{hashes, index, seal, statement}`. See `log.leaves.typed_leaf`.
- day `{debt, hashes, head, held, index, posted, seq, state, type, uid}`: leaf `index` of the closed day's tree, with
  the inclusion proof to the root in the header's `day`. See `log.days.DayAccount`. An account whose first entry is
  newer than that day has no such line.
- entry `{body, hash, kind, note?, schema, seq, signature, type}`: `body` is the entry's canonical text, `hash` its
  SHA-256 in hex, `signature` the Ed25519 signature of `ics-entry-v1:` and the hash. `note` is `{salt, text}`, the note
  that the body binds by `note_hash`; no note if the note was erased.
- redacted `{hash, hashes, index, kind, schema, seal, seq, signature, snapshot, snapshot_hashes, snapshot_index,
  statement, type}`: an entry whose body was deleted. `statement` is the canonical text of `redactions.statement_of`,
  sealed by `seal`, and `snapshot` the text of the snapshot of which it has the digest. `index` and `hashes` are the
  place of the entry's leaf in the checkpoint's tree, `snapshot_index` and `snapshot_hashes` that of the leaf that names
  statement and seal. Entries stand in order, with a body or without.
- lot `{id, rest_order?, state, type, uid}`: `state` is the canonical text of a lot that left the account's state.
  Lots that are in the state again have no line.
- hold `{seq, state, type, uid}`: `state` is the canonical text of the hold that entry `seq` ended. A hold whose record
  had a lifetime is left out once the record is deleted.
- account `{nonce, plain, seal, state, type, uid, version}`: `state` is the canonical text of the account's state, and
  `seal` is `kid:signature` of `account_documents.seal_message`. `plain` has the fields that the seal does not cover,
  without the fields that are None.

An export with the scope `log` has the entries of all accounts up to one size of the log, and no states. For each
account it has the places of the entries in the log, the entries, and the account's last line; then the other leaves.

- runs `{runs, type, uid}`: pairs of an entry's number and the index of the entry's leaf. The leaves of the entries up
  to the next pair follow one another. A line has up to `RUNS_AT_ONCE` pairs, and an account as many lines as needed.
- logged `{last, type, uid}`: the log has the entries 1 to `last` of the account.
- leaf `{data, index, type}`: a leaf of another kind, as text. See `log.leaves.typed_leaf`.
- gap `{hashes, index, type}`: hashes of leaves, from leaf `index` on, whose entries no account has any more.

Texts are UTF-8; base64 is standard and padded. Version 1 had no archive, and its header named one user.
"""

from collections.abc import Mapping
from typing import Any

from shared.kernel.canonical import canonical

FORMAT = "ics-export"
FORMAT_VERSION = 2
LOG_SCOPE = "log"
"""Scope in the header of an export of everything up to one size of the log."""
RUNS_AT_ONCE = 1_000
HASHES_AT_ONCE = 256
"""Most hashes of a gap's line: those of one tile."""
HEADER_CONTEXT = b"ics-export-v2:"
"""Context of the header's signature, so that the signature passes for no other kind."""


def header_message(header: Mapping[str, Any]) -> bytes:
    """Return the message that the header's seal signs: the canonical header without the seal."""
    return canonical({name: value for name, value in header.items() if name != "seal"})
