"""The Public Suffix List (`publicsuffixlist`) and a list of disposable domains (`disposable-email-domains`)."""

from functools import cached_property
from typing import Any


class PackagedDomainLists:
    """The lists as the pinned packages ship them: no network. Each is loaded when first asked for."""

    def registrable(self, domain: str) -> str:
        """See `DomainLists.registrable`."""
        found: str | None = self._suffixes.privatesuffix(domain)
        return found or domain

    def is_disposable(self, domain: str) -> bool:
        """See `DomainLists.is_disposable`."""
        labels = domain.split(".")
        return any(".".join(labels[first:]) in self._disposable for first in range(len(labels)))

    @cached_property
    def _suffixes(self) -> Any:
        """Return the suffixes of registries alone: the names below a hoster's domain are free to make, so are one."""
        from publicsuffixlist import PublicSuffixList

        return PublicSuffixList(only_icann=True)

    @cached_property
    def _disposable(self) -> frozenset[str]:
        from disposable_email_domains import blocklist

        return frozenset(blocklist)
