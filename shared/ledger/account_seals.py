"""Seals of accounts: the signed fields of an account's sealed document, and the check of stored documents."""

from shared.kernel.canonical import INTEGER_MAX
from shared.kernel.documents import Data
from shared.kernel.ids import Uid
from shared.ledger.account import Account, check
from shared.ledger.account_documents import StoredAccount, is_told, seal_message, sweep_fields
from shared.ledger.codec import decode_account, encode_account
from shared.ledger.errors import UNREADABLE, IntegrityFailed
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import RETIRED_KEY, SEAL_CONTEXT


class AccountSeals:
    """Signer of the sealed documents of one ledger, and checker of stored accounts."""

    def __init__(self, keys: KeyRing, ledger: str, *, is_retired_taken: bool = False) -> None:
        """Take the keys. `is_retired_taken`: seals of retired keys count, for accounts that were verified just now."""
        self._is_retired_taken = is_retired_taken
        self._keys = keys
        self._ledger = ledger

    def data(self, account: Account, number: int, nonce: str) -> Data:
        """Return the fields of the sealed document for commit `number` of the account, named `nonce`."""
        state, kid = encode_account(account), self._keys.kid
        seal = self._keys.sign(SEAL_CONTEXT, seal_message(self._ledger, account.uid, number, nonce, state), kid)
        return {
            **sweep_fields(account),
            "state": state,
            "seal": f"{kid}:{seal}",
            "version": number,
            "nonce": nonce,
        }

    def broken_rule(self, uid: Uid, stored: StoredAccount) -> str | None:
        """Return the law that an account's documents break; None if none.

        The law is one of `seal`, `retired_key`, `state`, `identity`, `plain_balance`.
        Raises UnknownKey when the seal's key is not known here yet.
        """
        try:
            account = self.account(uid, {} if stored.state is None else stored.state.data)
        except IntegrityFailed as failure:
            return str(failure.params["rule"])
        return None if is_told(stored, account) else "plain_balance"

    def account(self, uid: Uid, data: Data) -> Account:
        """Return the state in the fields of an account's sealed document.

        Raises IntegrityFailed with the rule `seal`, `retired_key`, `state` or `identity`, and UnknownKey.
        """
        number, nonce, state = _int(data.get("version")), str(data.get("nonce")), str(data.get("state"))
        rule = "seal"
        if abs(number) <= INTEGER_MAX:
            rule = self._seal_rule(seal_message(self._ledger, uid, number, nonce, state), data) or ""
        if rule:
            raise IntegrityFailed(uid=uid, seq=0, rule=rule)
        try:
            account = decode_account(state)
            check(account)
        except UNREADABLE as error:
            raise IntegrityFailed(uid=uid, seq=0, rule="state") from error
        if (account.ledger, account.uid) != (self._ledger, uid):
            raise IntegrityFailed(uid=uid, seq=0, rule="identity")
        return account

    def _seal_rule(self, message: bytes, data: Data) -> str | None:
        seal = data.get("seal")
        kid, colon, signature = seal.partition(":") if isinstance(seal, str) else ("", "", "")
        rule = self._keys.seal_rule(SEAL_CONTEXT, message, kid=kid, signature=signature) if colon else "seal"
        return None if self._is_retired_taken and rule == RETIRED_KEY else rule


def _int(value: object) -> int:
    return value if isinstance(value, int) else -1
