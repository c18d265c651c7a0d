"""How much noise the literal reading of the paper would accumulate in ten epochs of CoLA on MiniLM.

python -m benchmarks.check --data GLUE
"""

import argparse
from dataclasses import asdict

from benchmarks import record
from pats.measure.check import check
from pats.run import Run


def main() -> None:
    """Check, and record it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", required=True, help="folder of GLUE")
    arguments = parser.parse_args()
    recording = record.start("check")
    run = Run(model="minilm", task="cola", data=arguments.data, method="pats-paper", lr=3e-4)
    recording.put([asdict(check(run))])


if __name__ == "__main__":
    main()
