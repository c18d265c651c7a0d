"""What the user can mend: input, with names that its messages propose, and memory that ran out."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable

# What readers of zip and gzip files raise of a damaged one. A RuntimeError tells of a password, or, as
# NotImplementedError, of a compression that is none.
DAMAGED_ARCHIVE = (
    *(OSError, EOFError, ValueError, RuntimeError, struct.error),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


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


def out_of_memory(error: BaseException) -> str | None:
    """What to do where an exception says that memory ran out; None where it says something else.

    Python, torch on a GPU and torch on a CPU say it each in its own way.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        where = " on the GPU" if type(error).__name__ == "OutOfMemoryError" else ""
    elif isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error):
        where = ""
    else:
        return None
    return f"memory ran out{where}: lower the batch size, the maximum length or the number of runs at a time"
