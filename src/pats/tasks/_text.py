"""What texts that look alike have in common, and how to show where they differ."""

import unicodedata

LONGEST = 60  # characters of a text that is shown

# Without any ink, though their categories hold visible characters as well.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def key(text: str) -> str:
    """The text in one Unicode form (NFKC), without case, invisible characters and extra blanks."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    folded = folded.casefold().translate(_WITHOUT_INVISIBLE)
    return " ".join((folded if folded.isascii() else unicodedata.normalize("NFKC", folded)).split())


def shown(text: str) -> str:
    r"""The text in quotes; blanks but the plain one, invisible and combining characters as ``\u0301``."""
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return "'" + "".join(ascii(c)[1:-1] if c == "\\" or _hidden(c) else c for c in text) + "'"


def _hidden(character: str) -> bool:
    blank = character.isspace() and character != " "
    return blank or _invisible(character) or unicodedata.category(character) in ("Mn", "Me")


def _invisible(character: str) -> bool:
    selector = any(ord(character) in codes for codes in _SELECTORS)
    return selector or character in _BLANK or unicodedata.category(character) in ("Cc", "Cf")


class _Kept(dict[int, int | None]):
    """For ``str.translate``: None for an invisible character, filled as characters are met."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        self[code] = None if _invisible(character) and not character.isspace() else code
        return self[code]


_WITHOUT_INVISIBLE = _Kept()
