"""Contracts of the tests: their compiled forms, and the data of calls to them."""

import json
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types, get_abi_output_types

from emulator.tools import ROOT

FOLDER = ROOT / "emulator" / "chains" / "contracts"


@dataclass(frozen=True, slots=True)
class Form:
    """Compiled form of a contract. `deploy` makes a contract with a constructor; `code` is what stands on the chain."""

    name: str
    deploy: str
    code: str
    abi: list[Any]

    def deployment(self, *values: Any) -> str:
        """Return the data of the transaction that makes this contract."""
        types = next((get_abi_input_types(each) for each in self.abi if each["type"] == "constructor"), [])
        return self.deploy + encode(types, values).hex()

    def call(self, method: str, *values: Any) -> str:
        """Return the data of a call."""
        found = self._method(method)
        return f"0x{function_abi_to_4byte_selector(found).hex()}{encode(get_abi_input_types(found), values).hex()}"

    def result(self, method: str, data: str) -> Any:
        """Return the values in the answer of a call: the value itself if there is one."""
        values = decode(get_abi_output_types(self._method(method)), bytes.fromhex(data.removeprefix("0x")))
        return values[0] if len(values) == 1 else values

    def _method(self, name: str) -> Any:
        return next(each for each in self.abi if each["type"] == "function" and each["name"] == name)


def form(name: str) -> Form:
    """Return the compiled form of `contracts/{name}.vy`."""
    read = json.loads((FOLDER / f"{name}.json").read_text())
    return Form(name, read["deploy"], read["code"], read["abi"])
