"""Errors of a laptop. Each message is one sentence that says how to remove the cause."""


class LaptopProblem(Exception):
    """Error about this machine. The message says the change that the user must make first."""
