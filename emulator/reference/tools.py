"""Reference page of the agents' tools: name, scope, description, source file."""

from emulator.reference.markdown import page, source_link, table
from shared.bootstrap import in_memory
from shared.sagas.agents.toolbox import FOLDER, TOOLS

OPENING = """\
An agent task names its tools; every task has `plan`. *Scope* is the scope that an API key needs beside `agents`. The
description is the text that the model reads. The table in the code is
[`shared/sagas/agents/toolbox.py`](../../shared/sagas/agents/toolbox.py)."""


def tools_page() -> str:
    """Return the page, in the order of the code."""
    built = in_memory().agents.tools
    rows = [
        (
            f"`{entry.name}`",
            f"`{entry.scope}`" if entry.scope else "",
            built[entry.name].description,
            source_link(f"tools/{entry.name}.py", f"{FOLDER}.{entry.name}"),
        )
        for entry in TOOLS
    ]
    return page("Tools of agents", OPENING, table(("Tool", "Scope", "Description", "Code"), rows))
