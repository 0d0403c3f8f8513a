"""Keys of a verification: the keys that check signatures, and who vouches for them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from shared.ledger.keys import PublicKey, Verifier, from_base64
from shared.ledger.log.policy import MalformedPolicy, Policy, parse_policy

BY_KEYS_FILE = "keys file"
BY_POLICY = "policy"


class NotChecked(Exception):
    """Failure to check a file that cannot be read, is no export or holds no account. The message is a sentence."""


class UnsoundKeys(ValueError):
    """Refusal of keys that no ledger signs with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Trust that the caller brings: keys from a file with the id of their ledger, and a policy. Each may be missing."""

    keys: tuple[PublicKey, ...] | None = None
    keys_ledger: str | None = None
    policy: Policy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VouchedKey:
    """Key that checks signatures. `vouched_by` is None if nobody but the export itself names the key."""

    key: PublicKey
    vouched_by: str | None

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the raw public key, as `fingerprint` writes it."""
        return fingerprint(self.key.public_key)


def fingerprint(public_key: str) -> str:
    """Return `SHA256:` and the hash of a raw public key in hex, short to read aloud and to compare."""
    return f"SHA256:{hashlib.sha256(from_base64(public_key)).hexdigest()}"


def read_trust(keys_file: str | None, policy_file: str | None) -> Trust:
    """Read the files that the caller trusts. Raises NotChecked for a file of another kind."""
    keys, ledger = (None, None) if keys_file is None else _read_keys(keys_file)
    policy = None if policy_file is None else _read_policy(policy_file)
    return Trust(keys=keys, keys_ledger=ledger, policy=policy)


def exported_keys(told: Any) -> tuple[PublicKey, ...]:
    """Return the keys that JSON names. Raises UnsoundKeys if there is no key, or if a key cannot be read."""
    try:
        keys = tuple(PublicKey.from_json(each) for each in told)
        Verifier(keys)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnsoundKeys(f"the keys cannot be read: {error}") from error
    if not keys:
        raise UnsoundKeys("no key is named")
    return keys


def _read_keys(name: str) -> tuple[tuple[PublicKey, ...], str]:
    try:
        stored: Mapping[str, Any] = orjson.loads(Path(name).read_bytes())
        return exported_keys(stored["items"]), str(stored["ledger_id"])
    except (OSError, ValueError, KeyError, TypeError) as error:  # UnsoundKeys is a ValueError.
        raise NotChecked(f"{name} is not a saved answer of GET /v1/ledger/keys.") from error


def _read_policy(name: str) -> Policy:
    try:
        return parse_policy(Path(name).read_bytes())
    except OSError as error:
        raise NotChecked(f"The policy cannot be read: {error}.") from error
    except MalformedPolicy as error:
        raise NotChecked(f"{name} is not a policy (tlog-policy): {error}") from error
