"""What the embedded task tests: one function a phenomenon, each building one minimal pair.

A pair is an acceptable sentence and an unacceptable one made of the same words in another order:
no count of words distinguishes them. Every phenomenon has two forms. With one form alone, an order
of words can give the label away without the rule; mirrored, both forms occur, and in most
phenomena the order that mends the one spoils the other.
"""

from collections.abc import Callable
from random import Random
from typing import TypeVar

from pats.tasks.grammar.lexicon import Lexicon, listed

Pair = tuple[str, str]
W = TypeVar("W")

FUNCTION_WORDS = frozenset(
    listed(
        "the this these that those each many every several much what who no not ever near behind "
        "beside before after because while herself himself themselves has had is was did will would "
        "can could to and"
    )
)
"""Every closed-class word of the task; unlike the lexicon, the splits share them."""

_PLACES = ("near", "behind", "beside")
_CLAUSES = ("before", "after", "because", "while")
_MODALS = ("will", "would", "can", "could")
_DETERMINERS = (("this", "these"), ("that", "those"), ("every", "several"), ("each", "many"))


class Draw:
    """Random words of one lexicon for one pair, none of them twice.

    Args:
        words: The lexicon of the split.
        rng: Where every choice comes from.
        mirrored: Whether both forms of the phenomenon occur, or the first alone.
    """

    def __init__(self, words: Lexicon, rng: Random, mirrored: bool) -> None:
        self.words = words
        self.rng = rng
        self.mirrored = mirrored
        self.used: set[object] = set()

    def one(self, choices: tuple[W, ...]) -> W:
        """One of them that was not drawn before."""
        choice = self.rng.choice([word for word in choices if word not in self.used])
        self.used.add(choice)
        return choice

    def two(self, choices: tuple[W, ...]) -> tuple[W, W]:
        """Two different ones."""
        return self.one(choices), self.one(choices)

    def first_form(self) -> bool:
        """Whether to build the first form of the phenomenon."""
        return not self.mirrored or self.rng.random() < 0.5

    def person(self) -> str:
        """``the`` with a singular noun for a person."""
        return f"the {self.one(self.words.persons).singular}"

    def phrase(self) -> str:
        """A singular subject: a name or ``the`` with a noun."""
        named = self.rng.random() < 0.5
        return self.one(self.words.women + self.words.men) if named else self.person()

    def thing(self) -> str:
        """``the`` with a singular noun for an object."""
        return f"the {self.one(self.words.things).singular}"


def agreement(draw: Draw) -> Pair:
    """A verb agrees with its subject and not with the nearer noun of the other number."""
    one, many = draw.two(draw.words.persons)
    place, verb = draw.one(_PLACES), draw.one(draw.words.acts)
    single = f"the {one.singular} {place} the {many.plural}"
    plural = f"the {many.plural} {place} the {one.singular}"
    if draw.first_form():
        return f"{single} {verb.third}", f"{plural} {verb.third}"
    return f"{plural} {verb.base}", f"{single} {verb.base}"


def determiner(draw: Draw) -> Pair:
    """A determiner agrees with its noun: ``this lamp``, not ``this lamps``."""
    one, many = draw.one(_DETERMINERS)
    start = f"{draw.phrase()} {draw.one(draw.words.handlings).past}"
    first, second = draw.two(draw.words.things)
    place = draw.one(_PLACES)
    if draw.first_form():
        first_form, second_form, left, right = first.plural, second.singular, many, one
    else:
        first_form, second_form, left, right = first.singular, second.plural, one, many
    return (
        f"{start} {left} {first_form} {place} {right} {second_form}",
        f"{start} {right} {first_form} {place} {left} {second_form}",
    )


def reflexive_gender(draw: Draw) -> Pair:
    """A reflexive has the gender of the name that it refers to."""
    woman, man = draw.one(draw.words.women), draw.one(draw.words.men)
    hers, his = (
        f"{verb.past} {self}"
        for verb, self in zip(draw.two(draw.words.attitudes), ("herself", "himself"), strict=True)
    )
    if draw.first_form():
        return f"{woman} {hers} and {man} {his}", f"{man} {hers} and {woman} {his}"
    return f"{man} {his} and {woman} {hers}", f"{woman} {his} and {man} {hers}"


def reflexive_number(draw: Draw) -> Pair:
    """A reflexive has the number of its antecedent, whatever the number of the nearer noun."""
    female = draw.rng.random() < 0.5
    one, many = draw.two(draw.words.females if female else draw.words.males)
    place, verb = draw.one(_PLACES), draw.one(draw.words.attitudes).past
    single = f"the {one.singular} {place} the {many.plural} {verb}"
    plural = f"the {many.plural} {place} the {one.singular} {verb}"
    if draw.first_form():
        pronoun = "herself" if female else "himself"
        return f"{single} {pronoun}", f"{plural} {pronoun}"
    return f"{plural} themselves", f"{single} themselves"


def reflexive_command(draw: Draw) -> Pair:
    """A reflexive refers to the subject of its clause, never into a relative clause."""
    woman, man = draw.one(draw.words.females).singular, draw.one(draw.words.males).singular
    inner, outer = draw.two(draw.words.attitudes)
    hers = f"the {woman} that the {man} {inner.past} {outer.past}"
    his = f"the {man} that the {woman} {inner.past} {outer.past}"
    if draw.first_form():
        return f"{hers} herself", f"{his} herself"
    return f"{his} himself", f"{hers} himself"


def polarity(draw: Draw) -> Pair:
    """``ever`` needs a negation above it; one inside a relative clause does not reach it."""
    first, second = (noun.plural for noun in draw.two(draw.words.persons))
    view = f"{draw.phrase()} {draw.one(draw.words.knowings).past} that"
    attitude = draw.one(draw.words.attitudes)
    inner, outer = draw.two(_MODALS)
    end = f"ever {draw.one(draw.words.acts).base}"
    if draw.first_form():
        return (
            f"{view} no {first} that the {second} {attitude.past} {outer} {end}",
            f"{view} the {first} that no {second} {attitude.past} {outer} {end}",
        )
    return (
        f"{view} the {first} who {inner} {attitude.base} the {second} {outer} not {end}",
        f"{view} the {first} who {inner} not {attitude.base} the {second} {outer} {end}",
    )


def transitivity(draw: Draw) -> Pair:
    """Some verbs need an object and some take none."""
    subject, thing = draw.phrase(), draw.thing()
    act, handling = draw.one(draw.words.acts).past, draw.one(draw.words.handlings).past
    if draw.first_form():
        return f"{subject} {act} and {handling} {thing}", f"{subject} {handling} and {act} {thing}"
    return f"{subject} {handling} {thing} and {act}", f"{subject} {act} {thing} and {handling}"


def complement(draw: Draw) -> Pair:
    """A verb takes the infinitive or the gerund: ``hoped to fix``, ``enjoyed fixing``."""
    subject = draw.phrase()
    plan, habit = draw.one(draw.words.plans).past, draw.one(draw.words.habits).past
    to, ing = draw.two(draw.words.handlings)
    infinitive, gerund = f"to {to.base} {draw.thing()}", f"{ing.gerund} {draw.thing()}"
    if draw.first_form():
        return (
            f"{subject} {plan} {infinitive} and {habit} {gerund}",
            f"{subject} {habit} {infinitive} and {plan} {gerund}",
        )
    return (
        f"{subject} {habit} {gerund} and {plan} {infinitive}",
        f"{subject} {plan} {gerund} and {habit} {infinitive}",
    )


def island(draw: Draw) -> Pair:
    """A question word cannot leave an adverbial clause or a relative clause."""
    first, second = draw.phrase(), draw.person()
    one, two = draw.two(draw.words.handlings)
    thing, clause = draw.thing(), draw.one(_CLAUSES)
    if draw.first_form():
        return (
            f"what did {first} {one.base} {clause} {second} {two.past} {thing}?",
            f"what did {first} {one.base} {thing} {clause} {second} {two.past}?",
        )
    return (
        f"what did {second} who {two.past} {thing} {one.base}?",
        f"what did {second} who {two.past} {one.base} {thing}?",
    )


def filler_gap(draw: Draw) -> Pair:
    """``what`` needs a gap and ``that`` none: ``knew what John fixed``."""
    start = f"{draw.phrase()} {draw.one(draw.words.knowings).past}"
    gap = f"{draw.person()} {draw.one(draw.words.handlings).past}"
    full = f"{draw.person()} {draw.one(draw.words.handlings).past} {draw.thing()}"
    if draw.first_form():
        return f"{start} what {gap} and that {full}", f"{start} that {gap} and what {full}"
    return f"{start} that {full} and what {gap}", f"{start} what {full} and that {gap}"


def participle(draw: Draw) -> Pair:
    """``had`` takes the participle and a bare past does not: ``took``, ``had taken``."""
    first, second, thing = draw.phrase(), draw.person(), draw.thing()
    verb = draw.one(draw.words.irregulars)
    past, had = verb.past, verb.participle
    if draw.first_form():
        return (
            f"{first} {past} {thing} that {second} had {had}",
            f"{first} {had} {thing} that {second} had {past}",
        )
    return (
        f"{first} had {had} {thing} that {second} {past}",
        f"{first} had {past} {thing} that {second} {had}",
    )


def aspect(draw: Draw) -> Pair:
    """``has`` takes the participle and ``is`` the gerund: ``has fixed``, ``is fixing``."""
    subject = f"{draw.person()} who"
    done, doing = draw.two(draw.words.handlings)
    have, be = draw.one((("has", "is"), ("had", "was")))
    perfect, progress = f"{done.participle} {draw.thing()}", f"{doing.gerund} {draw.thing()}"
    if draw.first_form():
        return (
            f"{subject} {have} {perfect} {be} {progress}",
            f"{subject} {be} {perfect} {have} {progress}",
        )
    return (
        f"{subject} {be} {progress} {have} {perfect}",
        f"{subject} {have} {progress} {be} {perfect}",
    )


def mass(draw: Draw) -> Pair:
    """``much`` measures a mass and ``many`` counts: ``much sand``, ``many lamps``."""
    stuff, things = draw.one(draw.words.masses), draw.one(draw.words.things).plural
    start = f"{draw.phrase()} {draw.one(draw.words.handlings).past}"
    if draw.first_form():
        return f"{start} much {stuff} and many {things}", f"{start} much {things} and many {stuff}"
    return f"{start} many {things} and much {stuff}", f"{start} many {stuff} and much {things}"


def inversion(draw: Draw) -> Pair:
    """The auxiliary precedes the subject in a question and follows it in an embedded one."""
    subject, verb = draw.person(), draw.one(draw.words.handlings)
    aux, form = draw.one((("has", verb.participle), (draw.one(_MODALS), verb.base)))
    if draw.first_form():
        return f"what {aux} {subject} {form}?", f"what {subject} {aux} {form}?"
    view = f"{draw.phrase()} {draw.one(draw.words.knowings).past} what"
    return f"{view} {subject} {aux} {form}", f"{view} {aux} {subject} {form}"


PHENOMENA: dict[str, Callable[[Draw], Pair]] = {
    function.__name__: function
    for function in (
        agreement,
        determiner,
        reflexive_gender,
        reflexive_number,
        reflexive_command,
        polarity,
        transitivity,
        complement,
        island,
        filler_gap,
        participle,
        aspect,
        mass,
        inversion,
    )
}
"""The phenomena by name, in the order in which a split cycles through them."""

MIRRORED = frozenset({"agreement", "reflexive_number", "inversion"})
"""The phenomena of which both forms occur by default; they decide how hard the task is."""
