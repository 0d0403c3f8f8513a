"""Ports: which are free, which are taken."""

import contextlib
import random
import socket
from collections.abc import Iterable, Mapping

from emulator.problems import LaptopProblem

LOOPBACK = "127.0.0.1"
CHOSEN_FROM = range(20_000, 32_000)
"""Below the ports that systems give to connections and to listeners that name none: until whoever a port was chosen for
listens there, nobody else comes to have it by chance."""
TRIES_MAX = 500


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """One free port for each name; all are held open until the last is chosen, so that no two are the same."""
    with contextlib.ExitStack() as stack:
        return {name: _bound(stack.enter_context(socket.socket())) for name in names}


def _bound(listener: socket.socket) -> int:
    """The port that it is bound to now."""
    for port in random.SystemRandom().sample(CHOSEN_FROM, TRIES_MAX):
        with contextlib.suppress(OSError):
            listener.bind((LOOPBACK, port))
            return port
    raise LaptopProblem(f"No port between {CHOSEN_FROM.start} and {CHOSEN_FROM.stop} is free on this machine.")


def is_taken(port: int) -> bool:
    """True if somebody listens there already, on any address of this machine."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError:
            return True
    return False


def require_free(ports: Mapping[str, int]) -> None:
    taken = [f"{port} ({name})" for name, port in ports.items() if is_taken(port)]
    if taken:
        message = (
            f"Taken already: port {', '.join(taken)}. Stop what listens there (`lsof -i :PORT` names it; an earlier "
            "`make run` perhaps), or choose others with EMULATOR_PORTS, e.g. EMULATOR_PORTS=firestore=8180,auth=9199."
        )
        raise LaptopProblem(message)
