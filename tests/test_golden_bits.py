"""Trajectories of 20 steps on every execution path, against those of ``golden/bits.json``.

The C kernel gives the same bits on every processor, so its digests are always compared. Plain torch and
Triton's interpreter use fused multiply-adds and library functions as the processor has them. Their digests
are compared where a probe of this arithmetic gives the bits that it gave when they were recorded; elsewhere
the values are compared, within a few units in the last place.

``python tests/golden/make_bits.py`` records them anew.
"""

import hashlib
import json
import os
import platform
import warnings
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pats
import pats.kernels

GOLDEN = Path(__file__).parent / "golden" / "bits.json"
SHAPES = {"body.weight": (37, 41), "body.bias": (53,), "head.weight": (11,)}  # the head is out of scope
SMALL = {"body.weight": (13, 11)}  # for Triton, whose interpreter is slow
SCOPE = "body"
STEPS, SHOWN = 20, (1, 5, 20)
LR = 1e-3
ULPS = 4  # between machines, of the largest entry that is shown
INTEL = "GenuineIntel"  # the first digests were recorded there, without what other makers' probes have more
ULPS_SIGNED = 2**14  # the mean of signed sensitivities cancels

NOISES = {
    "none": None,
    "default": pats.Noise(seed=3),
    "budget": pats.Noise(budget=0.3, steps=25, seed=3),
    "paper": pats.Noise.paper(seed=3),
    "std": pats.Noise.paper(intensity="std", lam=1e-4, seed=3),
    "signed": pats.Noise.paper(signed=True, p=1.0, seed=3),
    "lr": pats.Noise(scale="lr", seed=3),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def ours(cls, **options):
    return lambda model, noise: cls(pats.param_groups(model, SCOPE), lr=LR, noise=noise, **options)


def perturbed(cls, **options):
    def make(model, noise):
        optimizer = cls(pats.param_groups(model, SCOPE), lr=LR, **options)
        if noise is not None:
            pats.perturb(optimizer, model, noise, scope=SCOPE)
        return optimizer

    return make


def alone(cls, **options):
    return lambda model, _: cls(pats.param_groups(model, SCOPE), lr=LR, **options)


FLOATS, ALL = ("float32", "bfloat16"), tuple(DTYPES)
EVERY, NOISY, SOME = tuple(NOISES), tuple(NOISES)[1:], ("default", "paper")
DECAY = {"weight_decay": 0.1, "maximize": True}
BASES = {
    "Adamax": (pats.optim.Adamax, torch.optim.Adamax),
    "AdamW": (pats.optim.AdamW, torch.optim.AdamW),
}

# Of every path: PATS_KERNEL, what makes the optimizer, and its noises and dtypes.
PATHS = {
    "reference": ("eager", ours(pats.optim.reference.PATSAdamax), NOISY, ALL),
    "Adamax, foreach, plain noise": ("eager", ours(pats.optim.Adamax, foreach=True), NOISY, ALL),
    "Adamax, fused, no noise": ("cpu", ours(pats.optim.Adamax, fused=True), ("none",), FLOATS),
    "Adamax, triton": ("triton", ours(pats.optim.Adamax, fused=True), ("default",), ("float32",)),
    "AdamW, triton": ("triton", ours(pats.optim.AdamW, fused=True), ("paper",), ("bfloat16",)),
    "MTDNNAdamax": ("cpu", alone(pats.optim.MTDNNAdamax), ("none",), ("float32",)),
    "SAGEAdamax": ("cpu", alone(pats.optim.SAGEAdamax), ("none",), ("float32",)),
    "SAGEAdamW": ("cpu", alone(pats.optim.SAGEAdamW, weight_decay=0.1), ("none",), ("float32",)),
    "RecAdam": ("cpu", alone(pats.optim.RecAdam), ("none",), ("float32",)),
}
for name, (cls, base) in BASES.items():
    PATHS |= {
        f"{name}, single": ("cpu", ours(cls, foreach=False), EVERY, ALL),
        f"{name}, foreach": ("cpu", ours(cls, foreach=True), EVERY, ALL),
        f"{name}, fused": ("cpu", ours(cls, fused=True), NOISY, FLOATS),
        f"{name}, fused, decay": ("cpu", ours(cls, fused=True, **DECAY), SOME, FLOATS),
        f"{name}, fused, wide state": (
            "cpu", ours(cls, fused=True, state_dtype=torch.float32), SOME, ("bfloat16",)
        ),
        f"{name}, fused, rounding": (
            "cpu", ours(cls, fused=True, stochastic_rounding=True), SOME, ("bfloat16",)
        ),
        f"torch's {name}, perturb": ("cpu", perturbed(base), NOISY, ALL),
    }  # fmt: skip


def in_c(path):
    """Whether the kernel in C does all of a step."""
    return "fused" in path


def numbers(name, step, count):
    """Numbers in [-1, 1) from the words of the stream, by exact operations alone."""
    return (pats.philox.words(11, name, step, 0, count).long() - 2**31).double() * 2.0**-31


def model_of(shapes, dtype):
    model = nn.Module()
    for name, shape in shapes.items():
        owner, leaf = name.split(".")
        if not hasattr(model, owner):
            model.add_module(owner, nn.Module())
        value = numbers(name, 0, torch.Size(shape).numel()).view(shape) * 2.0**-4
        value.view(-1)[::7] = 0.0
        getattr(model, owner).register_parameter(leaf, nn.Parameter(value.to(dtype)))
    return model


def give_gradients(model, step):
    for name, parameter in model.named_parameters():
        grad = numbers(f"{name}'s gradient", step, parameter.numel()).view(parameter.shape)
        grad = grad * grad * grad * 2.0**-5
        grad.view(-1)[::5] = 0.0
        parameter.grad = grad.to(parameter.dtype)


def digest(model, optimizer):
    found = hashlib.blake2b(digest_size=8)
    for name, parameter in model.named_parameters():
        state = {key: value for key, value in optimizer.state[parameter].items() if torch.is_tensor(value)}
        for key, tensor in [("", parameter.detach()), *sorted(state.items())]:
            raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            found.update(f"{name}:{key}:{tensor.dtype}:{tuple(tensor.shape)}:".encode() + raw)
    return found.hexdigest()


def few(model, optimizer):
    """Some entries of θ, and of s̄ where there is one."""
    values = []
    for parameter in model.parameters():
        values.append(parameter.detach().reshape(-1)[1::10][:3].tolist())
        if "sensitivity" in optimizer.state[parameter]:
            values.append(optimizer.state[parameter]["sensitivity"].reshape(-1)[1::10][:3].tolist())
    return values


@contextmanager
def forced(path):
    """``PATS_KERNEL`` as a path needs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATS_KERNEL", PATHS[path][0])
        yield


def trajectory(path, noise, dtype):
    """Digests at the steps that are shown, and some values at the last one."""
    kernel, make, _, _ = PATHS[path]
    with forced(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the literal readings are warned of
        model = model_of(SMALL if kernel == "triton" else SHAPES, DTYPES[dtype])
        optimizer = make(model, NOISES[noise])
        digests = []
        for step in range(1, STEPS + 1):
            give_gradients(model, step)
            for group in optimizer.param_groups:
                group["lr"] = LR * (1 - step / 25)
            optimizer.step()
            if step in SHOWN:
                digests.append(digest(model, optimizer))
    return {"digests": digests, "values": few(model, optimizer)}


def rows():
    """Path, noise and dtype of every trajectory."""
    return [(path, noise, dtype) for path, (_, _, noises, dtypes) in PATHS.items()
            for noise in noises for dtype in dtypes]  # fmt: skip


def maker():
    """Who made the processor, as Linux tells it; "" where nobody does."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


@lru_cache
def probe():
    """A digest of what processors, torch and the C library may compute differently."""
    found = hashlib.blake2b(
        f"{torch.__version__.partition('+')[0]} {platform.machine()}".encode(), digest_size=8
    )
    found.update(repr([[beta**t for t in range(1, 21)] for beta in (0.9, 0.999)]).encode())
    for dtype in DTYPES.values():
        a, b, c = (numbers(name, 0, 1517).to(dtype) for name in "abc")
        root, most = (b * b).sqrt(), torch.maximum(a.abs(), b.abs() + 1e-8)
        for tensor in (
            a.lerp(b, 0.1), torch._foreach_lerp([a], [b], 0.1)[0], a.mul(0.9).addcmul(b, c, value=0.1), root,
            a.addcdiv(b, most, value=-1e-3), torch._foreach_addcdiv([a], [b], [most], -1e-3)[0],
            a / (root + 1e-8),
            torch.special.ndtri((a.double() + 1) / 2.5 + 0.1), a.double().std(), a.sum(dtype=torch.float64),
        ):  # fmt: skip
            found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    for array in (
        numbers("a", 0, 1517).float().numpy(),
        numbers("a", 0, 1517).numpy(),
    ):  # Triton's interpreter
        positive = array + array.dtype.type(1.125)
        for value in (np.log(positive), np.exp(array), np.sqrt(positive), np.sum(array), array @ array):
            found.update(value.tobytes())
    if maker() not in (INTEL, ""):  # the square root of torch's mathematical library depends on the maker
        for dtype in (torch.float32, torch.float64):
            uneven = numbers("a", 0, 1517).abs().to(dtype)
            found.update(uneven.sqrt().numpy().tobytes() + uneven.log().numpy().tobytes())
    return found.hexdigest()


@lru_cache
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def needs(path):
    """Skip where a path's kernel is not there."""
    try:
        with forced(path):
            pats.kernels.info()
    except pats.InputError as error:
        pytest.skip(str(error))
    if PATHS[path][0] == "triton" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("Triton runs on a CPU in its interpreter alone")


def units(found, expected, dtype):
    """How many units in the last place two lists of lists of numbers differ by at the most."""
    off = [
        max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / (max(map(abs, theirs)) or 1.0)
        for ours, theirs in zip(found, expected, strict=True)
    ]
    return max(off) / torch.finfo(DTYPES[dtype]).eps


def known(recorded):
    """The digests that a path has to give on this machine; None where that is not known."""
    return recorded["digests"].get("any", recorded["digests"].get(probe()))


@pytest.mark.parametrize(("path", "noise", "dtype"), rows(), ids=str)
def test_the_trajectory_is_the_recorded_one(path, noise, dtype):
    needs(path)
    found, recorded = trajectory(path, noise, dtype), golden()["trajectories"][f"{path} | {noise} | {dtype}"]
    assert units(found["values"], recorded["values"], dtype) <= (ULPS_SIGNED if noise == "signed" else ULPS)
    assert found["digests"] == (known(recorded) or found["digests"])


def test_every_recorded_trajectory_is_tested():
    assert {" | ".join(row) for row in rows()} == set(golden()["trajectories"])
