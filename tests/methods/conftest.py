from itertools import pairwise

import pytest

from support.tiny_bert import make_table, make_tiny_bert


@pytest.fixture(scope="session")
def inputs_folder(tmp_path_factory):
    """A random two-layer BERT and tables: classes, pairs and scores."""
    folder = tmp_path_factory.mktemp("methods")
    make_tiny_bert(folder / "bert")
    make_table(folder / "texts.csv", rows=140)
    lines = (folder / "texts.csv").read_text().splitlines()[1:]
    texts = [line.rpartition(",")[0] for line in lines]
    pairs = [f"{one},{two},{row % 2}" for row, (one, two) in enumerate(pairwise(texts))]
    scores = [f"{text},{len(set(text)) / 7:.3f}" for text in texts]
    (folder / "pairs.csv").write_text("\n".join(["sentence1,sentence2,label", *pairs]) + "\n")
    (folder / "scores.csv").write_text("\n".join(["text,score", *scores]) + "\n")
    return folder
