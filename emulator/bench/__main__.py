"""`make bench`: everything, or the parts that are named; with `--against REF`, this tree beside another."""

import argparse
import sys

from emulator.bench import against, agents, chat, coins, ledger, payments, receipts, starts, verify, windows
from emulator.problems import LaptopProblem

PARTS = {
    "starts": starts.main,
    "ledger": ledger.main,
    "chat": chat.main,
    "windows": windows.main,
    "agents": agents.main,
    "payments": payments.main,
    "coins": coins.main,
    "verify": verify.main,
    "receipts": receipts.main,
}


def main(arguments: list[str]) -> int:
    """Run the named parts of the benchmark in order, or compare them with another tree. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m emulator.bench", description="Speed and memory as ratios.")
    parser.add_argument("--against", metavar="REF", help="a commit, branch or tag to compare with")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    chosen = parser.parse_args(arguments)
    try:
        if chosen.against:
            return against.main(chosen.against, chosen.parts)
        if unknown := [name for name in chosen.parts if name not in PARTS]:
            raise LaptopProblem(f"PART names {', '.join(unknown)}; there are {', '.join(PARTS)}.")
        for name in chosen.parts or PARTS:
            print(f"\n## {name}\n", flush=True)
            PARTS[name]()
    except LaptopProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
