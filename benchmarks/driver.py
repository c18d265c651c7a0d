"""A driver of NVIDIA's that is not there: Triton compiles, binds its arguments, and launches nothing.

``libcuda.so.1`` is made on the spot from a few lines of C. Every function of it succeeds; attributes of the
device are those of compute capability 9.0; a launch is counted. All of Triton's own part of a launch, in
Python and in C, is the real one. It needs a C compiler, and Triton from 3.9.
"""

import atexit
import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

SOURCE = r"""
typedef unsigned long long u64;
static int launched;
int launches(void) { int n = launched; launched = 0; return n; }
int cuLaunchKernelEx(void *c, void *f, void **p, void **e) { launched++; return 0; }
int cuInit(unsigned f) { return 0; }
int cuDriverGetVersion(int *v) { *v = 13000; return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDeviceGetAttribute(int *v, int which, int d) {
  if (which == 75 || which == 76) *v = which == 75 ? 9 : 0;  // compute capability
  else if (which == 97) *v = 232448;  // shared memory of a block
  else *v = which == 10 ? 32 : which == 16 ? 132 : 65536;  // a warp, multiprocessors, registers of a block
  return 0;
}
int cuCtxGetCurrent(void **c) { *c = &launched; return 0; }
int cuCtxSetCurrent(void *c) { return 0; }
int cuCtxGetDevice(int *d) { *d = 0; return 0; }
int cuCtxGetLimit(u64 *v, int l) { *v = 0; return 0; }
int cuCtxSetLimit(int l, u64 v) { return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = &launched; return 0; }
int cuModuleLoadData(void **m, const void *image) { *m = &launched; return 0; }
int cuModuleGetFunction(void **f, void *m, const char *name) { *f = &launched; return 0; }
int cuModuleUnload(void *m) { return 0; }
int cuFuncGetAttribute(int *v, int which, void *f) { *v = which == 0 ? 1024 : 0; return 0; }
int cuFuncSetAttribute(void *f, int which, int v) { return 0; }
int cuFuncSetCacheConfig(void *f, int c) { return 0; }
int cuPointerGetAttribute(u64 *out, int which, u64 pointer) { *out = pointer; return 0; }
int cuPointerGetAttributes(unsigned n, int *which, void **out, u64 pointer) {
  for (unsigned i = 0; i < n; i++) *(u64 *)out[i] = pointer;
  return 0;
}
int cuStreamIsCapturing(void *s, int *status) { *status = 0; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "none"; return 0; }
int cuOccupancyMaxActiveClusters(int *n, void *f, void *c) { *n = 1; return 0; }
int cuTensorMapEncodeTiled(void *m) { return 0; }
int cuTensorMapEncodeIm2col(void *m) { return 0; }
"""


def stand_in() -> ctypes.CDLL:
    """Have Triton use this driver from now on.

    Returns:
        The library; its ``launches()`` gives the number of launches since the last call.
    """
    folder = Path(tempfile.mkdtemp(prefix="pats-driver-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    name, source = folder / "libcuda.so.1", folder / "driver.c"
    source.write_text(SOURCE)
    compiler = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", f"-Wl,-soname,{name.name}"]
    subprocess.run([*compiler, str(source), "-o", str(name)], check=True)
    library = ctypes.CDLL(str(name), mode=ctypes.RTLD_GLOBAL)  # what Triton opens by its name is this one
    os.environ["TRITON_LIBCUDA_PATH"] = str(folder)
    os.environ["TRITON_CACHE_DIR"] = str(folder / "cache")

    from triton.backends.nvidia.driver import CudaDriver
    from triton.runtime import driver

    class Here(CudaDriver):  # type: ignore[misc]
        """What torch would answer on a machine with a GPU."""

        def __init__(self) -> None:
            from triton.backends.nvidia.driver import CudaLauncher, CudaUtils

            self.utils, self.launcher_cls = CudaUtils(), CudaLauncher

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 0

        def get_current_target(self) -> Any:
            from triton.backends.compiler import GPUTarget

            return GPUTarget("cuda", 90, 32)

    driver.set_active(Here())
    return library
