"""Figures of the whole platform as operators read them: key figures by day or month, and cohorts."""
