"""The five numbers that an account keeps of each matrix: made once, found again, loaded, shared.

They are kept in ``optimizer.state[p]`` as views of one row (``pats._budget.ROW``), which the kernels read and
write. Code that replaces them there, as loading does, replaces the row.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats._budget import KEYS, ROW, SPREAD, views
from pats.kernels.job import capturing
from pats.step import shard


@dataclass
class _Account:
    parameter: Tensor
    name: str
    row: Tensor
    views: dict[str, Tensor]
    kept: bool = False  # the state has held the views
    looks: int = 0  # how often its entries were all equal and were looked at again


class Ledger:
    """The rows of one optimizer's matrices.

    Args:
        optimizer: The optimizer whose state holds them.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._entries: dict[int, _Account] = {}
        self._flat: list[_Account] = []
        self._warned = False

    @property
    def settled(self) -> bool:
        """Whether the spread of every matrix is known, so that nothing is left to look up."""
        return not self._flat

    def open(self, targets: Sequence[tuple[Tensor, str]]) -> None:
        """Have a row for each of the matrices; a collective where some of them are sharded.

        Args:
            targets: Parameters with an account and their names, which are empty without a budget: those with
                a gradient, and every sharded one.
        """
        new = [(parameter, name) for parameter, name in targets if self._known(parameter) is None]
        unknown = []
        for parameter, name in new:
            entry = self._opened(parameter, name)
            self._entries[id(parameter)] = entry
            # Ranks differ in which rows they have loaded, so all take part for every sharded matrix.
            if shard.is_sharded(parameter) or not bool(entry.row[SPREAD]):
                unknown.append(entry)
        again = [
            entry
            for entry in self._flat
            if self._entries[id(entry.parameter)] is entry and not capturing(entry.parameter.device)
        ]
        there = [entry for entry in again if _is_far(entry.row)]
        asked = [*(entry for entry in again if not _is_far(entry.row)), *unknown]
        if not asked and not there:
            return
        self._flat = self._looked_at(there)
        spreads = shard.spreads([entry.parameter for entry in asked])
        for entry, spread in zip(asked, spreads, strict=True):
            if not bool(entry.row[SPREAD]):
                entry.row[SPREAD] = spread
        self._flat += [e for e in asked if e.parameter.numel() > 1 and not bool(e.row[SPREAD])]
        self._warn()

    def _looked_at(self, there: Sequence[_Account]) -> list[_Account]:
        """Bring the spreads of an accelerator's matrices up to date; those that may still have none.

        The host does not wait for a spread. It asks after 1, 2, 4, 8 ... looks whether there is one by now,
        on all ranks at the same ones.
        """
        spreads = shard.spreads_there([entry.parameter for entry in there])
        left = []
        for entry, spread in zip(there, spreads, strict=True):
            held = entry.row[SPREAD]
            held.copy_(torch.where(held > 0.0, held, spread))
            entry.looks += 1
            asks = entry.looks & (entry.looks - 1) == 0
            if not (asks and bool(held)):
                left.append(entry)
        return left

    def row(self, parameter: Tensor) -> Tensor:
        """The row of a matrix that ``open`` has seen."""
        return self._entries[id(parameter)].row

    def keep(self, parameter: Tensor) -> None:
        """Have the optimizer's state hold the numbers, once it holds its own."""
        state = self._optimizer.state[parameter]
        entry = self._entries[id(parameter)]
        if state.get(KEYS[0]) is not entry.views[KEYS[0]]:
            state.update(entry.views)
            entry.kept = True

    def _known(self, parameter: Tensor) -> _Account | None:
        entry = self._entries.get(id(parameter))
        if entry is None or entry.parameter is not parameter or entry.row.device != parameter.device:
            return None
        held = self._optimizer.state.get(parameter, {})
        # Where a load, or the user, has taken the views away, a new account begins.
        same = all(held.get(key, None if entry.kept else view) is view for key, view in entry.views.items())
        return entry if same else None

    def _opened(self, parameter: Tensor, name: str) -> _Account:
        """A new row, with the numbers that the state holds, as after loading."""
        if capturing(parameter.device):
            raise RuntimeError(
                "a matrix has no noise budget yet, and a CUDA graph would make it again at every replay: "
                "take a few steps before the capture"
            )
        row = torch.zeros(len(ROW), dtype=torch.float64, device=parameter.device)
        held = self._optimizer.state.get(parameter, {})
        if all(key in held for key in KEYS):
            row.copy_(torch.stack([torch.as_tensor(held[key]).detach().to(row).reshape(()) for key in KEYS]))
        return _Account(parameter, name, row, views(row))

    def _warn(self) -> None:
        names = [entry.name for entry in self._flat if entry.name]
        if names and not self._warned:
            self._warned = True
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            warnings.warn(
                f"all entries of {names[0]!r}{more} are equal, and a noise budget is a share of the "
                "weights' spread: they get no noise until they differ",
                stacklevel=5,
            )


def _is_far(row: Tensor) -> bool:
    """Whether the host waits for a device where it reads a row."""
    return row.device.type != "cpu"
