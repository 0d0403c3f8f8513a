"""Address to which agents of a user pay: taken once, and again only if later coins would wait for an operator."""

from dataclasses import replace

from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.documents import Create, Document, Documents, OutcomeUnknown, PreconditionFailed, Put, Write
from shared.kernel.errors import Unavailable
from shared.kernel.ids import Uid
from shared.payments.chains.addresses import AddressRecord, address_path, from_data, to_data
from shared.payments.chains.agent_wallet import AgentWallet, wallet_data, wallet_from, wallet_path
from shared.payments.chains.networks import Family
from shared.sagas.payments.coin_terms import CoinTerms
from shared.sagas.payments.crypto_following import AddressFollower

EVM: Family = "evm"
ATTEMPTS_MAX = 5
LOOK_AGAIN: Millis = 10 * SECOND
"""Time for which an instance trusts that nothing was sent away from an address."""
LOOKS_KEPT_MAX = 10_000


class AgentWalletBusy(Unavailable):
    """Many callers take the address of one user at the same time. Try again."""

    code = "agent_wallet_busy"

    def __init__(self) -> None:
        super().__init__("This account is being worked on; ask again shortly.")


class AgentWallets:
    """Wallets of users' agents. Safe to share between threads."""

    def __init__(self, documents: Documents, terms: CoinTerms, follower: AddressFollower, clock: Clock) -> None:
        self._documents = documents
        self._terms = terms
        self._follower = follower
        self._clock = clock
        self._looked: dict[int, Millis] = {}

    def wallet(self, uid: Uid) -> AgentWallet:
        """Return the wallet of a user. The first call takes an index; so does one at an address that is unfit.

        A later coin would wait for an operator there: coins were sent away, or a listed sender has paid. Raises
        AddressKeyMissing, AddressesDisagree, IndicesBusy, AgentWalletBusy.
        """
        for _ in range(ATTEMPTS_MAX):
            found = self._documents.get(wallet_path(uid))
            known = None if found is None else wallet_from(found.data)
            if known is not None and not self._is_unfit(known):
                return known
            made = self._made(uid, found)
            if made is not None:
                return made
        raise AgentWalletBusy

    def read(self, uid: Uid) -> Document | None:
        """Return the document of a wallet; None if the user has none."""
        return self._documents.get(wallet_path(uid))

    def address(self, uid: Uid) -> AddressRecord | None:
        """Return the user's address with the orders; None for a user without an address."""
        found = self._documents.get(wallet_path(uid))
        return None if found is None else self._record(wallet_from(found.data).index)

    def _made(self, uid: Uid, found: Document | None) -> AgentWallet | None:
        """Store a wallet with a new address, and return the wallet. None if somebody else did: read again."""
        index, address = self._terms.new_address(EVM)
        wallet = AgentWallet(uid=uid, index=index, address=address)
        if found is not None:
            wallet = replace(wallet_from(found.data), index=index, address=address)
        record = AddressRecord(
            uid=uid,
            family=EVM,
            index=index,
            address=address,
            payment="",
            opened_at=self._clock.now(),
            is_for_agents=True,
        )
        path, data = wallet_path(uid), wallet_data(wallet)
        stored: Write = Create(path, data) if found is None else Put(path, data, found.version)
        try:
            self._documents.commit([stored, Create(record.path, to_data(record))])
        except PreconditionFailed:
            now_at = self._documents.get(path)
            if now_at is not None and (found is None or now_at.version != found.version):
                self._terms.give_back(EVM, index)  # else the address itself was taken: nobody may get the index
            return None
        except OutcomeUnknown:
            return None
        return wallet

    def _is_unfit(self, wallet: AgentWallet) -> bool:
        """Return True if an operator would have to look at later coins: some were sent away, or are under review.

        An address with coins is looked at now and then.
        """
        record = self._record(wallet.index)
        if record is None:
            return True
        now = self._clock.now()
        if record.has_coins and now >= self._looked.get(wallet.index, -LOOK_AGAIN) + LOOK_AGAIN:
            if len(self._looked) >= LOOKS_KEPT_MAX:
                self._looked.clear()
            self._looked[wallet.index] = now
            record = self._follower.follow(EVM, wallet.index).record
        return bool(record.swept) or any(claim.review for _, claim in record.claims())

    def _record(self, index: int) -> AddressRecord | None:
        document = self._documents.get(address_path(EVM, index))
        return None if document is None else from_data(document.data)
