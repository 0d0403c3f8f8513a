"""Signer with a key in Cloud KMS (EC_SIGN_ED25519), by REST: one call for a signature, with checksums both ways.

https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys.cryptoKeyVersions/asymmetricSign
"""

import base64
import json
import threading
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from shared.kernel.events import log
from shared.kernel.small_answers import small_answer
from shared.ledger.log.notes import VerifierKey
from shared.ledger.log.signer import LogKeyUnavailable

API = "https://cloudkms.googleapis.com/v1"
SCOPE = "https://www.googleapis.com/auth/cloudkms"
ANSWER_SECONDS_MAX = 10.0
BYTES_MAX = 64 * 1024
OK = 200

Token = Callable[[], str]
"""Access token of the caller. Raises any error of the library that makes the token."""


class KmsSigner:
    """Signer whose secret never leaves Cloud KMS. Safe to share between threads.

    `key_version` is the full name of the version, `vkey` its public half as the settings pin it: no call reads the
    public key, so that a checkpoint costs one call.
    """

    def __init__(self, key_version: str, vkey: VerifierKey, *, token: Token | None = None, api: str = API) -> None:
        self._url = f"{api}/{key_version}:asymmetricSign"
        self._key_version = key_version
        self._vkey = vkey
        self._token = token or _DefaultToken()

    @property
    def vkey(self) -> VerifierKey:
        """Public half of the key; see `NoteSigner.vkey`."""
        return self._vkey

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature. Raises LogKeyUnavailable, also for an answer whose checksum is wrong.

        Ed25519 in Cloud KMS signs the data themselves, not a digest.
        """
        sent = {"data": base64.b64encode(message).decode(), "dataCrc32c": str(_crc32c(message))}
        answer = _asked(self._url, self._token, json.dumps(sent).encode())
        try:
            signature = base64.b64decode(answer["signature"], validate=True)
            is_whole = answer["verifiedDataCrc32c"] is True and int(answer["signatureCrc32c"]) == _crc32c(signature)
            is_ours = answer["name"] == self._key_version
        except (LookupError, TypeError, ValueError) as error:
            raise LogKeyUnavailable from error
        if not is_whole or not is_ours:
            raise LogKeyUnavailable
        return signature


class _DefaultToken:
    """Token of the credentials of this environment, made again when the last one ends."""

    def __init__(self) -> None:
        self._credentials: Any = None
        self._turn = threading.Lock()

    def __call__(self) -> str:
        import google.auth
        from google.auth.transport.requests import Request

        with self._turn:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[SCOPE])
            if not self._credentials.valid:
                self._credentials.refresh(Request())
            return str(self._credentials.token)


def kms_public_key(key_version: str, *, token: Token | None = None, api: str = API) -> bytes:
    """Return the 32 bytes of a version's public key. Raises LogKeyUnavailable, also for a key of another algorithm."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    answer = _asked(f"{api}/{key_version}/publicKey", token or _DefaultToken(), None)
    try:
        found = load_pem_public_key(str(answer["pem"]).encode())
    except (LookupError, TypeError, ValueError) as error:
        raise LogKeyUnavailable("Cloud KMS gave no public key.") from error
    if not isinstance(found, Ed25519PublicKey):
        raise LogKeyUnavailable("The key is of another algorithm than EC_SIGN_ED25519.")
    return found.public_bytes_raw()


def _asked(url: str, token: Token, content: bytes | None) -> Any:
    """Return the JSON of the answer to a POST of `content`, or a GET without.

    Raises LogKeyUnavailable for a refusal, and without an answer in time.
    """
    try:
        headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
        answer = small_answer(url, headers, seconds=ANSWER_SECONDS_MAX, bytes_max=BYTES_MAX, content=content)
        found = json.loads(answer.body)
    except (OSError, HTTPException, ValueError, RecursionError, _credentials_error()) as error:
        raise LogKeyUnavailable from error
    if answer.status != OK:
        log("log_key_refused", "ERROR", status=answer.status, reason=_reason_in(found))
        raise LogKeyUnavailable
    return found


def _credentials_error() -> type[Exception]:
    from google.auth.exceptions import GoogleAuthError

    found: type[Exception] = GoogleAuthError
    return found


def _reason_in(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    return str(error.get("status", "")) if isinstance(error, dict) else ""


def _crc32c(data: bytes) -> int:
    import google_crc32c

    return int(google_crc32c.value(data))
