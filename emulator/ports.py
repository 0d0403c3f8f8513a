"""Ports: which are free, which are taken."""

import contextlib
import socket
from collections.abc import Iterable, Mapping

from emulator.problems import LaptopProblem

LOOPBACK = "127.0.0.1"


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """One free port for each name; all are held open until the last is chosen, so that no two are the same."""
    with contextlib.ExitStack() as stack:
        ports = {}
        for name in names:
            listener = stack.enter_context(socket.socket())
            listener.bind((LOOPBACK, 0))
            ports[name] = int(listener.getsockname()[1])
        return ports


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
