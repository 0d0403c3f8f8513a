"""Lists of domains that packages keep: public suffixes, and providers of throw-away addresses."""
