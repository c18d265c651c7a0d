"""Registers, spills and instructions of the Triton kernels, from their machine code; no GPU is needed.

    TRITON_INTERPRET=0 PYTHONPATH=tests python -m benchmarks.registers

Compiles every kernel for compute capability 8.0 and 9.0 with the tools that Triton brings, and both passes
with each of their settings changed by itself. Instructions are those in the code: of two branches both count.
Writes ``benchmarks/results/registers.json``.
"""

import argparse

from benchmarks import record
from support import compiled


def main() -> None:
    """Compile and read the variants."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", default="", help="variants whose names contain this")
    only = parser.parse_args().only
    recording, rows = record.start("registers", packages=("triton",)), []
    for variant in compiled.variants():
        if only not in variant.name:
            continue
        for capability in compiled.CAPABILITIES:
            code = compiled.compiled(variant, capability)
            rows.append({"variant": variant.name, "capability": capability, **code.row()})
            print(variant.name, capability, code.row())
    recording.put(rows, key=("variant", "capability"))


if __name__ == "__main__":
    main()
