"""Parts for crypto payments: networks, addresses, quotes, and the watch over the chains."""

from dataclasses import dataclass

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.payments import PaymentServices
from shared.bootstrap.ports import Ports
from shared.bootstrap.users import UserServices
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings


@dataclass(eq=False)
class CryptoServices:
    """Parts for crypto payments: networks, addresses, quotes, and the watch over the chains."""

    settings: Settings
    clock: Clock
    ports: Ports
    credits: CreditServices
    users: UserServices
    payments: PaymentServices
