"""What texts that look alike have in common, and how to show where they differ."""

import re
import unicodedata

LONGEST = 60  # characters of a text that is shown

# Control and format characters, variation selectors, and letters without any ink.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def key(text: str) -> str:
    """The text in one Unicode form (NFKC), without case, invisible characters and extra blanks."""
    folded = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def encodable(text: str) -> bool:
    """Whether a text has whole characters alone."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(text: str) -> str:
    r"""The text in quotes; blanks but the plain one, invisible and combining characters as ``\u0301``."""
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return "'" + "".join(ascii(c)[1:-1] if c == "\\" or _hidden(c) else c for c in text) + "'"


def _hidden(character: str) -> bool:
    blank = character.isspace() and character != " "
    combining = unicodedata.category(character) in ("Mn", "Me")
    return blank or combining or _INVISIBLE.match(character) is not None
