"""``pats export-onnx``: a model as an ONNX file."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from pats.cli import _parser
from pats.cli._output import write_json
from pats.measure import export_onnx
from pats.measure.trained import load_encoder

EXAMPLE = """
pats export-onnx out/model
pats export-onnx out/model --out served/model.onnx
"""
SUMMARY = (
    "Write a model as an ONNX file with any number of texts and any length, the tokenizer's files and the "
    "labels beside it, in a folder of its own. Before it gets its name its outputs are compared with torch's "
    f"under onnxruntime, on several sizes; they may differ by {export_onnx.TOLERANCE:g}; scores, "
    'and outputs above 1, by that share. Needs pip install "pats-finetune[onnx]".'
)


def main(argv: Sequence[str]) -> int:
    """Export as the flags say."""
    parser = _parser.Parser("export-onnx", SUMMARY, EXAMPLE)
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of a fine-tuned model, or of the comparison that chose it")
    add(
        "--out",
        metavar="FILE",
        help="file to write, in a new or empty folder (default: MODEL-onnx/model.onnx)",
    )
    add("--force", action="store_true", help="replace the folder of an earlier export")
    add("--json", action="store_true", help="write what was exported as JSON on stdout")
    add("--quiet", action="store_true", help="show no progress")
    values = parser.read(argv)
    folder = values["model"]
    out = Path(values["out"]) if "out" in values else export_onnx.default_out(folder)
    export_onnx.packages()
    export_onnx.check_out(out, Path(folder), values.get("force", False))
    with Console(stderr=True, quiet=values.get("quiet", False)).status("loading the model") as status:
        found = export_onnx.export(load_encoder(folder), out, on_step=status.update)
    if values.get("json"):
        write_json(asdict(found))
        return 0
    sizes = ", ".join(f"{texts} × {tokens}" for texts, tokens in found.checked)
    sys.stdout.write(
        f"{found.file} ({found.bytes / 1e6:.1f} MB), inputs {', '.join(found.inputs)}\n"
        f"Its outputs agree with torch's to {found.difference:.1e} under onnxruntime, on batches of {sizes} "
        "texts × tokens.\n"
    )
    return 0
