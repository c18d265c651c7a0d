"""Adds this machine's digests to ``bits.json``: ``python tests/golden/make_bits.py``.

Torch chooses its code by the processor. All that this one can run are recorded, each in a process of its own.
What other machines recorded stays. A digest that changes needs a reason: delete its trajectory first.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))
os.environ.setdefault("TRITON_INTERPRET", "1")

import test_golden_bits as bits  # noqa: E402

SETS = ("avx512", "avx2", "default")


def record():
    """The probe of this process, and every trajectory."""
    return {"probe": bits.probe(), "rows": {" | ".join(row): bits.trajectory(*row) for row in bits.rows()}}


def main():
    if "--record" in sys.argv:
        sys.stdout.write(json.dumps(record()))
        return
    found = []
    for name in SETS:
        environment = {**os.environ, "ATEN_CPU_CAPABILITY": name}
        told = subprocess.run(
            [sys.executable, __file__, "--record"], env=environment, check=True, stdout=subprocess.PIPE
        )
        found.append(json.loads(told.stdout))
    lines, before = [], bits.golden()["trajectories"]
    for key, first in found[0]["rows"].items():
        digests = {one["probe"]: one["rows"][key]["digests"] for one in found}
        assert all(digests[one["probe"]] == one["rows"][key]["digests"] for one in found), f"{key}: {digests}"
        if bits.in_c(key):
            assert len(set(map(tuple, digests.values()))) == 1, f"{key} depends on the processor"
            digests = {"any": first["digests"]}
        held = before.get(key, {"digests": {}, "values": first["values"]})
        changed = [one for one, found in digests.items() if held["digests"].get(one, found) != found]
        assert not changed, f"{key} is another trajectory now"
        digests, first = held["digests"] | digests, held
        lines.append(f"  {json.dumps(key)}: {json.dumps({'digests': digests, 'values': first['values']})}")
    text = '{\n "trajectories": {\n' + ",\n".join(lines) + "\n }\n}\n"
    (TESTS / "golden" / "bits.json").write_text(text, encoding="utf-8")


main()
