import pytest

from pats._errors import did_you_mean, out_of_memory


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("colla", ("cola", "rte"), "cola"),
        ("Methds", ("models", "methods"), "methods"),
        ("text", ("Text", "label"), "Text"),
        ("fly", ("run", "compare", "check"), None),
        ("", ("run",), None),
        ("x", (), None),
    ],
)
def test_did_you_mean(name, known, meant):
    assert did_you_mean(name, known) == (f" (did you mean {meant!r}?)" if meant else "")


class OutOfMemoryError(RuntimeError):
    """Named as torch's, which has it in every version."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory ran out: lower"),
        (OutOfMemoryError("CUDA out of memory"), "memory ran out on the GPU: lower"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory ran out: lower"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (ValueError("memory"), None),
    ],
)
def test_out_of_memory(error, said):
    told = out_of_memory(error)
    assert told is None if said is None else told.startswith(said)
