"""Peak memory and time of ``pats predict`` on tables of growing size.

    python -m benchmarks.predict_stream --megabytes 1 50 1000

Every row has a short text and a cell of 900 characters that the model does not read. The model is a random
BERT of two layers, so that reading and writing count.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks import record

sys.path.insert(0, str(record.ROOT / "tests"))

from support.tiny_bert import FILLER, GOOD, make_tiny_bert


def model(folder: Path) -> Path:
    """A classifier with a head that was drawn at random."""
    make_tiny_bert(folder / "bert")
    torch.manual_seed(0)
    classifier = AutoModelForSequenceClassification.from_pretrained(folder / "bert", num_labels=2)
    classifier.save_pretrained(folder / "model")
    AutoTokenizer.from_pretrained(folder / "bert").save_pretrained(folder / "model")
    return folder / "model"


def table(path: Path, megabytes: float) -> int:
    """Write a table of about this size; returns its rows."""
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text,note\n")
        while file.tell() < megabytes * 1e6:
            lines = []
            for _ in range(100):
                rows += 1
                word = GOOD[rows % len(GOOD)]
                lines.append(f"{rows},{' '.join(FILLER[:6])} {word},{'x' * 900}\n")
            file.write("".join(lines))
    return rows


def predict(folder: Path, source: Path, out: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of one prediction, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "pats.cli",
        "predict",
        str(folder),
        str(source),
        "--out",
        str(out),
        "--quiet",
    ]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"pats predict ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    """Measure every size, and record what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--megabytes", nargs="+", type=float, default=[1, 50], help="sizes of the tables")
    arguments = parser.parse_args()
    recording = record.start("predict_stream", packages=("torch", "transformers", "pyarrow"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        classifier = model(folder)
        for megabytes in arguments.megabytes:
            source, out = folder / "table.csv", folder / "out.csv"
            rows = table(source, megabytes)
            seconds, peak = predict(classifier, source, out)
            found = {
                "megabytes": megabytes,
                "rows": rows,
                "seconds": round(seconds, 1),
                "peak_memory_mb": round(peak),
            }
            recording.put([found], key=("megabytes",))
            sys.stdout.write(f"{found}\n")
            source.unlink()
            out.unlink()


if __name__ == "__main__":
    main()
