"""`make bench`: everything, or the parts that are named: `starts`, `ledger`, `chat`, `agents`, `payments`."""

import sys

from emulator.bench import agents, chat, ledger, payments, starts

PARTS = {
    "starts": starts.main,
    "ledger": ledger.main,
    "chat": chat.main,
    "agents": agents.main,
    "payments": payments.main,
}


def main(names: list[str]) -> int:
    """Run the parts, in order."""
    for name in names or PARTS:
        print(f"\n## {name}\n", flush=True)
        PARTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
