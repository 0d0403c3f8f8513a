"""Public web in memory: pages by their URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.ai.agents.web import FetchFailed, WebPage, checked_url, require_named


@dataclass(slots=True)
class MemoryWeb:
    """Web with these pages only.

    URLs are checked as in `PublicWeb`. `moved` maps a URL to the target of its redirect.
    """

    pages: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def fetch(self, url: str, hosts: frozenset[str] | None = None) -> WebPage:
        """Return the page of this web at `url`; see `Web.fetch`. Raises FetchFailed."""
        target = checked_url(url)
        require_named(target, hosts)
        found = target.url
        self.asked.append(found)
        if found in self.moved:
            return self.fetch(self.moved[found], hosts)
        if found not in self.pages:
            raise FetchFailed("unreachable", "The host could not be reached.")
        return WebPage(url=found, title="", text=self.pages[found], content_type="text/plain", is_truncated=False)
