"""The public web in memory: pages by their URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.ai.web import FetchFailed, Page, checked_url


@dataclass(slots=True)
class MemoryWeb:
    """Knows these pages and no other; URLs are checked as everywhere."""

    pages: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def fetch(self, url: str) -> Page:
        """See `Web.fetch`."""
        found = checked_url(url).url
        self.asked.append(found)
        if found not in self.pages:
            raise FetchFailed("unreachable", "The host could not be reached.")
        return Page(url=found, title="", text=self.pages[found], content_type="text/plain", is_truncated=False)
