"""The tests of states that do not fit, on a C kernel that was built with AddressSanitizer.

``make sanitize`` runs it: ``sanitized.py LIBRARY`` under ``LD_PRELOAD`` of the sanitizer. First of all, it
sees that the sanitizer would notice: without the checks, the kernel must be stopped.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pats._noise import Noise
from pats.kernels import cpu
from pats.kernels.cpu import library

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from support.matrix_jobs import make_job, make_tensors  # noqa: E402

RUN = ["kernels/test_job.py", "step/test_state.py", "step/test_checkpoint.py"]
# Words of names of tests that would not reach the C kernel, or reach it as others do.
NOT_IN_C = ("triton", "eager", "foreach", "reference", "recadam", "momentum", "rmsprop", "mtdnn", "adamw")


def unchecked() -> None:
    """A step whose sensitivity is too short, with nothing in its way."""
    cpu.refuse_misfits = lambda jobs, refusal: None
    theta, grad, average = make_tensors((64, 64))
    cpu.measure([make_job(theta, grad, average.view(-1)[:100].clone(), Noise())], 1.0)


def main(path: str, *mode: str) -> int | str:
    """Exit code of the tests, which run on the library at ``path``, or why they cannot be run."""
    library.LIBRARY = library.opened(Path(path).absolute())
    if library.LIBRARY is None:
        return f"{path} is not the C kernel of this version"
    if mode:
        unchecked()
        return 0
    control = subprocess.run([sys.executable, __file__, path, "unchecked"], capture_output=True, text=True)
    if "AddressSanitizer" not in control.stderr:
        return f"the sanitizer does not see a step outside of a tensor:\n{control.stderr}"
    torch.set_num_threads(2)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(TESTS.parent)]
    options += ["-k", " and ".join(f"not {word}" for word in NOT_IN_C)]
    return int(pytest.main([*options, *(str(TESTS / name) for name in RUN)]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
