"""What a state must look like before anything is done with it, and the counter of the noise."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats._noise import state_dtype
from pats.kernels.job import has_memory
from pats.step import shard

SENSITIVITY = "sensitivity"
HESSIAN = "hessian"  # IVON's
AVERAGES = frozenset({SENSITIVITY, HESSIAN})  # of float32 or float64, whatever the parameter's dtype
OURS = "noise_"  # begins the names of our other entries, of one element each

MOMENTS = frozenset({"exp_avg", "exp_inf", "exp_avg_sq", "max_exp_avg_sq"})  # of the parameter's dtype

# Entries that have their parameter's shape, in torch's optimizers and in ours.
SHAPED = (
    frozenset(
        {*AVERAGES, "anchor", "momentum_buffer", "square_avg", "grad_avg", "acc_delta"}
        | {"sum", "prev", "step_size", "ax", "variance"}
    )
    | MOMENTS
)
NEEDED = MOMENTS | AVERAGES | {"anchor"}  # other entries may be None, as SGD's buffer
EXACT = 2.0**23  # float32 counts to twice as many

Names = Callable[[], Mapping[int, str]]  # of parameters, by their identity


def knows(optimizer: Optimizer) -> bool:
    """Whether ``SHAPED`` describes its entries: it is one of torch's optimizers, or of ours."""
    modules = (cls.__module__ for cls in type(optimizer).__mro__ if cls not in (Optimizer, object))
    return any(module.startswith(("torch.optim.", "pats.")) for module in modules)


def misfit(key: str, value: object, parameter: Tensor, gradient: Tensor | None = None) -> str | None:
    """What is wrong with an entry that should have its parameter's shape; None where nothing is."""
    if not isinstance(value, Tensor):
        if value is None and key not in NEEDED:
            return None
        return f"is a {type(value).__name__}, but must be a tensor"
    if value.shape != parameter.shape:
        return f"has shape {tuple(value.shape)}, but its parameter {tuple(parameter.shape)}"
    # torch's own entries of a parameter with sparse gradients are sparse; no kernel of ours sees them.
    if value.layout is not parameter.layout and (gradient is None or value.layout is not gradient.layout):
        return f"has the layout {value.layout}, but its parameter {parameter.layout}"
    if parameter.is_floating_point() and not value.is_floating_point():
        return f"is {value.dtype}, but must be a floating-point tensor"
    return None


def miscounted(value: object, parameter: Tensor) -> str | None:
    """What is wrong with a counter, its value aside; None where nothing is."""
    if not isinstance(value, Tensor):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if number else f"is {value!r}, but must be a number"
    if value.numel() != 1:
        return f"has shape {tuple(value.shape)}, but must be one number"
    if value.is_meta and not parameter.is_meta:
        return "has no data"
    if value.dtype == torch.bool or value.is_complex():
        return f"is {value.dtype}, but must be a number"
    return None


def check_step(optimizer: Optimizer, names: Names = dict) -> None:
    """Refuse a step whose gradients or states do not fit their parameters, before it changes anything.

    Attributes are compared, no entry is read, so that no accelerator is waited for.

    Args:
        optimizer: The optimizer that is about to step.
        names: Names of parameters whose groups have none.

    Raises:
        RuntimeError: A shape, a dtype, a device or a layout does not fit, or memory has been freed.
    """
    shaped = SHAPED if knows(optimizer) else {SENSITIVITY}
    for group in optimizer.param_groups:
        for index, parameter in enumerate(group["params"]):
            grad = parameter.grad
            if grad is None:
                continue
            _refuse_freed({"parameter": parameter, "gradient": grad}, group, index, names)
            why = None
            if grad.shape != parameter.shape:
                key = "gradient"
                why = f"has shape {tuple(grad.shape)}, but its parameter {tuple(parameter.shape)}"
            elif grad.device != parameter.device:
                key, why = "gradient", f"is on {grad.device}, but its parameter on {parameter.device}"
            elif parameter.is_floating_point() and not grad.is_floating_point():
                key, why = "gradient", f"is {grad.dtype}, but its parameter {parameter.dtype}"
            else:
                for key, value in optimizer.state.get(parameter, {}).items():
                    if key in shaped:
                        why = misfit(key, value, parameter, grad) or _misplaced(key, value, parameter)
                    elif key == "step" and shaped is SHAPED:
                        why = miscounted(value, parameter)
                    if why is not None:
                        break
                    if isinstance(value, Tensor):
                        _refuse_freed({key: value}, group, index, names)
            if why is not None:
                name = _name(group, index, names)
                raise RuntimeError(
                    f"the {key} of {name} {why}: where a parameter is replaced, clear its gradient and its "
                    "state, or build a new optimizer"
                )


def _refuse_freed(
    tensors: Mapping[str, Tensor | None], group: dict[str, Any], index: int, names: Names
) -> None:
    for what, tensor in tensors.items():
        if tensor is None or tensor.layout is not torch.strided or has_memory(shard.local(tensor)):
            continue
        raise RuntimeError(
            f"the memory of the {what} of {_name(group, index, names)} has been freed: step before it is"
        )


def _misplaced(key: str, value: Tensor | None, parameter: Tensor) -> str | None:
    if value is None:
        return None
    if value.device != parameter.device:
        return f"is on {value.device}, but its parameter on {parameter.device}"
    if not shard.alike(value, parameter):
        return "is spread over the ranks in another way than its parameter"
    if key in AVERAGES and value.dtype not in (torch.float32, torch.float64):
        return f"is {value.dtype}, but must be {state_dtype(parameter)}"
    if key in MOMENTS and value.dtype != parameter.dtype and not _widened(value, parameter):
        return f"is {value.dtype}, but its parameter {parameter.dtype}"
    return None


def _widened(value: Tensor, parameter: Tensor) -> bool:
    return value.dtype == torch.float32 and parameter.dtype in (torch.bfloat16, torch.float16)


def _name(group: dict[str, Any], index: int, names: Names) -> str:
    own: Sequence[str] = group.get("param_names") or ()
    name = own[index] if index < len(own) else names().get(id(group["params"][index]))
    return f"the group's parameter {index}" if name is None else repr(name)


def on_device(step: object) -> bool:
    """Whether reading a counter would make the host wait for an accelerator."""
    return isinstance(step, Tensor) and step.device.type != "cpu"


def counted(state: dict[str, Any]) -> float | None:
    """The counter of a state, which is made exact; None where there is none, or on a device.

    torch counts in float32, which stops counting at 2**24; its optimizers count in a float64 tensor as well.
    """
    step = state.get("step")
    if step is None or on_device(step):
        return None
    value = float(step)
    if value >= EXACT and isinstance(step, Tensor) and step.dtype == torch.float32:
        state["step"] = step.double()
    return value


def is_exact(step: Tensor, value: int) -> bool:
    """Whether a counter at a value need not be made exact."""
    return value < EXACT or step.dtype != torch.float32
