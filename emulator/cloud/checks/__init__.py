"""Checks of a Google project: one module for each part of the project, and a table of all."""
