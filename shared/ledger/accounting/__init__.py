"""Journals of plain-text accounting (hledger, beancount) made from the entries of an export."""
