"""``tfidf``: a linear model on the words and characters of the texts."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pats.baselines._baseline import Arrays, Baseline, Features
from pats.baselines._pairs import combined
from pats.tasks import Split

MOST = 50_000  # words, and as many runs of characters: the most frequent ones of the training texts

_KINDS: dict[str, dict[str, Any]] = {
    "word": {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
    "char": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}


class Tfidf(Baseline):
    """Words, pairs of words and runs of 2 to 5 characters within words, weighted by TF-IDF."""

    name = "tfidf"
    rank = 1
    summary = "logistic or ridge regression on TF-IDF of words and characters"
    sentence = "a linear model on TF-IDF of words and characters"

    _vectorizers: dict[str, Any]

    def learn(self, train: Split) -> None:
        """Take vocabulary and idf from the training texts, of both texts of a pair together."""
        texts = [*train.text, *(train.text_pair or ())]
        self._vectorizers = {}
        for kind in _KINDS:
            vectorizer = _vectorizer(kind, max_features=MOST)
            try:
                vectorizer.fit(texts)
            except ValueError:  # texts without any word
                continue
            self._vectorizers[kind] = vectorizer

    def features(self, split: Split) -> Features:
        """A sparse matrix."""
        from scipy import sparse

        def of(texts: tuple[str, ...]) -> Any:
            parts = [vectorizer.transform(texts) for vectorizer in self._vectorizers.values()]
            return sparse.hstack(parts, format="csr") if parts else sparse.csr_matrix((len(texts), 0))

        return combined(of(split.text), None if split.text_pair is None else of(split.text_pair))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Vocabularies, as JSON in bytes, and their idf."""
        arrays = {}
        for kind, vectorizer in self._vectorizers.items():
            terms = json.dumps(vectorizer.get_feature_names_out().tolist(), ensure_ascii=False)
            arrays[f"{kind}_terms"] = np.frombuffer(terms.encode(), np.uint8)
            arrays[f"{kind}_idf"] = np.asarray(vectorizer.idf_, np.float64)
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Take vocabularies and idf back."""
        self._vectorizers = {}
        for kind in _KINDS:
            if f"{kind}_terms" in arrays:
                terms = json.loads(arrays[f"{kind}_terms"].tobytes().decode())
                vectorizer = _vectorizer(kind, vocabulary={term: place for place, term in enumerate(terms)})
                vectorizer.idf_ = arrays[f"{kind}_idf"]
                self._vectorizers[kind] = vectorizer


def _vectorizer(kind: str, **more: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(sublinear_tf=True, **_KINDS[kind], **more)
