"""Figure 2 of the paper: sensitivities of the models of ``minilm_glue`` on CoLA, plain and with PATS.

python -m benchmarks.figure2 --data GLUE
"""

import argparse
import json

from benchmarks import record
from benchmarks.collect import FOLDERS, results
from pats import cli
from pats.study.store.results import Store

METHODS = {"vanilla": "vanilla", "pats-paper": "pats"}  # and the figure's words for them


def main() -> None:
    """Measure both models of seed 0, and record what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", required=True, help="folder of GLUE")
    arguments = parser.parse_args()
    recording = record.start("figure2")
    folder, out = FOLDERS / "minilm_glue", FOLDERS / "figure2"
    models = {
        METHODS[result.run.method]: Store(folder).model(result.run_id)
        for result in results(folder)
        if result.run.task == "cola" and result.run.data_seed == 0 and result.run.method in METHODS
    }
    if len(models) < len(METHODS) or None in models.values():
        raise SystemExit(
            "figure2 needs the models of minilm_glue: run its comparison with --keep-models first"
        )
    named = [f"{label}={model}" for label, model in models.items()]
    flags = ["--task", "cola", "--data", arguments.data, "--batches", "16", "--out", str(out), "--json"]
    if cli.main(["sensitivity", *named, *flags]):
        raise SystemExit("pats sensitivity failed")
    rows = json.loads((out / "sensitivity.json").read_text(encoding="utf-8"))["models"]
    told = [row.pop("environment") for row in rows]
    rows = [row | {"peak_memory_mb": one["peak_memory_mb"]} for row, one in zip(rows, told, strict=True)]
    settings = {"models_from": "minilm_glue: cola, seed 0"}
    origins = [record.described(one, "figure2", recording.origin.command or "") for one in told]
    recording.put(rows, origins=origins, settings=settings)


if __name__ == "__main__":
    main()
