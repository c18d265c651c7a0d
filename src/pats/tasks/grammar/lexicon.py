"""The open-class words of the embedded task, and how they are shared out between its splits."""

from dataclasses import dataclass, fields
from random import Random
from typing import Any


@dataclass(frozen=True)
class Noun:
    """A countable noun in both numbers."""

    singular: str
    plural: str


@dataclass(frozen=True)
class Verb:
    """A verb in the five forms that English distinguishes."""

    base: str
    third: str
    past: str
    participle: str
    gerund: str


@dataclass(frozen=True)
class Lexicon:
    """Words by what the phenomena need of them; no lemma is in two classes.

    Args:
        women: First names borne by women.
        men: First names borne by men.
        females: Nouns for women alone, such as ``queen``.
        males: Nouns for men alone, such as ``uncle``.
        persons: Nouns for people of any gender.
        things: Countable nouns for objects.
        masses: Mass nouns, which have no plural.
        acts: Intransitive verbs that take no object.
        handlings: Verbs that need an object, and a thing will do.
        attitudes: Verbs that need an object, and a person will do.
        irregulars: Verbs that need an object and whose past is not their participle.
        knowings: Verbs that take ``that`` clauses and questions alike.
        plans: Verbs that take an infinitive with ``to`` and no gerund.
        habits: Verbs that take a gerund and no infinitive.
    """

    women: tuple[str, ...]
    men: tuple[str, ...]
    females: tuple[Noun, ...]
    males: tuple[Noun, ...]
    persons: tuple[Noun, ...]
    things: tuple[Noun, ...]
    masses: tuple[str, ...]
    acts: tuple[Verb, ...]
    handlings: tuple[Verb, ...]
    attitudes: tuple[Verb, ...]
    irregulars: tuple[Verb, ...]
    knowings: tuple[Verb, ...]
    plans: tuple[Verb, ...]
    habits: tuple[Verb, ...]

    def lemmas(self) -> dict[str, str]:
        """The lemma of every word form in lower case."""
        lemma_of: dict[str, str] = {}
        for member in fields(self):
            for word in getattr(self, member.name):
                forms = (word,) if isinstance(word, str) else tuple(vars(word).values())
                lemma_of |= {form.lower(): forms[0].lower() for form in forms}
        return lemma_of

    def halves(self, rng: Random) -> "tuple[Lexicon, Lexicon]":
        """Two lexicons without a common lemma: every class shuffled and cut in the middle."""
        first: dict[str, Any] = {}
        second: dict[str, Any] = {}
        for member in fields(self):
            words = list(getattr(self, member.name))
            rng.shuffle(words)
            middle = len(words) // 2
            first[member.name], second[member.name] = tuple(words[:middle]), tuple(words[middle:])
        return Lexicon(**first), Lexicon(**second)


def _ending(word: str, vowel_y: str = "aeou") -> str:
    """The word with its ``s``: ``keys``, ``witches``, ``ladies``."""
    if word.endswith("y") and word[-2] not in vowel_y:
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"


def _noun(entry: str) -> Noun:
    """Read ``singular`` or ``singular/plural``."""
    singular, _, plural = entry.partition("/")
    return Noun(singular, plural or _ending(singular))


def _verb(entry: str) -> Verb:
    """Read ``base``, ``base/past/gerund`` or ``base/past/participle/gerund``."""
    base, *forms = entry.split("/")
    if not forms:
        stem = base.removesuffix("e")
        past = f"{base[:-1]}ied" if base[-1] == "y" and base[-2] not in "aeou" else f"{stem}ed"
        forms = [past, f"{stem}ing"]
    past, gerund = forms[0], forms[-1]
    return Verb(base, _ending(base), past, forms[-2] if len(forms) == 3 else past, gerund)


def listed(words: str) -> tuple[str, ...]:
    """The words that blanks separate."""
    return tuple(words.split())


def _nouns(entries: str) -> tuple[Noun, ...]:
    return tuple(map(_noun, listed(entries)))


def _verbs(entries: str) -> tuple[Verb, ...]:
    return tuple(map(_verb, listed(entries)))


ENGLISH = Lexicon(
    women=listed(
        "Anna Maria Emma Julia Laura Sarah Rachel Susan Karen Linda Barbara Helen Nancy Betty "
        "Sandra Donna Carol Michelle Lisa Amanda Melissa Deborah Stephanie Rebecca Cynthia Angela "
        "Emily Diana Heather Teresa"
    ),
    men=listed(
        "John David Robert Michael William Richard Thomas Charles Daniel Matthew Anthony Steven "
        "Paul Andrew Kenneth George Kevin Brian Edward Ronald Timothy Jason Jeffrey Jacob Gary "
        "Nicholas Eric Peter Henry Walter"
    ),
    females=_nouns(
        "queen mother sister aunt girl woman/women daughter wife/wives princess niece duchess "
        "grandmother bride nun witch empress lady businesswoman/businesswomen "
        "policewoman/policewomen granddaughter stepmother landlady widow waitress actress heiress "
        "baroness schoolgirl godmother stepsister"
    ),
    males=_nouns(
        "king father brother uncle boy man/men son husband prince nephew duke grandfather groom "
        "monk wizard emperor gentleman/gentlemen businessman/businessmen policeman/policemen "
        "grandson stepfather landlord widower bachelor cowboy salesman/salesmen baron schoolboy "
        "godfather stepbrother"
    ),
    persons=_nouns(
        "author guard doctor lawyer teacher student pilot farmer singer baker banker chef clerk "
        "dentist editor engineer expert janitor librarian manager mayor merchant minister officer "
        "patient plumber poet president professor sailor scientist secretary senator soldier "
        "surgeon tailor tourist trader visitor analyst architect artist athlete captain carpenter "
        "dancer detective director gardener governor journalist musician neighbor novelist tenant "
        "voter consultant coach hunter critic"
    ),
    things=_nouns(
        "table lamp chair bottle basket blanket bicycle bucket camera candle carpet clock computer "
        "cup curtain desk fence guitar hammer helmet jacket kettle key ladder letter machine map "
        "mirror necklace notebook painting pencil phone piano pillow plate poster printer radio "
        "ring rope sculpture shovel sofa spoon statue suitcase sweater telescope tent ticket toy "
        "trumpet umbrella vase violin wagon wallet wheel window"
    ),
    masses=listed(
        "rice water sand furniture luggage equipment milk bread butter flour gold cement gravel "
        "jewelry clothing machinery garbage petrol honey sugar wool mud dust rubbish hay cotton "
        "laundry merchandise"
    ),
    acts=_verbs(
        "sleep/slept/sleeping arrive vanish sneeze laugh faint disappear yawn kneel/knelt/kneeling "
        "shiver tremble giggle limp loiter hesitate blush snore nap/napped/napping frown scowl "
        "stumble emigrate sob/sobbed/sobbing squirm lurk stroll flinch cringe wince chuckle doze "
        "sulk snooze sprawl thrive grin/grinned/grinning"
    ),
    handlings=_verbs(
        "fix destroy damage inspect demolish acquire remove discard examine discover locate "
        "retrieve obtain confiscate abandon conceal replace display select purchase repair "
        "devour dismantle restore construct receive touch lift handle fetch seize use"
    ),
    attitudes=_verbs(
        "admire ignore praise describe mention notice recognize envy blame respect punish rescue "
        "trust criticize despise resemble adore betray defend flatter pity "
        "forgive/forgave/forgiven/forgiving hate insult introduce loathe mock motivate "
        "persuade protect reward ridicule scare shock surprise value"
    ),
    irregulars=_verbs(
        "take/took/taken/taking break/broke/broken/breaking steal/stole/stolen/stealing "
        "blow/blew/blown/blowing draw/drew/drawn/drawing hide/hid/hidden/hiding "
        "throw/threw/thrown/throwing shake/shook/shaken/shaking tear/tore/torn/tearing "
        "wear/wore/worn/wearing see/saw/seen/seeing forsake/forsook/forsaken/forsaking "
        "freeze/froze/frozen/freezing ride/rode/ridden/riding weave/wove/woven/weaving "
        "drive/drove/driven/driving eat/ate/eaten/eating "
        "write/wrote/written/writing give/gave/given/giving "
        "choose/chose/chosen/choosing sing/sang/sung/singing "
        "drink/drank/drunk/drinking grow/grew/grown/growing fly/flew/flown/flying"
    ),
    knowings=_verbs(
        "know/knew/known/knowing remember predict learn reveal explain "
        "hear/heard/hearing guess realize understand/understood/understanding report announce "
        "disclose confirm"
    ),
    plans=_verbs(
        "decide hope yearn struggle promise refuse agree/agreed/agreeing manage expect "
        "offer pretend vow aim threaten seek/sought/seeking wish want dare consent"
    ),
    habits=_verbs(
        "enjoy avoid finish dislike deny postpone keep/kept/keeping resist risk recall suggest "
        "recommend consider imagine resume detest miss tolerate contemplate advocate endure"
    ),
)
