import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from pats.tasks.audit import tokenizer, tokens


def folder_of(path, words):
    vocabulary = {"[UNK]": 0, **{word: i for i, word in enumerate(words, 1)}}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(path / "tokenizer.json"))
    return str(path)


def test_texts_beyond_the_model_are_counted_with_their_excess(tmp_path):
    counter = tokenizer.counter(folder_of(tmp_path, ["word"]))
    texts = [("word " * n,) for n in (3, 8, 10, 20, 118)]
    (found,) = tokens.lengths(tokens.measure(texts, counter), 10, exact=True)
    assert found.counts == {"rows": 3, "most": 110, "longest": 120}
    assert found.message.startswith(
        "3 texts exceed the 10 tokens that the model reads (60 %), by 12 at the median"
    )


def test_both_texts_of_a_pair_count(tmp_path):
    counter = tokenizer.counter(folder_of(tmp_path, ["word"]))
    read = tokens.measure([("word word", "word"), ("word", "")], counter)
    assert read.totals == [6, 4]


def test_unknown_tokens_are_a_warning(tmp_path):
    counter = tokenizer.counter(folder_of(tmp_path, ["word"]))
    (found,) = tokens.lengths(tokens.measure([("word wort word word",)] * 5, counter), 99, exact=True)
    assert (found.code, found.counts) == ("unknown-tokens", {"tokens": 5})
    assert "25 %" in found.message


def test_without_a_tokenizer_lengths_are_estimated_and_said(tmp_path):
    (found,) = tokens.lengths(tokens.measure([("word " * 100,), ("word",)]), 50, exact=False)
    assert found.message.startswith("About 1 text exceeds")
    assert found.counts["longest"] == 132


@pytest.mark.parametrize("content", [None, "{}", json.dumps({"version": 1})])
def test_a_tokenizer_that_is_not_there_is_no_fault_here(tmp_path, content):
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    assert tokenizer.counter(str(tmp_path)) is None
    assert tokenizer.counter("nobody/has-this-model") is None
