"""Processes that listen on a port of this machine, as far as this user may see them."""

import contextlib
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

PROC = Path("/proc")
TABLES = ("tcp", "tcp6")
LISTENING = "0A"  # the state's number in those tables
LSOF_SECONDS_MAX = 10
COMMAND_LENGTH_MAX = 80


def listeners(ports: Collection[int]) -> dict[int, set[int]]:
    """Return the processes that listen on each of these ports. An empty set: somebody whom this user may not see.

    A port on which nobody listens is left out.
    """
    if not (PROC / "net" / "tcp").exists():
        return _listeners_by_lsof(ports)
    sockets = {inode: port for inode, port in _listening_sockets() if port in ports}
    found: dict[int, set[int]] = {port: set() for port in sockets.values()}
    if sockets:
        for pid, inode in _open_sockets():
            if inode in sockets:
                found[sockets[inode]].add(pid)
    return found


def strangers(ports: Mapping[str, int], family: Collection[int]) -> dict[str, set[int]]:
    """Return the names of the ports on which somebody listens who is not of the family, with those processes."""
    found = listeners(ports.values())
    known = {name: found[port] for name, port in ports.items() if port in found}
    return {name: pids for name, pids in known.items() if not pids & set(family)}


def named(pids: Collection[int]) -> str:
    """Return these processes for a sentence: ` by java -jar x (process 12)`, or nothing where none is known."""
    known = [f"{_command(pid)} (process {pid})" for pid in sorted(pids)]
    return f" by {', '.join(known)}" if known else ""


def _command(pid: int) -> str:
    """Return the command line of a process, cut to COMMAND_LENGTH_MAX."""
    try:
        listing = subprocess.run(
            ["ps", "-p", str(pid), "-ww", "-o", "command="],
            capture_output=True,
            text=True,
            timeout=LSOF_SECONDS_MAX,
            check=False,
        )
    except OSError:
        return "a program"
    return listing.stdout.strip()[:COMMAND_LENGTH_MAX] or "a program"


def _listening_sockets() -> Iterator[tuple[str, int]]:
    """Yield the inode and the port of each socket that listens."""
    for table in TABLES:
        with contextlib.suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING:
                    yield fields[9], int(fields[1].rpartition(":")[2], 16)


def _open_sockets() -> Iterator[tuple[int, str]]:
    """Yield each process with the inode of each of its open sockets."""
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            for entry in (folder / "fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(entry.readlink())
                    if target.startswith("socket:["):
                        yield int(folder.name), target[len("socket:[") : -1]


def _listeners_by_lsof(ports: Collection[int]) -> dict[int, set[int]]:
    """Ask `lsof`, where there is no /proc. Return nothing if that is not there either."""
    try:
        listing = subprocess.run(
            ["lsof", "-nP", "-iTCP", "-sTCP:LISTEN", "-Fpn"],
            capture_output=True,
            text=True,
            timeout=LSOF_SECONDS_MAX,
            check=False,
        )
    except OSError:
        return {}
    found: dict[int, set[int]] = {}
    pid = 0
    for line in listing.stdout.splitlines():
        port = line.rpartition(":")[2]
        if line.startswith("p"):
            pid = int(line[1:])
        elif line.startswith("n") and port.isdecimal() and int(port) in ports:
            found.setdefault(int(port), set()).add(pid)
    return found
