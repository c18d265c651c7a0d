"""What a run raises that was asked to stop."""


class Stopped(Exception):
    """The run was asked to stop before its end, and has a checkpoint to continue from."""
