"""The embedded task: grammatical acceptability on minimal pairs, made on the spot from a grammar.

It needs no download and, by construction, cannot be solved by looking at words:

- Every sentence has a partner made of the same words in another order; one is acceptable and the
  other is not. The best bag-of-words classifier of a split of whole pairs has only zero weights.
- Train and dev draw their open-class words from the two halves of a lexicon, shuffled by the seed:
  they share no lemma. Only function words (``FUNCTION_WORDS``) are in both.
"""

from collections.abc import Collection
from random import Random
from types import MappingProxyType

from pats._errors import InputError
from pats.tasks._data import Split, TaskData
from pats.tasks._task import Asked, Task
from pats.tasks.grammar.lexicon import ENGLISH, Lexicon
from pats.tasks.grammar.phenomena import FUNCTION_WORDS, MIRRORED, PHENOMENA, Draw, Pair

__all__ = [
    "ENGLISH",
    "FUNCTION_WORDS",
    "LABELS",
    "MAX_SIZE",
    "MIN_SIZE",
    "MIRRORED",
    "PHENOMENA",
    "Grammar",
    "load",
]

LABELS = ("unacceptable", "acceptable")
MIN_SIZE = 2 * len(PHENOMENA)
"""The fewest sentences of a split: one pair of every phenomenon."""
MAX_SIZE = 20_000
"""The most sentences of a split; beyond it, half the lexicon would repeat itself too much."""


class Grammar(Task):
    """The embedded task by its name."""

    name = "grammar"
    labels = LABELS
    metrics = ("accuracy", "matthews")
    options = MappingProxyType({"size": 1000, "dev_size": 500, "seed": 0})

    @property
    def title(self) -> str:
        """What messages call it."""
        return "the embedded task"

    def embedded(self, asked: Asked) -> TaskData:
        """Make it of the sizes and with the seed that were asked for."""
        given = {**self.options, **asked.options}
        return load(given["size"], given["dev_size"], given["seed"])


def load(
    size: int = Grammar.options["size"],
    dev_size: int = Grammar.options["dev_size"],
    seed: int = Grammar.options["seed"],
    *,
    mirrored: Collection[str] = MIRRORED,
) -> TaskData:
    """Make the task.

    Rows ``2i`` and ``2i + 1`` of a split are a minimal pair, the acceptable sentence first; pairs
    cycle through the phenomena. No sentence occurs twice, and a smaller split is the start of a
    larger one. An even size has as many acceptable as unacceptable sentences, an odd one has one
    more acceptable sentence, the partner of which is in neither split.

    Args:
        size: Number of sentences in ``train``.
        dev_size: Number of sentences in ``dev``.
        seed: Decides the words of each split and every sentence; the same arguments give the same
            task in every process. Another seed divides the lexicon differently, so only splits of the
            same seed are without common lemmas.
        mirrored: Phenomena that occur in both of their forms, so that the order of a few function
            words or of the two numbers or genders alone does not decide. The more, the harder.

    Returns:
        Splits ``train`` and ``dev`` with ``group``, the phenomenon of every sentence; the metric is
        accuracy, and Matthews correlation is reported beside it.

    Raises:
        InputError: A size is below ``MIN_SIZE`` or above ``MAX_SIZE``, or ``mirrored`` names no
            phenomenon of the task.
    """
    unknown = sorted(set(mirrored) - PHENOMENA.keys())
    if unknown:
        raise InputError(
            f"mirrored={unknown} names no phenomenon of the task 'grammar': "
            f"choose from {', '.join(PHENOMENA)}"
        )
    train, dev = ENGLISH.halves(Random(f"grammar:{seed}:lexicon"))
    splits = {
        "train": _split("size", size, train, Random(f"grammar:{seed}:train"), mirrored),
        "dev": _split("dev_size", dev_size, dev, Random(f"grammar:{seed}:dev"), mirrored),
    }
    return Grammar().made(splits, "embedded")


def _split(argument: str, size: int, words: Lexicon, rng: Random, mirrored: Collection[str]) -> Split:
    """A split of so many sentences over these words."""
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(
            f"{argument}={size} is not possible for the task 'grammar': choose a whole number from "
            f"{MIN_SIZE}, a pair for each of its {len(PHENOMENA)} phenomena, to {MAX_SIZE}, "
            f"what its lexicon gives without repetition"
        )
    text: list[str] = []
    group: list[str] = []
    seen: set[str] = set()
    names = tuple(PHENOMENA)
    while len(text) < size:
        name = names[len(text) // 2 % len(names)]
        pair = _written(PHENOMENA[name](Draw(words, rng, name in mirrored)))
        if seen.isdisjoint(pair):
            seen.update(pair)
            text += pair
            group += [name] * 2
    label = tuple(float(row % 2 == 0) for row in range(size))
    return Split(tuple(text[:size]), label=label, group=tuple(group[:size]))


def _written(pair: Pair) -> tuple[str, ...]:
    """The sentences with a capital and, unless they are questions, a full stop."""
    return tuple(
        sentence[0].upper() + sentence[1:] + ("" if sentence.endswith("?") else ".") for sentence in pair
    )
