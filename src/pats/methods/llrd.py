"""LLRD: the lower a block lies, the smaller is its learning rate.

With n blocks and the factor ξ, block i = 0 … n-1 from the bottom has the learning rate lr·ξ^(n-i):

    head, pooler, and what else comes after the blocks    lr
    the top block                                         lr·ξ
    the bottom block                                      lr·ξⁿ
    embeddings                                            lr·ξⁿ⁺¹

as Zhang et al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021, and their code. ELECTRA (Clark et al.,
ICLR 2020) has ξ² for the top block, and so on. It goes back to ULMFiT (Howard & Ruder, ACL 2018), where every
layer has 1/2.6 of the rate of the layer above.
"""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from pats._errors import InputError
from pats._scope import canonical_name
from pats.methods import _options
from pats.methods._blocks import blocks
from pats.methods._method import Method


@dataclass(frozen=True)
class LLRDOptions:
    """Options of layer-wise learning-rate decay.

    Args:
        factor: ξ in (0, 1], of a block's learning rate to that of the block above; 1 is plain fine-tuning.
    """

    factor: float = _options.number(
        0.95, 0, 1, above=True, source="Zhang et al.'s script; ELECTRA: 0.8 and 0.9, ULMFiT: 0.38"
    )


class LLRD(Method[LLRDOptions]):
    """The optimizer's groups are divided by block; each keeps all its settings but the learning rate.

    The schedule multiplies the learning rate of every group. So does noise that follows the learning rate
    (``pats.scale="lr"``).
    """

    name = "llrd"
    summary = "smaller learning rates for lower blocks"
    sentence = "layer-wise learning-rate decay (smaller rates for lower blocks, Zhang et al. 2021)"
    source = "Howard & Ruder, ACL 2018; Clark et al., ICLR 2020; Zhang et al., ICLR 2021"
    changes = ("rates",)
    cost = "as many parameter groups as blocks"
    Options = LLRDOptions

    def rates_(self, optimizer: Optimizer, model: nn.Module) -> None:
        """Divide every group by depth, the top first."""
        depth = depths(model)
        groups = []
        for group in optimizer.param_groups:
            if "param_names" not in group:
                raise InputError(
                    "llrd needs names in every parameter group: build the groups with "
                    "pats.param_groups(model)"
                )
            members: dict[float, tuple[list[nn.Parameter], list[str]]] = {}
            named = zip(group["params"], group["param_names"], strict=True)
            for parameter, name in sorted(named, key=lambda one: depth[canonical_name(one[1])]):
                rate = group["lr"] * self.options.factor ** depth[canonical_name(name)]
                params, names = members.setdefault(rate, ([], []))
                params.append(parameter)
                names.append(name)
            groups += [
                {**group, "params": params, "param_names": names, "lr": rate}
                for rate, (params, names) in members.items()
            ]
        optimizer.param_groups[:] = groups


def depths(model: nn.Module) -> dict[str, int]:
    """How many factors the learning rate of each trainable parameter has, by canonical name.

    What lies before the blocks has one more than the bottom block, and so has every table wherever it lies:
    relative positions that all blocks share, say. What lies between two blocks goes with the lower one.
    """
    stack = list(blocks(model, LLRD.name))
    tables = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    lowest, found, at = len(stack) + 1, {}, len(stack) + 1
    for raw, parameter in model.named_parameters():
        name = canonical_name(raw)
        inside = next((i for i, block in enumerate(stack) if name.startswith(f"{block}.")), None)
        if inside is not None:
            found[name] = len(stack) - inside
            at = min(at, found[name] if found[name] > 1 else 0)
        else:
            found[name] = lowest if id(parameter) in tables else at
    return found
