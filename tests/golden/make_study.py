"""Makes ``study/out`` and ``study.json`` anew: ``python tests/golden/make_study.py [--numbers]``.

With ``--numbers``, the studies stay and what is read of them is written down anew. ``study/out-0.1.0`` always
stays: version 0.1.0 (commit eba52a9) made it, by ``pats compare`` with ``--methods vanilla pats --epochs 6``.
"""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "study"), str(Path(__file__).parent)]

import test_golden_study as golden  # noqa: E402
from captured import Captured  # noqa: E402

MACHINES = (
    "stdout.log",
    "stderr.log",
    "worker.json",
    "handle.json",
)  # of the machine, and of nobody's use later


def main():
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        capsys = Captured(told)
        if "--numbers" not in sys.argv:
            os.chdir(golden.FOLDER)
            shutil.rmtree("out", ignore_errors=True)
            golden.again(capsys)
            for path in [path for path in Path("out").rglob("*") if path.name in MACHINES]:
                path.unlink()
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(golden.FOLDER, folder, dirs_exist_ok=True)
            os.chdir(folder)
            found = {out: golden.page(out, capsys) for out in golden.STUDIES}
            found["repeated"] = golden.again(capsys)
            found["predicted"] = golden.told(["predict", "out/model", "texts.csv", "--json"], capsys)
            os.chdir(golden.FOLDER)
    golden.GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


main()
