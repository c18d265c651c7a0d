"""Which parameters a method acts on, and under which names.

The paper perturbs "the parameters of all the encoder layers except the Layer Normalization layers"
(appendix A.2). The encoder layers are found by structure, not by a list of architectures: they are the
repeated blocks of the base model, that is the outermost ``ModuleList`` or ``Sequential`` whose members
are composite modules with weight matrices.
"""

import inspect
import re
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from torch import nn

from pats._errors import InputError, did_you_mean

Scope = str | Iterable[str] | Callable[..., bool]

_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_NORM = re.compile(r"(Layer|RMS)_?Norm", re.IGNORECASE)
_NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
_CONVOLUTION = nn.modules.conv._ConvNd
_MIXES = (nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, _CONVOLUTION)
_TASK_MODEL = re.compile(r"For[A-Z]")  # transformers' names: WhisperForAudioClassification
_UNDECAYED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")
_LITTLE = 1 / 3  # of a model's parameters; "encoder" warns below


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


def twins(name: str) -> InputError:
    """What to raise where two parameters of one optimizer have this name."""
    return InputError(
        f"two parameters of this optimizer are named {name!r}, and would get the same noise: give them names "
        "of their own in param_names, such as those of one module that holds both models"
    )


def refuse_twins(groups: Iterable[dict[str, Any]]) -> None:
    """Refuse two parameters of one name, since noise and states are found by name.

    Raises:
        InputError: There are such.
    """
    seen: set[str] = set()
    for name in (canonical_name(name) for group in groups for name in group.get("param_names", ())):
        if name in seen:
            raise twins(name)
        seen.add(name)


def scope(model: nn.Module, scope: Scope = "encoder") -> list[str]:
    """Canonical names of the parameters in a scope, in the model's order.

    Source: Appendix A.2 of the paper (all encoder layers but layer normalisation); finding them by
    structure is PATS's own.

    Args:
        model: Any module; wrappers such as DDP, PEFT and ``torch.compile`` are looked through.
        scope: One of

            - ``"encoder"``: weights and biases inside the repeated blocks of the base model (the paper's
              scope). Every norm is out, and what only scales and shifts as they do; so are embeddings
              and other lookup tables, pooler, head, what is shared between blocks, and a convolutional
              front end before blocks that are more than convolutions. It warns where it finds little.
            - ``"all"``: every trainable floating-point parameter, norms included.
            - ``"pretrained"``: those of the base model, so that a new head is left out (NoisyTune), also
              where it is inside the base model.
            - another string: a regular expression that ``re.search`` finds in the canonical name.
            - a callable ``(name, parameter) -> bool``, or ``(name) -> bool``.
            - a list of canonical names.

    Returns:
        The names. Frozen and integer parameters are never in scope; tied ones appear once.

    Raises:
        InputError: Nothing is found, or a listed name is no trainable parameter of the model.
    """
    named = named_parameters(model)
    if not isinstance(scope, str) and not callable(scope):
        return _listed(named, scope)
    if callable(scope):
        names, wanted = _called(named, scope), "the callable accepted"
    elif scope == "all":
        names, wanted = list(named), "'all' takes trainable floating-point parameters"
    elif scope == "encoder":
        names, wanted = _encoder(model, named)
    elif scope == "pretrained":
        names, wanted = _pretrained(model, named)
    else:
        try:
            pattern = re.compile(scope)
        except re.error as error:
            raise InputError(f"scope {scope!r} is no regular expression: {error}") from None
        names = [name for name in named if pattern.search(name)]
        wanted = f"the regular expression {scope!r} was searched in every parameter's name"
    if not names:
        examples = ", ".join(list(named)[:3]) or "none at all"
        raise InputError(
            f"no parameter is in scope: {wanted}, and found none among the {len(named)} trainable "
            f'parameters of {type(model).__name__} ({examples}); pass "all", a regular expression, a '
            "callable or a list of names"
        )
    return names


def param_groups(
    model: nn.Module, scope: Scope = "encoder", weight_decay: float | None = None
) -> list[dict[str, Any]]:
    """Parameter groups that carry names and scope, for ``pats.optim`` and for torch's optimizers.

    Source: PATS's own.

    Args:
        model: The model; frozen parameters are left out.
        scope: As in ``pats.scope``.
        weight_decay: None leaves the optimizer's own default for all; a number is the decay of all
            but biases and norms, which get 0. The split is that of ``transformers.Trainer``: every
            ``nn.LayerNorm``, and what is named a bias or a norm.

    Returns:
        At most four groups, each with ``params``, ``param_names`` (canonical) and ``in_scope``, and
        with ``weight_decay`` where a number is given; empty groups are left out.

    Raises:
        InputError: The scope finds nothing, or ``weight_decay`` is negative.
    """
    if weight_decay is not None and not weight_decay >= 0:
        raise InputError(f"weight_decay is {weight_decay!r}, but must be at least 0, or None")
    named = named_parameters(model)
    inside = set(_scope_names(model, scope))
    norms = _names_in(model, lambda module: isinstance(module, nn.LayerNorm))
    undecayed = {name for name in named if name in norms or _UNDECAYED.search(name.lower())}
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
            f"scope lists {missing[0]!r}{did_you_mean(missing[0], named)}, which is no trainable "
            "floating-point parameter of the model"
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
    blocks = [canonical_name(name) for name in repeated_blocks(model)]
    norms = _names_in(model, _only_scales)
    tables = _names_in(model, lambda module: isinstance(module, nn.Embedding))
    counted = [name for name in named if name not in norms and name not in tables]
    names = [name for name in counted if any(name.startswith(f"{block}.") for block in blocks)]
    if 0 < len(names) < _LITTLE * len(counted):
        warnings.warn(
            f"scope 'encoder' covers {len(names)} of the {len(counted)} parameters of "
            f"{type(model).__name__} that are neither norms nor embeddings, those inside "
            f'{", ".join(blocks)}: pass "all", a regular expression, a callable or a list of names if '
            "more is meant",
            stacklevel=3,
        )
    wanted = (
        f"'encoder' takes the trainable parameters, norms excepted, inside {', '.join(blocks)}"
        if blocks
        else "'encoder' looks for repeated blocks, a ModuleList or Sequential of composite modules "
        "with weight matrices inside the base model"
    )
    return names, wanted


def _pretrained(model: nn.Module, named: dict[str, nn.Parameter]) -> tuple[list[str], str]:
    bases = _base_models(model)
    if not bases:
        return [], "'pretrained' takes the base model of a transformers model"
    inside, heads = set(), set()
    for _, base in bases:
        inside |= {id(parameter) for parameter in base.parameters()}
        for module in base.modules():
            if module is not base and "Classification" in type(module).__name__:  # Perceiver's decoder
                heads |= {id(parameter) for parameter in module.parameters()}
    names = ", ".join(repr(name) for name, _ in bases)
    wanted = f"'pretrained' takes the trainable parameters of the base model {names}"
    return [name for name, parameter in named.items() if id(parameter) in inside - heads], wanted


def _base_models(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The base model of the outermost transformers model, by name; none where there is no such model.

    A model for a task that keeps no base model under the usual name has its parts instead, as
    WhisperForAudioClassification has an encoder.
    """
    outer = next((module for module in model.modules() if _is_transformers(module)), None)
    if outer is None:
        return []
    base = getattr(outer, str(outer.base_model_prefix) or "-", None)
    bases: list[nn.Module] = [base] if isinstance(base, nn.Module) else []
    if not bases and _TASK_MODEL.search(type(outer).__name__):
        bases = [child for child in outer.children() if _is_transformers(child)]
    base_ids = {id(module) for module in bases or [outer]}
    return [(name, module) for name, module in model.named_modules() if id(module) in base_ids]


def _is_transformers(module: nn.Module) -> bool:
    # Of the class, since PEFT and torch.compile forward attributes.
    return isinstance(getattr(type(module), "base_model_prefix", None), str)


def repeated_blocks(model: nn.Module) -> list[str]:
    """Names of the outermost containers of repeated blocks, without front ends."""
    containers: dict[str, nn.Module] = {}
    for prefix, base in _base_models(model) or [("", model)]:
        for name, module in base.named_modules(prefix=prefix):
            inside = any(name.startswith(f"{container}.") for container in containers)
            # Embeddings of several stages are lists of blocks, too: patch_embeddings, pos_conv_embed.
            if not inside and "embed" not in name.removeprefix(prefix) and _repeats(module):
                containers[name] = module
    convolutional = {name for name, module in containers.items() if _is_convolutional(module)}
    front_ends = convolutional if len(convolutional) < len(containers) else set()
    return [name for name in containers if name not in front_ends]


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


def _is_convolutional(module: nn.Module) -> bool:
    """All its weight matrices are those of convolutions."""
    return all(
        isinstance(inner, _CONVOLUTION)
        for inner in module.modules()
        if any(parameter.ndim >= 2 for parameter in inner.parameters(recurse=False))
    )


def _names_in(model: nn.Module, wanted: Callable[[nn.Module], bool]) -> set[str]:
    """Canonical names of the parameters that belong directly to the wanted modules."""
    return {
        canonical_name(name)
        for prefix, module in model.named_modules(remove_duplicate=False)
        if wanted(module)
        for name, _ in module.named_parameters(prefix=prefix, recurse=False)
    }


def _only_scales(module: nn.Module) -> bool:
    """A norm, or a module that scales and shifts every channel by itself as a norm does.

    MobileBERT's NoNorm and timm's Affine are such: they take one tensor, and have vectors alone.
    """
    own = list(module.parameters(recurse=False))
    if not own or len(own) < sum(1 for _ in module.parameters()):
        return False
    if isinstance(module, _NORMS) or _NORM.search(type(module).__name__):
        return True
    vectors = all(parameter.numel() == max(parameter.shape, default=1) for parameter in own)
    return vectors and not isinstance(module, _MIXES) and _takes_one(module)


def _takes_one(module: nn.Module) -> bool:
    arguments = inspect.signature(module.forward).parameters.values()
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [a for a in arguments if a.default is inspect.Parameter.empty and a.kind not in free]
    return len(needed) == 1 and needed[0].kind is not inspect.Parameter.KEYWORD_ONLY
