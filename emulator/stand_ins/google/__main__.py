"""Stand-in for Google's APIs as a program: prints what to set, and serves until Ctrl-C."""

import argparse
import threading

from emulator.stand_ins.google.server import GoogleStandIn


def main() -> None:
    """Serve a stand-in with one new project."""
    parser = argparse.ArgumentParser(prog="python -m emulator.stand_ins.google", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on this machine; 0 chooses a free one")
    parser.add_argument("--project", default="demo-rehearsal", help="id of the project that exists already")
    options = parser.parse_args()
    with GoogleStandIn(port=options.port) as google:
        google.add_project(options.project)
        for name, value in google.environment.items():
            print(f"export {name}='{value}'")
        print(f"# Project {options.project} exists. Ctrl-C ends the stand-in.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
