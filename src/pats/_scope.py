"""Which parameters a method acts on, and under which names.

The paper perturbs "the parameters of all the encoder layers except the Layer Normalization layers"
(appendix A.2). The encoder layers are found by structure, not by a list of architectures: they are the
repeated blocks of the base model, that is the outermost ``ModuleList`` or ``Sequential`` whose members
are composite modules with weight matrices.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from pats._errors import InputError

Scope = str | Iterable[str] | Callable[..., bool]

_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_NORM = re.compile(r"(Layer|RMS)_?Norm", re.IGNORECASE)


@lru_cache(maxsize=65536)  # an optimizer asks at every step
def canonical_name(name: str) -> str:
    """The name without the components that DDP, ``torch.compile``, FSDP and checkpointing insert.

    PEFT's ``base_model.model`` stays. A wrapper around the parameter's own module is removed too, so
    a name never depends on how the model is wrapped.
    """
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def named_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Trainable floating-point parameters by canonical name, tied ones once, in the model's order.

    Raises:
        InputError: Two parameters have the same name once the wrappers' components are removed.
    """
    named: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        if not (parameter.requires_grad and parameter.is_floating_point()):
            continue
        short = canonical_name(name)
        if short in named:
            raise InputError(
                f"two parameters are named {short!r} once the components "
                f"{', '.join(sorted(_WRAPPERS))} are removed (one of them is {name!r}): rename one"
            )
        named[short] = parameter
    return named


def scope(model: nn.Module, scope: Scope = "encoder") -> list[str]:
    """Canonical names of the parameters in a scope, in the model's order.

    Args:
        model: Any module; wrappers such as DDP, PEFT and ``torch.compile`` are looked through.
        scope: One of

            - ``"encoder"``: weights and biases inside the repeated blocks of the base model, every
              LayerNorm and RMSNorm excluded (the paper's scope). Embeddings, pooler, head and what is
              shared between blocks are out.
            - ``"all"``: every trainable floating-point parameter, norms included.
            - ``"pretrained"``: those of the base model, so that a new head is left out (NoisyTune).
            - another string: a regular expression that ``re.search`` finds in the canonical name.
            - a callable ``(name, parameter) -> bool``, or ``(name) -> bool``.
            - a list of canonical names.

    Returns:
        The names. Frozen and integer parameters are never in scope, tied ones stand once.

    Raises:
        InputError: Nothing is found, or a listed name is no trainable parameter of the model.
    """
    named = named_parameters(model)
    if not isinstance(scope, str) and not callable(scope):
        return _listed(named, scope)
    if callable(scope):
        found, wanted = _called(named, scope), "the callable accepted"
    elif scope == "all":
        found, wanted = list(named), "'all' takes trainable floating-point parameters"
    elif scope == "encoder":
        found, wanted = _encoder(model, named)
    elif scope == "pretrained":
        found, wanted = _pretrained(model, named)
    else:
        try:
            pattern = re.compile(scope)
        except re.error as error:
            raise InputError(f"scope {scope!r} is no regular expression: {error}") from None
        found = [name for name in named if pattern.search(name)]
        wanted = f"the regular expression {scope!r} was searched in every parameter's name"
    if not found:
        examples = ", ".join(list(named)[:3]) or "none at all"
        raise InputError(
            f"no parameter is in scope: {wanted}, and found none among the {len(named)} trainable "
            f'parameters of {type(model).__name__} ({examples}); pass "all", a regular expression, a '
            "callable or a list of names"
        )
    return found


def param_groups(
    model: nn.Module, scope: Scope = "encoder", weight_decay: float | None = None
) -> list[dict[str, Any]]:
    """Parameter groups that carry names and scope, for ``pats.optim`` and for torch's optimizers.

    Args:
        model: The model; frozen parameters are left out.
        scope: As in ``pats.scope``.
        weight_decay: None leaves the optimizer's own default for all; a number is the decay of all
            but biases and norms, which get 0.

    Returns:
        At most four groups, each with ``params``, ``param_names`` (canonical) and ``in_scope``, and
        with ``weight_decay`` where a number is given; empty groups are left out.
    """
    if weight_decay is not None and not weight_decay >= 0:
        raise InputError(f"weight_decay is {weight_decay!r}, but must be at least 0, or None")
    named = named_parameters(model)
    inside = set(_scope_names(model, scope))
    norms = _norm_names(model)
    undecayed = {name for name in named if name.endswith("bias") or name in norms}
    groups = []
    for in_scope in (True, False):
        members = [name for name in named if (name in inside) == in_scope]
        if weight_decay is None:
            parts: list[tuple[list[str], dict[str, Any]]] = [(members, {})]
        else:
            parts = [
                ([n for n in members if n not in undecayed], {"weight_decay": weight_decay}),
                ([n for n in members if n in undecayed], {"weight_decay": 0.0}),
            ]
        for names, settings in parts:
            if names:
                groups.append(
                    {
                        "params": [named[name] for name in names],
                        "param_names": names,
                        "in_scope": in_scope,
                        **settings,
                    }
                )
    return groups


_scope_names = scope  # inside functions that have an argument of this name


def _listed(named: dict[str, nn.Parameter], names: Iterable[str]) -> list[str]:
    wanted = {canonical_name(name) for name in names}
    missing = sorted(wanted - set(named))
    if missing:
        raise InputError(
            f"scope lists {missing[0]!r}, which is no trainable floating-point parameter of the model"
        )
    if not wanted:
        raise InputError("scope is an empty list: name at least one parameter")
    return [name for name in named if name in wanted]


def _called(named: dict[str, nn.Parameter], accepts: Callable[..., bool]) -> list[str]:
    try:
        inspect.signature(accepts).bind("name", None)
    except TypeError:
        return [name for name in named if accepts(name)]
    except ValueError:  # a builtin without a signature
        pass
    return [name for name, parameter in named.items() if accepts(name, parameter)]


def _encoder(model: nn.Module, named: dict[str, nn.Parameter]) -> tuple[list[str], str]:
    blocks = [canonical_name(name) for name in _repeated_blocks(model)]
    norms = _norm_names(model)
    found = [
        name for name in named if name not in norms and any(name.startswith(f"{block}.") for block in blocks)
    ]
    wanted = (
        f"'encoder' takes the trainable parameters, norms excepted, inside {', '.join(blocks)}"
        if blocks
        else "'encoder' looks for repeated blocks, a ModuleList or Sequential of composite modules "
        "with weight matrices inside the base model"
    )
    return found, wanted


def _pretrained(model: nn.Module, named: dict[str, nn.Parameter]) -> tuple[list[str], str]:
    prefix, base = _base_model(model)
    if base is None:
        return [], "'pretrained' takes the base model of a transformers model"
    inside = {id(parameter) for parameter in base.parameters()}
    wanted = f"'pretrained' takes the trainable parameters of the base model {prefix!r}"
    return [name for name, parameter in named.items() if id(parameter) in inside], wanted


def _base_model(model: nn.Module) -> tuple[str, nn.Module | None]:
    """The base model of the outermost transformers model and its name; ("", None) without one."""
    for module in model.modules():
        prefix = getattr(module, "base_model_prefix", None)
        if isinstance(prefix, str):
            base = getattr(module, prefix, None) if prefix else None
            if not isinstance(base, nn.Module):  # the module is a base model itself
                base = module
            # PEFT and torch.compile forward attributes, so the name is found by identity.
            return next(name for name, child in model.named_modules() if child is base), base
    return "", None


def _repeated_blocks(model: nn.Module) -> list[str]:
    """Names of the outermost containers of repeated blocks."""
    prefix, base = _base_model(model)
    containers: list[str] = []
    for name, module in (base if base is not None else model).named_modules(prefix=prefix):
        inside = any(name.startswith(f"{container}.") for container in containers)
        if not inside and _repeats(module):
            containers.append(name)
    return containers


def _repeats(module: nn.Module) -> bool:
    if isinstance(module, nn.ModuleList):
        fewest = 1  # ALBERT has one group of layers
    elif isinstance(module, nn.Sequential):
        fewest = 2
    else:
        return False
    blocks = list(module.children())
    if len(blocks) < fewest or not all(_is_block(block) for block in blocks):
        return False
    return isinstance(module, nn.ModuleList) or len({type(block) for block in blocks}) == 1


def _is_block(module: nn.Module) -> bool:
    composite = any(True for _ in module.children())
    return composite and any(parameter.ndim >= 2 for parameter in module.parameters())


def _norm_names(model: nn.Module) -> set[str]:
    return {canonical_name(name) for name, _ in _norm_parameters(model)}


def _norm_parameters(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, module in model.named_modules(remove_duplicate=False):
        by_class = isinstance(module, nn.LayerNorm | nn.RMSNorm | nn.GroupNorm)
        leaf = not any(True for _ in module.children())
        if by_class or (leaf and _NORM.search(type(module).__name__)):
            yield from module.named_parameters(prefix=name, recurse=False)
