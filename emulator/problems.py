"""What can go wrong on a laptop, each said in one sentence that tells what to do."""


class LaptopProblem(Exception):
    """Something about this machine must be changed first; the message says what."""
