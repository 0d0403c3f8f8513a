"""Public Suffix List (`publicsuffixlist`) and a list of disposable domains (`disposable-email-domains`)."""

from functools import cached_property
from typing import Any


class PackagedDomainLists:
    """Domain lists as the pinned packages ship them, without network. Each list is loaded at its first use."""

    def registrable(self, domain: str) -> str:
        """Return the part of `domain` that somebody registered: `a.b.example.co.uk` → `example.co.uk`.

        See `DomainLists.registrable`.
        """
        found: str | None = self._suffixes.privatesuffix(domain)
        return found or domain

    def is_disposable(self, domain: str) -> bool:
        """Return True if `domain`, or a domain above it, gives out throw-away addresses.

        See `DomainLists.is_disposable`.
        """
        labels = domain.split(".")
        return any(".".join(labels[first:]) in self._disposable for first in range(len(labels)))

    @cached_property
    def _suffixes(self) -> Any:
        """Return the suffixes of registries only.

        Names below a hoster's domain are free, so that domain counts as one.
        """
        from publicsuffixlist import PublicSuffixList

        return PublicSuffixList(only_icann=True)

    @cached_property
    def _disposable(self) -> frozenset[str]:
        from disposable_email_domains import blocklist

        return frozenset(blocklist)
