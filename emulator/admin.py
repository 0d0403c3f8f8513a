"""`make admin EMAIL=…`: the command that makes the first administrator, pointed at the running laptop."""

import sys

from emulator.command import ENDPOINTS, run


def main() -> int:
    if not ENDPOINTS.exists() or not sys.argv[1:] or not sys.argv[1]:
        print("Start the backend with `make run`, sign up there, then: make admin EMAIL=you@example.com")
        return 1
    return run(["first-admin", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
