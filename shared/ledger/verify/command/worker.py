"""Process that checks units of an export: jobs on standard input, answers on standard output. See `workers`."""

import sys

import orjson

from shared.ledger.verify.command.checker import UnitChecker


def main() -> int:
    """Do jobs until the input ends, or until nobody reads the answers."""
    checker = UnitChecker()
    jobs, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := jobs.readline():
        job = orjson.loads(line)
        data = jobs.read(job["size"])
        try:
            answers.write(orjson.dumps(checker.do(job["name"], job, data)) + b"\n")
            answers.flush()
        except BrokenPipeError:
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
