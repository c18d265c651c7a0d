"""The Triton kernels compiled for GPUs that are not there, and what their machine code says of itself.

Triton brings what it needs: ``ptxas`` compiles, ``cuobjdump`` tells registers and memory, ``nvdisasm`` the
instructions. Only where Triton's interpreter is off (``TRITON_INTERPRET=0``) are there kernels to compile.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pats.kernels.job import SUMS
from pats.kernels.triton import plan

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
CAPABILITIES = (80, 90)
REGISTERS, MOST_THREADS = 65536, 2048  # of a multiprocessor, on both
DTYPES = {"float32": tl.float32, "bfloat16": tl.bfloat16, "float16": tl.float16}
# The tables that are not float64; ``plan.py`` makes them.
TYPES = {"pieces": "*i64", "ranges": "*i64", "blocks": "*i32", "samples": "*fp32"}

INSTRUCTION = re.compile(r"^\s*/\*\w+\*/\s+(?:@!?\w+ +)?([A-Z][\w.]*)", re.MULTILINE)
# What float64 arithmetic is in machine code: MUFU.RCP64H and RSQ64H begin a division and a root. Conversions
# (F2F) are no arithmetic, but as slow.
FP64 = re.compile(r"^(D(ADD|MUL|FMA|SETP|MNMX)|MUFU\.\w*64H|F2F\.\S*F64|[IF]2\S*F64)")


@dataclass(frozen=True)
class Variant:
    """One compilation of a kernel: its constants."""

    kernel: str
    constants: tuple[tuple[str, str | bool | int], ...]

    @property
    def name(self) -> str:
        """The kernel and what is not the usual."""
        words = [value if isinstance(value, str) else name for name, value in self.constants if value]
        return " ".join([self.kernel.removesuffix("_kernel"), *(w.lower() for w in words if w != "BLOCK")])


@dataclass(frozen=True)
class Code:
    """What machine code says.

    Args:
        registers: Of a thread.
        spilled: Bytes of local memory of a thread; 0 where no register is spilled.
        shared: Bytes of shared memory of a program.
        threads: Of a program.
        widest_load: Bits that a thread loads from global memory in one instruction, at the most.
        widest_store: The same of stores.
        instructions: All.
        fp64: Those of float64 arithmetic.
        local: Loads and stores of local memory.
        elements: Of a program, of which each thread has its share.
    """

    registers: int
    spilled: int
    shared: int
    threads: int
    widest_load: int
    widest_store: int
    instructions: int
    fp64: int
    local: int
    elements: int

    @property
    def programs(self) -> int:
        """How many programs the registers let a multiprocessor hold."""
        warp = -(-self.registers * 32 // 256) * 256  # registers are given out in units of 256
        return min(REGISTERS // warp // (self.threads // 32), MOST_THREADS // self.threads)

    @property
    def loading(self) -> int:
        """Elements that a multiprocessor works on at a time."""
        return self.programs * self.elements

    def row(self) -> dict[str, Any]:
        """For a result file."""
        return asdict(self) | {"programs": self.programs, "loading": self.loading}


def variants() -> Iterator[Variant]:
    """Every kernel, and of both passes what is usual with each setting changed by itself."""
    yield variant("size_kernel", TOTAL=False, BLOCK=plan.TOTAL_BLOCK)
    yield variant("size_kernel", TOTAL=True, BLOCK=plan.TOTAL_BLOCK)
    yield variant("total_kernel", COLUMNS=len(SUMS), LARGEST=-1, BLOCK=plan.TOTAL_BLOCK)
    yield variant("tally_kernel", BLOCK=plan.TOTAL_BLOCK)
    yield measure()
    yield measure(budget=False)
    yield measure(aligned=False)
    yield measure("bfloat16")
    yield update()
    yield update(noise=False)
    yield update(base=False)
    yield update(base=False, observed=True)
    yield update(aligned=False)
    yield update("bfloat16")
    yield update("bfloat16", "bfloat16")
    yield update("float16")


def variant(kernel: str, **constants: str | bool | int) -> Variant:
    """A kernel with its constants."""
    return Variant(kernel, tuple(constants.items()))


def measure(
    theta: str = "float32", budget: bool = True, observed: bool = False, aligned: bool = True
) -> Variant:
    """Of the first pass."""
    seen = {"BUDGET": budget, "OBSERVED": observed, "ALIGNED": aligned}
    return variant("measure_kernel", THETA=theta, **seen, BLOCK=plan.MEASURE_BLOCK)


def update(
    theta: str = "float32",
    state: str = "float32",
    base: bool = True,
    noise: bool = True,
    observed: bool = False,
    aligned: bool = True,
) -> Variant:
    """Of the second pass."""
    done = {"BASE": base, "NOISE": noise, "OBSERVED": observed, "ALIGNED": aligned}
    return variant("update_kernel", THETA=theta, STATE=state, **done, BLOCK=plan.UPDATE_BLOCK)


def compiled(variant: Variant, capability: int, **options: Any) -> Code:
    """Compile a variant for a compute capability, and read its code."""
    from pats.kernels.triton import kernel

    function = getattr(kernel, variant.kernel)
    names = function.arg_names
    constants: dict[str, Any] = {
        name: DTYPES[value] if isinstance(value, str) else value for name, value in variant.constants
    }
    assert set(constants) == {p.name for p in function.params if p.is_constexpr}, function
    signature = {name: TYPES.get(name, "*fp64") for name in names} | dict.fromkeys(constants, "constexpr")
    fixed = {(names.index(name),): value for name, value in constants.items()}
    # Torch's tables begin at multiples of 16, which Triton sees at a launch.
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if name not in constants}
    source = ASTSource(fn=function, signature=signature, constexprs=fixed, attrs=aligned)
    chosen = {**plan.OPTIONS.get(variant.kernel, {}), **options}
    done = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=chosen)
    elements = int(dict(variant.constants).get("BLOCK", 1))
    return read(done.asm["cubin"], done.metadata.num_warps * 32, done.metadata.shared, elements)


def read(cubin: bytes, threads: int, shared: int, elements: int) -> Code:
    """What a compiled kernel says of itself."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        usage = _said("cuobjdump", "--dump-resource-usage", str(file))
        lines = INSTRUCTION.findall(_said("nvdisasm", "-c", str(file)))
    told: Mapping[str, int] = {key: int(value) for key, value in re.findall(r"(\w+):(\d+)", usage)}
    return Code(
        registers=told["REG"],
        spilled=told["STACK"] + told["LOCAL"],
        shared=shared,
        threads=threads,
        widest_load=_widest(lines, "LDG"),
        widest_store=_widest(lines, "STG"),
        instructions=sum(not line.startswith("NOP") for line in lines),
        fp64=sum(bool(FP64.match(line)) for line in lines),
        local=sum(line.startswith(("LDL", "STL")) for line in lines),
        elements=elements,
    )


def _widest(lines: list[str], load: str) -> int:
    widths = [re.search(r"\.(64|128)\b", line) for line in lines if line.startswith(load)]
    return max((int(width[1]) if width else 32 for width in widths), default=0)


def _said(tool: str, *arguments: str) -> str:
    return subprocess.run([TOOLS / tool, *arguments], check=True, capture_output=True, text=True).stdout
