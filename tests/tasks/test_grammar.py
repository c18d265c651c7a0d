import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from pats._errors import InputError
from pats.tasks import grammar
from pats.tasks._data import Split, TaskData

SEEDS = (0, 1, 2)
ALL = tuple(grammar.PHENOMENA)
PARTICIPLES = "|".join(verb.participle for verb in grammar.ENGLISH.irregulars)


def words(sentence: str) -> list[str]:
    return re.findall(r"\w+", sentence.lower())


def vocabulary(split: Split) -> set[str]:
    return {word for sentence in split.text for word in words(sentence)}


def bag_of_words(data: TaskData, **options: object) -> float:
    train, dev = data.splits["train"], data.splits["dev"]
    counter = CountVectorizer(token_pattern=r"\w+", **options)
    model = LogisticRegression(max_iter=1000).fit(counter.fit_transform(train.text), train.label)
    return float(model.score(counter.transform(dev.text), dev.label))


def test_what_the_task_says_of_itself():
    data = grammar.load()
    assert (data.name, data.source) == ("grammar", "embedded")
    assert data.labels == ("unacceptable", "acceptable")
    assert (data.metric, data.metrics) == ("accuracy", ("accuracy", "matthews"))
    assert data.dev_splits == ("dev",)
    assert not data.regression
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 1000, "dev": 500}
    assert all(split.text_pair is None for split in data.splits.values())


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_same_in_every_process(hash_seed):
    code = "from pats.tasks import grammar; print(grammar.load(200, 100, 7).fingerprint)"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == grammar.load(200, 100, 7).fingerprint


def test_seeds_differ():
    assert len({grammar.load(200, 100, seed).fingerprint for seed in range(5)}) == 5


def test_a_smaller_task_is_the_start_of_a_larger():
    small, large = grammar.load(100, 60), grammar.load(300, 200)
    for name, split in small.splits.items():
        assert large.splits[name].take(list(range(len(split)))) == split


@pytest.mark.parametrize("size", [grammar.MIN_SIZE, grammar.MIN_SIZE + 1, 501, 1000, 1003])
def test_sizes_are_kept_and_balanced(size):
    for split in grammar.load(size, size).splits.values():
        assert len(split) == len(split.label) == len(split.group) == len(set(split.text)) == size
        assert Counter(split.label) == +Counter({1.0: size - size // 2, 0.0: size // 2})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mirrored", [grammar.MIRRORED, ALL, ()])
def test_pairs_are_the_same_words_in_another_order(seed, mirrored):
    for split in grammar.load(seed=seed, mirrored=mirrored).splits.values():
        for row in range(0, len(split), 2):
            good, bad = split.text[row], split.text[row + 1]
            assert Counter(words(good)) == Counter(words(bad))
            assert good != bad
            assert split.label[row : row + 2] == (1.0, 0.0)
            assert split.group[row] == split.group[row + 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_are_not_split(seed):
    data = grammar.load(seed=seed)
    bags = [{tuple(sorted(words(sentence))) for sentence in split.text} for split in data.splits.values()]
    assert bags[0].isdisjoint(bags[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_splits_share_no_lemma(seed):
    data = grammar.load(4000, 4000, seed, mirrored=ALL)
    lemma = grammar.ENGLISH.lemmas()
    train, dev = (vocabulary(split) - grammar.FUNCTION_WORDS for split in data.splits.values())
    assert train | dev <= lemma.keys()
    assert {lemma[word] for word in train}.isdisjoint(lemma[word] for word in dev)


def test_lexicon_has_every_form_once():
    forms = Counter()
    for member in fields(grammar.ENGLISH):
        for word in getattr(grammar.ENGLISH, member.name):
            entry = {word} if isinstance(word, str) else set(vars(word).values())
            forms.update(form.lower() for form in entry)
    assert {form for form, count in forms.items() if count > 1} == set()
    assert grammar.FUNCTION_WORDS.isdisjoint(forms)


def test_function_words_are_all_used():
    assert vocabulary(grammar.load(4000, mirrored=ALL).splits["train"]) >= grammar.FUNCTION_WORDS


def test_every_phenomenon_is_there_equally_often():
    assert len(grammar.PHENOMENA) >= 8
    for split in grammar.load(grammar.MIN_SIZE * 5, grammar.MIN_SIZE).splits.values():
        counts = Counter(split.group)
        assert counts.keys() == grammar.PHENOMENA.keys()
        assert len(set(counts.values())) == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("size", "dev_size"), [(200, 200), (501, 301), (1000, 500)])
@pytest.mark.parametrize("binary", [False, True])
def test_bag_of_words_is_at_chance(seed, size, dev_size, binary):
    assert bag_of_words(grammar.load(size, dev_size, seed), binary=binary) <= 0.55


@pytest.mark.parametrize("mirrored", [ALL, ()])
def test_bag_of_words_is_at_chance_whatever_is_mirrored(mirrored):
    assert bag_of_words(grammar.load(mirrored=mirrored)) <= 0.55


def test_mirroring_hides_the_order_of_words_from_bigrams():
    plain, mirrored = (bag_of_words(grammar.load(mirrored=names), ngram_range=(1, 2)) for names in ((), ALL))
    assert mirrored <= 0.55 < plain


@pytest.mark.parametrize("binary", [False, True])
def test_bag_of_words_finds_a_leak(binary):
    data = grammar.load()

    def leaky(split: Split) -> Split:
        marked = (
            text.replace(".", " indeed.") if label and row % 8 == 0 else text
            for row, (text, label) in enumerate(zip(split.text, split.label, strict=True))
        )
        return replace(split, text=tuple(marked))

    data = replace(data, splits={name: leaky(split) for name, split in data.splits.items()})
    assert bag_of_words(data, binary=binary) > 0.55


def test_the_largest_size_has_no_repetition():
    data = grammar.load(grammar.MAX_SIZE, grammar.MAX_SIZE)
    for split in data.splits.values():
        assert len(set(split.text)) == grammar.MAX_SIZE


@pytest.mark.parametrize("argument", ["size", "dev_size"])
@pytest.mark.parametrize("value", [-1, 0, grammar.MIN_SIZE - 1, grammar.MAX_SIZE + 1])
def test_impossible_sizes_are_refused(argument, value):
    with pytest.raises(InputError, match=rf"^{argument}={value} .* {grammar.MIN_SIZE}"):
        grammar.load(**{argument: value})


@pytest.mark.parametrize("mirrored", [["agrement"], "agreement", ["Agreement", "mass"]])
def test_unknown_phenomena_are_refused(mirrored):
    with pytest.raises(InputError, match=r"names no phenomenon .* choose from agreement, "):
        grammar.load(mirrored=mirrored)


@pytest.mark.parametrize(
    ("phenomenon", "good"),
    [
        ("agreement", r"The \w+s \w+ the \w+ \w+[^s]\.|The \w+[^s] \w+ the \w+ \w+s\."),
        ("participle", rf".* had ({PARTICIPLES}) .*|.* had ({PARTICIPLES})\."),
        ("aspect", r".* ha[sd] \w+ed .* \w+s \w+ing .*|.* \w+s \w+ing .* ha[sd] \w+ed .*"),
        ("inversion", r"What (has|will|would|can|could) the .*\?|.* what the .*\."),
    ],
)
def test_acceptable_sentences_follow_the_rule_and_their_partners_do_not(phenomenon, good):
    split = grammar.load(1000, mirrored=ALL).splits["train"]
    rows = [row for row, name in enumerate(split.group) if name == phenomenon]
    assert rows
    for row in rows:
        assert bool(re.fullmatch(good, split.text[row])) == bool(split.label[row]), split.text[row]
