"""Compile the contracts of the tests and the look-up contract: `python -m emulator.chains.compiling VYPER`.

VYPER is the compiler's program, installed anywhere by `pip install vyper==0.4.3`. It is no requirement of this project:
the compiled forms are files of the repository, `emulator/chains/contracts/*.json` and
`shared/platform/evm/lookup_code.py`.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

from emulator.tools import ROOT

CONTRACTS = ROOT / "emulator" / "chains" / "contracts"
LOOKUP = ROOT / "emulator" / "chains" / "lookup.vy"
LOOKUP_CODE = ROOT / "shared" / "platform" / "evm" / "lookup_code.py"
WIDTH = 110


def main() -> None:
    """Compile all contracts with the compiler that the argument names."""
    vyper = sys.argv[1]
    for source in sorted(CONTRACTS.glob("*.vy")):
        deploy, code, abi = compiled(vyper, source, "bytecode,bytecode_runtime,abi")
        form = {"compiler": version(vyper), "deploy": deploy, "code": code, "abi": json.loads(abi)}
        source.with_suffix(".json").write_text(json.dumps(form, indent=1) + "\n")
    code, methods = compiled(vyper, LOOKUP, "bytecode_runtime,method_identifiers")
    LOOKUP_CODE.write_text(lookup_module(code, next(iter(json.loads(methods).items())), version(vyper)))


def compiled(vyper: str, source: Path, forms: str) -> list[str]:
    """Return the forms of a contract in their order."""
    done = subprocess.run([vyper, "-f", forms, str(source)], capture_output=True, text=True, check=True)
    return done.stdout.strip().split("\n")


def version(vyper: str) -> str:
    """Return the compiler's name and version."""
    done = subprocess.run([vyper, "--version"], capture_output=True, text=True, check=True)
    return f"vyper {done.stdout.strip()}"


def lookup_module(code: str, method: tuple[str, str], compiler: str) -> str:
    """Return the text of the module with the look-up contract's compiled form."""
    lines = "\n".join(f'    "{line}"' for line in textwrap.wrap(code, WIDTH))
    signature, selector = method
    return (
        f'"""Compiled form of `lookup.vy`: code at run time, by {compiler}; see emulator/chains/compiling.py."""\n\n'
        f"LOOKUP_CODE = (\n{lines}\n)\n"
        f'LOOKUP_SELECTOR = "{selector.removeprefix("0x")}"\n'
        f'"""First four bytes of the call\'s data: `{signature}`."""\n'
    )


if __name__ == "__main__":
    main()
