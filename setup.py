"""Builds the fused CPU kernel where there is a C compiler; the rest of the build is in ``pyproject.toml``."""

import os
from glob import glob

from setuptools import Extension, setup

FOLDER = "src/pats/kernels/cpu"

setup(
    ext_modules=[]
    if os.environ.get("PATS_WITHOUT_KERNEL") == "1"  # the wheel for systems that cannot compile it
    else [
        Extension(
            "pats.kernels.cpu._core",
            sources=sorted(glob(f"{FOLDER}/*.c")),
            depends=sorted(glob(f"{FOLDER}/*.h")),
            # No contraction and no fast math: the same bits on every processor.
            extra_compile_args=[
                "-std=c11",
                "-O3",
                "-ffp-contract=off",
                "-fno-math-errno",
                "-fno-trapping-math",
                "-fvisibility=hidden",
            ],
            libraries=[] if os.name == "nt" else ["m"],  # fma, where the target has no instruction for it
            # Without a compiler the plain torch path serves; the project's own tests must not rest on it.
            optional=os.environ.get("PATS_REQUIRE_KERNEL") != "1",
        )
    ]
)
