"""The Triton kernels' machine code, for GPUs that are not there: what it may cost at the most.

``benchmarks/registers.py`` records more variants.
"""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

READ = """
import json
from support import compiled
from support.compiled import measure, update, variants

chosen = {variant.name: variant for variant in variants() if variant.kernel[0] in "st"}
chosen |= {
    "measure": measure(),
    "measure, observed": measure(observed=True, aligned=False),
    "update": update(),
    "update, bfloat16": update("bfloat16", "bfloat16"),
    "update, no noise": update(noise=False, aligned=False),
    "update, observed": update(base=False, observed=True),
}
found = {
    f"{name}, {capability}": compiled.compiled(variant, capability).row()
    for name, variant in chosen.items()
    for capability in compiled.CAPABILITIES
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def codes():
    """What the variants' code says, read in a process whose kernels are no interpreter's."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", READ], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(600)
def test_every_kernel_compiles_and_spills_no_register(codes):
    spilled = {name: (code["spilled"], code["local"]) for name, code in codes.items()}
    assert spilled == dict.fromkeys(codes, (0, 0))
    small = {name.partition(", ")[0] for name in codes} - {"measure", "update"}
    assert {"size", "size total", "total columns largest", "tally"} <= small


CAPABILITIES = (80, 90)
PASSES = [(name, capability) for name in ("measure", "update") for capability in CAPABILITIES]


@pytest.mark.parametrize(("name", "capability"), PASSES)
def test_enough_loads_are_in_flight_to_hide_the_memory(codes, name, capability):
    """Of an H100 a multiprocessor gets 25 bytes a nanosecond, which come after some 800."""
    bytes_an_entry = {"measure": 12, "update": 16}[name]
    assert codes[f"{name}, {capability}"]["loading"] * bytes_an_entry >= 40 * 1024


@pytest.mark.parametrize(("name", "capability"), PASSES)
def test_an_aligned_matrix_moves_by_sixteen_bytes(codes, name, capability):
    code = codes[f"{name}, {capability}"]
    assert code["widest_load"] == code["widest_store"] == 128


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_multiprocessor_holds_five_programs_of_the_update(codes, capability):
    assert codes[f"update, {capability}"]["programs"] >= 5


# Float64 instructions of a thread. In the update most are in the branch for entries beyond float32, which is
# hardly ever taken; what every thread executes of them are the sums of the tally.
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(("name", "most"), [("measure", 110), ("update", 270), ("update, bfloat16", 270)])
def test_float64_is_rare(codes, name, most, capability):
    assert codes[f"{name}, {capability}"]["fp64"] <= most
