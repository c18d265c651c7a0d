"""``keep="transient"``: the noise is in the weights while the model is trained on, and nowhere else.

It goes in at the first training forward pass with gradients after a step. It comes out before the optimizer
steps, at a forward pass in ``eval()`` or without gradients, at ``state_dict`` and ``load_state_dict``, and
before a module or the optimizer is copied or pickled. A backward pass finds the weights of its forward pass.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo  # as torch.optim: the public one imports dynamo at once
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from pats._errors import InputError
from pats._last import KEY, drawn
from pats.step import shard
from pats.step.matrices import Target
from pats.step.shift import Shifted, kept_in, shift

_Reduce = Callable[[Any], Any]
_REDUCE = "__reduce_ex__"
# Where torch keeps the hooks of a module that are ours: no copy takes them along.
_HOOKS = (
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
)


class Transient:
    """The noise of one optimizer that comes and goes.

    Args:
        optimizer: The optimizer, whose state says what the noise is.
        model: The model.
        targets: Yields (group, parameter, canonical name) of every parameter in scope.
    """

    def __init__(
        self, optimizer: Optimizer, model: nn.Module, targets: Callable[[], Iterable[Target]]
    ) -> None:
        self._optimizer, self._model, self._targets = optimizer, model, targets
        self._inside: list[Shifted] = []
        self._handles: list[RemovableHandle] = []
        self._reduced: list[tuple[Any, _Reduce, _Reduce | None]] = []
        self._outermost: nn.Module | None = None  # of the hooked modules whose forward pass is under way
        self._handled = id(None)  # the exception of an except clause around that pass
        self._is_in, self._met, self._paused, self._steps = False, False, 0, 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _Nobody, ()  # a hook that a module copies by itself does nothing

    def attach(self) -> None:
        """Watch the model, as it is now.

        Raises:
            InputError: The parameters are spread over ranks.
        """
        self.detach()
        targets = [*self._targets()]
        for _, parameter, name in targets:
            if shard.is_sharded(parameter):
                raise InputError(
                    f"keep is 'transient', but {name!r} is spread over the ranks, whose forward passes work "
                    "on gathered copies: use DDP, or choose keep='anticorrelated'"
                )
        wanted = {id(parameter) for _, parameter, _ in targets}
        called = {id(module) for module in _called(self._model, wanted)}
        for module in self._model.modules():
            if not any(id(parameter) in wanted for parameter in module.parameters()):
                continue
            self._handles += [
                module.register_state_dict_pre_hook(self._before_saving),  # type: ignore[no-untyped-call]
                module.register_load_state_dict_pre_hook(self._before_loading),  # type: ignore[no-untyped-call]
            ]
            if id(module) in called:
                before, after = self._before_part, self._after_part
                if module is self._model:
                    before, after = self._before_forward, self._after_forward
                self._handles += [
                    module.register_forward_pre_hook(before, prepend=True),
                    module.register_forward_hook(after, always_call=True),
                ]
            self._reduce(module)
        self._reduce(self._optimizer)

    def detach(self) -> None:
        """Take the noise out, and watch nothing any more."""
        self.take_out()
        for handle in self._handles:
            handle.remove()
        for owner, ours, before in self._reduced:
            if owner.__dict__.get(_REDUCE) is not ours:
                continue  # that of another one, which passes on to ours, which does nothing now
            if before is None:
                del owner.__dict__[_REDUCE]
            else:
                owner.__dict__[_REDUCE] = before
        self._handles, self._reduced = [], []

    @property
    def attached(self) -> bool:
        """Whether the model is watched."""
        return bool(self._handles)

    def begin_step(self) -> str | None:
        """Take the noise out before anything is measured.

        Returns:
            What to warn of: noise that no forward pass has met.
        """
        self._outermost = None
        self.take_out()
        self._steps += 1
        met, self._met = self._met, False
        return None if met or not self._due() else _UNMET

    def _due(self) -> bool:
        return any(drawn(state[KEY]) is not None for _, state in kept_in(self._optimizer))

    def put_in(self) -> None:
        """Add the noise of the last step, if it is not there yet."""
        if self._is_in or self._paused:
            return
        self._is_in = True
        try:
            for parameter, state in kept_in(self._optimizer):
                shift(parameter, state, inside=False, done=self._inside)
        except BaseException:
            self.take_out()
            raise

    def take_out(self) -> None:
        """Put the old values back, if they are not there."""
        while self._inside:
            self._inside[-1].undo()
            self._inside.pop()
        self._is_in = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Without noise, whatever is done."""
        self.take_out()
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    def _before_forward(self, module: nn.Module, args: Any) -> None:
        if not torch.compiler.is_exporting():
            self._enter(module)

    def _after_forward(self, module: nn.Module, args: Any, output: Any) -> None:
        if not torch.compiler.is_exporting():
            self._leave(module, output)

    # Inside a compiled model the outermost module does it alone: every other one would break the graph.
    def _before_part(self, module: nn.Module, args: Any) -> None:
        if not torch.compiler.is_compiling():
            self._enter(module)

    def _after_part(self, module: nn.Module, args: Any, output: Any) -> None:
        if not torch.compiler.is_compiling():
            self._leave(module, output)

    @_disable_dynamo
    def _enter(self, module: nn.Module) -> None:
        if getattr(module, "_is_replica", False):
            raise InputError(
                "keep is 'transient', but nn.DataParallel has copied the weights before the noise can go in: "
                "use one GPU a process (torchrun, DDP), or choose keep='anticorrelated'"
            )
        if self._outermost not in (None, module):
            return
        self._outermost = module
        self._handled = id(sys.exc_info()[1])
        if not (module.training and torch.is_grad_enabled()):
            self.take_out()
            return
        if not self._is_in and torch._C._current_graph_task_id() != -1 and self._due():
            raise InputError(
                "keep is 'transient', but the whole model is recomputed in the backward pass, by a "
                "checkpoint whose forward pass had no gradients and so no noise: checkpoint with "
                "use_reentrant=False, or the model's blocks alone"
            )
        self._met = True
        self.put_in()

    @_disable_dynamo
    def _leave(self, module: nn.Module, output: Any) -> None:
        if self._outermost is not module:
            return
        self._outermost = None
        if not self._is_in:
            return
        if output is None and id(sys.exc_info()[1]) != self._handled:
            if torch._C._current_graph_task_id() == -1:  # else a checkpoint has recomputed what it needs
                self.take_out()  # the forward pass has failed
            return
        step = self._steps

        def back(grad: Tensor) -> None:
            if step == self._steps:  # an evaluation since then has taken the noise out
                self.put_in()

        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                tensor.register_hook(back)  # type: ignore[no-untyped-call]

    def _before_saving(self, *given: Any) -> None:
        self._outermost = None
        self.take_out()

    def _before_loading(self, *given: Any) -> None:
        self.take_out()

    def _reduce(self, owner: nn.Module | Optimizer) -> None:
        """Have ``copy`` and ``pickle`` find no noise in a module or the optimizer, and none of our hooks."""
        before: _Reduce | None = owner.__dict__.get(_REDUCE)

        def reduce_ex(protocol: Any) -> Any:
            self._outermost = None
            self.take_out()
            reduced = type(owner).__reduce_ex__(owner, protocol) if before is None else before(protocol)
            if isinstance(reduced, tuple) and len(reduced) > 2 and isinstance(reduced[2], dict):
                return *reduced[:2], self._stripped(reduced[2]), *reduced[3:]
            return reduced

        owner.__dict__[_REDUCE] = reduce_ex
        self._reduced.append((owner, reduce_ex, before))

    def _stripped(self, state: dict[str, Any]) -> dict[str, Any]:
        ours = {handle.id for handle in self._handles}
        hooks = {
            name: type(state[name])((key, hook) for key, hook in state[name].items() if key not in ours)
            for name in _HOOKS
            if name in state
        }
        return {**{name: value for name, value in state.items() if name != _REDUCE}, **hooks}


_UNMET = (
    "the noise of keep='transient' has met no training forward pass since the last step, so it had no "
    "effect: call the model that pats.perturb was given, or a part of it, in train(), and attach after "
    "torch.compile"
)


class _Nobody:
    """What a hook of ours is in a copy of its module: nothing."""

    def _before_forward(self, *given: Any) -> None:
        pass

    _after_forward = _before_part = _after_part = _before_saving = _before_loading = _before_forward


def _called(module: nn.Module, wanted: set[int]) -> Iterator[nn.Module]:
    """The modules that somebody may call by themselves: down to the repeated blocks."""
    if not any(id(parameter) in wanted for parameter in module.parameters()):
        return
    if not isinstance(module, nn.ModuleList | nn.ModuleDict):
        yield module
    if isinstance(module, nn.ModuleList | nn.ModuleDict | nn.Sequential):
        return
    for child in module.children():
        yield from _called(child, wanted)
