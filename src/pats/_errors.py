"""The one exception for input that the user can mend, and the names that its messages propose."""

from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from the user: one sentence that says what, where, what is allowed and how to mend it.

    The command line prints its message on stderr and leaves with exit code 2, without a traceback.

    Source: PATS's own.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that is most like a refused one, to be put behind that in a message.

    Args:
        name: The refused name.
        known: The names that there are; upper and lower case count as the same.

    Returns:
        Such as ``" (did you mean 'cola'?)"``; nothing where no name is alike.
    """
    from difflib import get_close_matches  # here, because it is needed after a mistake alone

    names = {one.casefold(): one for one in known}
    alike = get_close_matches(name.casefold(), names, n=1, cutoff=0.7)
    return f" (did you mean {names[alike[0]]!r}?)" if alike else ""
