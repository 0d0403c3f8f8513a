"""Routes that are matched and never built: no answer names an address by its route.

werkzeug compiles two functions per route that build addresses, in half of the time that the application takes to be
made. Each cold start waits for that.
"""

from collections.abc import Callable

from werkzeug.routing import Rule


class MatchedRule(Rule):
    """A route of which no address can be built."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: FBT001, FBT002  werkzeug's
        return _refuse


def _refuse(rule: Rule, **values: object) -> tuple[str, str]:
    """Raise NotImplementedError: an address is written out instead."""
    raise NotImplementedError(f"{rule.rule} is matched, not built; values: {sorted(values)}")
