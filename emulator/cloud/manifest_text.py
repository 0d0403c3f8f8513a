"""Parts of functions.yaml: one function's manifest for a deployment, and the whole for the emulator.

The text is cut and joined, not parsed: the deployment runs with any Python, whose standard library reads no YAML. Tests
compare the results with what a YAML parser reads.
"""

import re
from collections.abc import Iterable, Mapping

INGRESS_OPEN = "ALLOW_ALL"
INGRESS_BALANCED = "ALLOW_INTERNAL_AND_GCLB"
"""Ingress of the API behind a load balancer: nothing else can call it, so nobody forges the client's address."""
PARAMS_OF_LAPTOP = {"REGION": "us-central1", "MIN_INSTANCES": "0"}
ENDPOINTS = "endpoints:\n"
PARAMS_BLOCK = re.compile(r"^params:\n(?: .*\n)+\n", re.MULTILINE)
ROLES_BLOCK = re.compile(r"^requiredRoles:\n(?: .*\n)+", re.MULTILINE)
SECRETS_BLOCK = re.compile(r"^    secretEnvironmentVariables:\n(?:      .*\n)+", re.MULTILINE)
PARAM = re.compile(r'"?\{\{ params\.(\w+) \}\}"?')
PARAM_DEFAULT = re.compile(r"^  - name: (\w+)\n(?:    .*\n)*?    default: (.*)\n", re.MULTILINE)


def function_manifest(
    text: str, function: str, *, secrets: Iterable[str], roles: Iterable[str], is_behind_load_balancer: bool
) -> str:
    """Return the manifest with one function alone, with these secrets and roles."""
    head, _, _ = text.partition(ENDPOINTS)
    head = ROLES_BLOCK.sub(lambda _: block_list("requiredRoles:", roles, ""), head)
    block = SECRETS_BLOCK.sub(
        lambda _: block_list("    secretEnvironmentVariables:", secrets, "key: "), _block(text, function)
    )
    if is_behind_load_balancer:
        block = block.replace(f"ingressSettings: {INGRESS_OPEN}", f"ingressSettings: {INGRESS_BALANCED}")
    return f"{head}{ENDPOINTS}{block}"


def laptop_manifest(text: str) -> str:
    """Return the manifest for the emulator: without accounts and secrets, which the laptop's environment holds."""
    for block in (PARAMS_BLOCK, ROLES_BLOCK, SECRETS_BLOCK):
        text = block.sub("", text)
    return PARAM.sub(lambda found: PARAMS_OF_LAPTOP[found[1]], text)


def param_defaults(text: str) -> Mapping[str, str]:
    """Return the default of each param by name."""
    return dict(PARAM_DEFAULT.findall(text))


def _block(text: str, function: str) -> str:
    found = re.search(rf"^  {function}:\n(?:    .*\n)+", text, re.MULTILINE)
    assert found is not None, "a test holds the manifest to the functions"
    return found[0]


def block_list(title: str, items: Iterable[str], prefix: str) -> str:
    """Return a list of YAML; nothing for an empty list, which the Firebase CLI reads as a null."""
    indent = " " * (len(title) - len(title.lstrip()) + 2)
    lines = "".join(f"{indent}- {prefix}{item}\n" for item in items)
    return f"{title}\n{lines}" if lines else ""
