"""Shapes of the lines of an export: the keys of each type, with the types of their values."""

from collections.abc import Mapping

SHAPES: Mapping[str, Mapping[str, type]] = {
    "lot": {"id": str, "state": str, "type": str, "uid": str},
    "hold": {"seq": int, "state": str, "type": str, "uid": str},
    "account": {"nonce": str, "plain": dict, "seal": str, "state": str, "type": str, "uid": str, "version": int},
    "header": {"format": str, "keys": list, "ledger": str, "seal": str, "type": str, "version": int},
    "key": {"alg": str, "kid": str, "public_key": str, "since": str},
    "note": {"salt": str, "text": str},
    "redacted": {
        "hash": str,
        "hashes": list,
        "index": int,
        "kind": str,
        "schema": int,
        "seal": str,
        "seq": int,
        "signature": str,
        "snapshot": str,
        "snapshot_hashes": list,
        "snapshot_index": int,
        "statement": str,
        "type": str,
    },
    "runs": {"runs": list, "type": str, "uid": str},
    "logged": {"last": int, "type": str, "uid": str},
    "leaf": {"data": str, "index": int, "type": str},
    "gap": {"hashes": list, "index": int, "type": str},
    "log": {"keys": list},
    "logged key": {"body": str, "hashes": list, "index": int, "signature": str},
    "logged day": {"hashes": list, "index": int, "seal": str, "statement": str},
    "day": {
        "debt": int,
        "hashes": list,
        "head": str,
        "held": int,
        "index": int,
        "posted": int,
        "seq": int,
        "state": str,
        "type": str,
        "uid": str,
    },
}
OPTIONAL: Mapping[str, Mapping[str, type]] = {
    "lot": {"rest_order": str},
    "header": {"checkpoint": str, "log": dict, "scope": str},
    "key": {"until": str},
    "log": {"day": dict},
}
"""Keys of a type that may be left out."""
