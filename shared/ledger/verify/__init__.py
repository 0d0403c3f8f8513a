"""Offline verification of exports: pure checks of lines, and the command that reads files and reports."""
