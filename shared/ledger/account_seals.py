"""Seals of accounts: the signed fields of an account's sealed document, and the check of stored documents."""

from shared.kernel.canonical import INTEGER_MAX
from shared.kernel.documents import Data
from shared.kernel.ids import Uid
from shared.ledger.account import Account, check
from shared.ledger.account_documents import StoredAccount, is_told, seal_message, sweep_fields
from shared.ledger.codec import decode_account, encode_account
from shared.ledger.keys import SEAL_CONTEXT, KeyRing


class AccountSeals:
    """Signer of the sealed documents of one ledger, and checker of stored accounts."""

    def __init__(self, keys: KeyRing, ledger: str) -> None:
        self._keys = keys
        self._ledger = ledger

    def data(self, account: Account, number: int, nonce: str) -> Data:
        """Return the fields of the sealed document for commit `number` of the account, named `nonce`."""
        state = encode_account(account)
        seal = self._keys.sign(SEAL_CONTEXT, seal_message(self._ledger, account.uid, number, nonce, state))
        return {
            **sweep_fields(account),
            "state": state,
            "seal": f"{self._keys.kid}:{seal}",
            "version": number,
            "nonce": nonce,
        }

    def broken_rule(self, uid: Uid, stored: StoredAccount) -> str | None:
        """Return the law that an account's documents break: `seal`, `state`, `identity`, `plain_balance`; None if none.

        Raises UnknownKey when the seal's key is not known here yet.
        """
        data = {} if stored.state is None else stored.state.data
        number, nonce, state = _int(data.get("version")), str(data.get("nonce")), str(data.get("state"))
        if abs(number) > INTEGER_MAX or not self._is_sealed(
            seal_message(self._ledger, uid, number, nonce, state), data
        ):
            return "seal"
        try:
            account = decode_account(state)
            check(account)
        except (ValueError, KeyError, TypeError, AssertionError):
            return "state"
        if (account.ledger, account.uid) != (self._ledger, uid):
            return "identity"
        return None if is_told(stored, account) else "plain_balance"

    def _is_sealed(self, message: bytes, data: Data) -> bool:
        kid, colon, signature = str(data.get("seal")).partition(":")
        return bool(colon) and self._keys.is_signed(SEAL_CONTEXT, message, kid=kid, signature=signature)


def _int(value: object) -> int:
    return value if isinstance(value, int) else -1
