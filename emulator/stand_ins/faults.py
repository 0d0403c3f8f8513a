"""Faults of a provider's API on command: refuse, break after the effect, hang, answer slowly."""

import threading
from dataclasses import asdict, dataclass
from typing import Any

from emulator.stand_ins.wire import Request

WHEN = ("before", "after")
HOW = ("status", "reset", "hang", "slow")
HANG_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class Fault:
    """Order to misbehave.

    `seconds` is the time of a hanging or slow answer. `is_remembered` keeps a 500 as the answer of the idempotency key.
    """

    times: int = 1
    how: str = "status"
    status: int = 500
    when: str = "before"
    seconds: float = 0.0
    path: str = ""
    method: str = ""
    is_remembered: bool = False

    def __post_init__(self) -> None:
        if self.when not in WHEN or self.how not in HOW:
            raise ValueError(f"a fault comes {' or '.join(WHEN)}, as one of {', '.join(HOW)}")
        if self.how == "hang":
            self.seconds = self.seconds or HANG_SECONDS

    def fits(self, request: Request) -> bool:
        return self.path in request.path and self.method in {"", request.method}


NONE = Fault(times=0, how="slow")


class Faults:
    """Waiting orders to misbehave. A request uses the oldest order that fits."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []
        self._lock = threading.Lock()

    def order(self, fault: Fault) -> None:
        with self._lock:
            self._orders.append(fault)

    def take(self, request: Request) -> Fault:
        with self._lock:
            for fault in self._orders:
                if fault.fits(request):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._orders.remove(fault)
                    return fault
        return NONE

    def waiting(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._orders]

    def clear(self) -> None:
        with self._lock:
            self._orders.clear()
