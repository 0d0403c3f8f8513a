"""Ports: which are free, which are taken."""

import contextlib
import errno
import random
import socket
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping

from emulator.listeners import listeners, named
from emulator.problems import LaptopProblem

LOOPBACK = "127.0.0.1"
CHOSEN_FROM = range(20_000, 32_000)
"""Ports to choose from. They lie below the ports that systems give to connections and to nameless listeners.

So no other process takes a chosen port by chance before its own process listens.
"""
TRIES_MAX = 500
CONNECT_SECONDS_MAX = 2
GONE_SECONDS_MAX = 3
POLL_SECONDS = 0.1


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """Return one free port for each name.

    All ports are held open until the last is chosen, so that no two are the same.
    """
    with contextlib.ExitStack() as stack:
        return {name: _bound(stack.enter_context(socket.socket())) for name in names}


def _bound(listener: socket.socket) -> int:
    """Return the port to which the socket is bound."""
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


def is_answering(port: int) -> bool:
    """Return False if a connection to this port of this machine is refused: nobody listens there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=CONNECT_SECONDS_MAX):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return True


def require_free(ports: Mapping[str, int]) -> None:
    """Raise LaptopProblem if a process listens on one of these ports.

    A killed process keeps its ports for a moment, without a visible owner. Only then wait, at most GONE_SECONDS_MAX.
    """
    pause, deadline = threading.Event(), time.monotonic() + GONE_SECONDS_MAX
    while taken := {name: port for name, port in ports.items() if is_taken(port)}:
        found = listeners(taken.values())
        if any(found.values()) or time.monotonic() > deadline:
            raise LaptopProblem(taken_ports(taken, {name: found.get(port, set()) for name, port in taken.items()}))
        pause.wait(POLL_SECONDS)


@contextlib.contextmanager
def binding(name: str, port: int) -> Iterator[None]:
    """If the server inside finds this port taken, raise LaptopProblem with the port and its owner."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise LaptopProblem(taken_ports({name: port}, {name: listeners([port]).get(port, set())})) from error


def taken_ports(ports: Mapping[str, int], owners: Mapping[str, Collection[int]]) -> str:
    """Return the sentence that names these ports, and the processes that listen there, where they are known."""
    taken = ", ".join(f"{port} ({name}){named(owners.get(name, ()))}" for name, port in ports.items())
    return (
        f"Taken already: port {taken}. Stop what listens there (`lsof -i :PORT` names it; an earlier "
        "`make run` perhaps), or choose others with EMULATOR_PORTS, e.g. EMULATOR_PORTS=firestore=8180,auth=9199."
    )
