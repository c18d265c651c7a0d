"""The one exception for input that the user can mend."""


class InputError(ValueError):
    """Bad input from the user: one sentence that says what, where, what is allowed and how to mend it.

    The command line prints its message on stderr and leaves with exit code 2, without a traceback.
    """
