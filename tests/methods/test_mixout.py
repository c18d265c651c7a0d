import pytest
import torch
from torch import nn

from pats import InputError, philox
from pats.methods import PassClock, Training, create
from support.toy_classifier import Trial, make_toy, toy_inputs

LAYER = "body.layers.0.0"


def trial(model=None, seed=0, anchor=None, **options):
    """Mixout on the toy, whose anchors differ from its weights."""
    model = make_toy() if model is None else model
    anchors = {n: p.detach() + 0.5 if anchor is None else anchor(p) for n, p in model.named_parameters()}
    return Trial("mixout", options, model, seed=seed, anchors=anchors)


def mixed(trial, layer=LAYER, passes=1):
    """W̃ of the layer in some passes: its outputs for unit vectors, less its bias."""
    module, found = trial.model.get_submodule(layer), []
    for number in range(1, passes + 1):
        trial.clock.current = number
        found.append((module(torch.eye(module.in_features).double()) - module.bias).T.detach())
    return torch.stack(found)


def mask_of(layer, inputs_, p, number, seed=0, step=1):
    words = philox.words(seed, f"{layer}.weight", step, number << 34, inputs_, purpose=3)
    return words.to(torch.int64) < round((1 - p) * 2**32)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_formula(p):
    with trial(p=p, seed=3) as t:
        got = mixed(t, passes=6)
    w = make_toy().get_submodule(LAYER).weight.detach()
    u = w + 0.5
    for number, weight in enumerate(got, 1):
        kept = mask_of(LAYER, 4, p, number, seed=3)
        expected = torch.where(kept, u + (w - u) / (1 - p), u)  # one row of the mask for all outputs
        torch.testing.assert_close(weight, expected, rtol=1e-12, atol=1e-12)


def test_average_is_the_weight_and_the_bias_is_never_mixed():
    with trial(p=0.7) as t:
        got = mixed(t, passes=4000)
        t.clock.current = 1
        none = t.model.get_submodule(LAYER)(torch.zeros(4).double())
    w = make_toy().get_submodule(LAYER).weight.detach()
    assert torch.equal(none, make_toy().get_submodule(LAYER).bias)
    swapped = (got - (w + 0.5)).abs().sum(1) < 1e-9  # by pass and input
    share = swapped.double().mean(0)
    deviation = (0.7 * 0.3 / 4000) ** 0.5
    assert float((share - 0.7).abs().max()) < 5 * deviation
    assert float((share - 0.6).abs().max()) > 5 * deviation  # what it would be at another p
    error = 0.5 * (0.7 / 0.3 / 4000) ** 0.5
    assert float((got.mean(0) - w).abs().max()) < 5 * error


def test_limits():
    w = make_toy().get_submodule(LAYER).weight.detach()
    with trial(p=1.0) as t:
        torch.testing.assert_close(mixed(t)[0], w + 0.5, rtol=1e-14, atol=1e-14)
        _, grads = t.gradients()
        assert not grads[f"{LAYER}.weight"].any()
        assert grads[f"{LAYER}.bias"].any()
    with trial(p=0.0) as t:
        assert t.gradients()[0] == make_toy()(**toy_inputs()).loss
    with trial(p=0.9) as t:
        t.model.eval()
        assert t.loss() == make_toy()(**toy_inputs()).loss


def test_anchor_equal_to_the_weight_changes_nothing_but_the_gradient():
    with trial(p=0.5, anchor=lambda p: p.detach().clone()) as t:
        torch.testing.assert_close(t.loss(), make_toy()(**toy_inputs()).loss, rtol=1e-13, atol=0)


def test_exact_gradient_by_finite_differences_and_the_reference_one():
    grads = {}
    for grad in ("exact", "reference"):
        with trial(p=0.6, grad=grad) as t:
            _, found = t.gradients()
            grads[grad] = found
            if grad == "reference":
                continue
            for name in (f"{LAYER}.weight", "body.words.weight", "head.bias"):
                flat = t.model.get_parameter(name).data.view(-1)
                for i in range(0, flat.numel(), 5):
                    sides = []
                    for shift in (1e-6, -1e-6):
                        flat[i] += shift
                        t.clock.count = 0  # the same pass again
                        sides.append(t.loss().item())
                        flat[i] -= shift
                    slope = (sides[0] - sides[1]) / 2e-6
                    assert found[name].view(-1)[i].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)
    # The authors' gradient of a mixed weight is smaller by 1-p; that of what lies before is not.
    name = "head.weight"
    torch.testing.assert_close(grads["reference"][name], 0.4 * grads["exact"][name], rtol=1e-12, atol=0)
    name = "head.bias"
    assert torch.equal(grads["reference"][name], grads["exact"][name])


def test_masks_are_fresh_for_every_pass_and_step_but_not_for_a_pass_again():
    with trial(p=0.5) as t:
        seen = []
        for step, number in ((1, 1), (1, 2), (2, 1), (1, 1)):
            t.clock.begin(step)
            seen.append({n: t_of(t, n, number) for n in ("body.layers.0.0", "body.layers.0.1", "head")})
    flat = [torch.cat(list(masks.values())) for masks in seen]
    assert torch.equal(flat[0], flat[3])
    assert not torch.equal(flat[0], flat[1])
    assert not torch.equal(flat[0], flat[2])


def t_of(t, layer, number):
    t.clock.current = number
    module = t.model.get_submodule(layer)
    return (module(torch.eye(module.in_features).double()) - module.bias).sum(1).detach()


def test_the_model_keeps_no_trace():
    model = make_toy(dropout=0.3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with trial(model, p=0.5, dropout="replace") as t:
        assert model.dropout.p == 0
        assert list(model.state_dict()) == list(before)
        assert list(dict(model.named_modules())) == list(dict(make_toy().named_modules()))
        assert set(t.method.state()) == {
            f"{name}.weight" for name in ("body.layers.0.0", "body.layers.0.1", "head")
        }
    assert model.dropout.p == 0.3
    assert all("forward" not in vars(module) for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_scope_and_state():
    with trial(p=0.5, scope="encoder") as t:
        assert set(t.method.state()) == {"body.layers.0.0.weight", "body.layers.0.1.weight"}
        t.method.load_state({name: torch.full_like(v, 9.0) for name, v in t.method.state().items()})
        assert float(t.method.state()["body.layers.0.0.weight"][0, 0]) == 9
    with pytest.raises(InputError, match="holds no weight of a linear layer"), trial(scope="words"):
        pass


def test_tied_weights_and_transposed_layers():
    from transformers.pytorch_utils import Conv1D

    model = nn.Module()
    model.one, model.two, model.conv = nn.Linear(3, 3), nn.Linear(3, 3), Conv1D(5, 3)
    model.two.weight = model.one.weight
    model.double()
    method, clock = create("mixout", {"p": 0.5}), PassClock()
    anchors = {name: p.detach() + 1 for name, p in model.named_parameters()}
    with method.attached(model, Training(anchors=anchors), clock):
        assert set(method.anchors) == {"one.weight", "conv.weight"}
        eye = torch.eye(3).double()
        torch.testing.assert_close(model.one(eye) - model.one.bias, model.two(eye) - model.two.bias)
        kept = mask_of("conv", 3, 0.5, clock.current)
        w = model.conv.weight.detach()
        expected = torch.where(kept[:, None], (w + 1) - 1 / 0.5, w + 1)
        torch.testing.assert_close((model.conv(eye) - model.conv.bias).detach(), expected)
