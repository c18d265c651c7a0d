"""Methods that act on the model, on every architecture that ``scope`` knows; ``eval()`` is plain."""

import pytest
import torch

from pats import scope
from pats.methods import PassClock, Training, anchors, create
from support.architectures import ARCHITECTURES, build_model, make_batch

# Noise that shows in the loss of a model without dropout, and a pull that does not overshoot.
OPTIONS = {
    "mixout": {"p": 0.5},
    "recadam": {"gamma": 1.0},
    "r3f": {"eps": 0.1},
    "smart": {"radius": 0.1, "sigma": 0.1},
    "ivon": {"sigma": 0.1},
    "hype": {"sigma": 0.1},
    "rwp": {"sigma": 0.05},
}
AT_ONCE = {"noisytune", "freelb", "neftune", "smart", "r3f", "rdrop", "hype", "rwp", "sam", "ivon"}
METHODS = [
    *("recadam", "mixout", "smart", "freelb", "neftune", "r3f", "noisytune+mixout+freelb+pats"),
    *("rdrop", "hype", "rwp", "childtuning", "sam", "ivon", "upgd"),
]


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=[row[0] for row in ARCHITECTURES])
def model(request):
    torch.manual_seed(0)
    return build_model(request.param[0], request.param[1])


@pytest.mark.parametrize("name", METHODS)
def test_method_on_architecture(model, name):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    options = OPTIONS.get(name, {})
    method, clock = create(name, options), PassClock()
    training = Training(lr=1e-3, anchors=anchors(model), examples=100)
    model.eval()
    plain = make_batch(PassClock(), model).forward().logits
    model.train()
    try:
        torch.manual_seed(1)
        loss_before = make_batch(PassClock(), model).forward().loss
        method.prepare_(model, training)
        optimizer = method.optimizer(model, training)
        with clock.attached(model), method.attached(model, training, clock):
            torch.manual_seed(1)
            loss = method.loss(make_batch(clock, model))
            at_once = AT_ONCE & set(name.split("+"))
            dropout = any(isinstance(module, torch.nn.Dropout) and module.p for module in model.modules())
            if at_once and (dropout or name != "rdrop"):  # the others act on what training has changed
                assert loss != loss_before
            loss.backward()
            assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
            inside = set(scope(model))
            reached = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
            assert len(inside & reached) > len(inside) / 2
            optimizer.step()
            if name == "mixout":
                clock.begin(2)
                torch.manual_seed(1)
                mixed = method.loss(make_batch(clock, model))
            optimizer.zero_grad()
            model.eval()
            inside_eval = make_batch(clock, model).forward().logits
        assert torch.equal(make_batch(PassClock(), model).forward().logits, inside_eval)
        assert not torch.equal(inside_eval, plain)
        if name == "mixout":
            model.train()
            torch.manual_seed(1)
            assert mixed != make_batch(PassClock(), model).forward().loss
        assert list(model.state_dict()) == list(before)
        assert not any("forward" in vars(module) for module in model.modules())
        hooks = [module._forward_hooks or module._forward_pre_hooks for module in model.modules()]
        assert not any(hooks)
    finally:
        model.load_state_dict(before)
