import numpy as np
import pytest
import torch

from pats import InputError, philox
from pats.methods import MicroBatch, PassClock, Training, create
from support import by_hand
from support.toy_classifier import make_toy, toy_inputs


def stepped(options, steps=1, decay=0.0, optimizer="adamw", seed=7, batches=None, method=None):
    """A model after some steps, its optimizer, and each step's gradients before and after the mask."""
    model, clock = make_toy(), PassClock()
    method = create("childtuning", options) if method is None else method
    training = Training(optimizer, lr=0.1, weight_decay=decay, seed=seed, batches=batches)
    made = method.optimizer(model, training)
    seen = []
    for step in range(1, steps + 1):
        clock.begin(step)
        made.zero_grad()
        method.loss(MicroBatch(model, toy_inputs(), clock)).backward()
        before = {name: p.grad.clone() for name, p in model.named_parameters()}
        made.step()
        seen.append((before, {name: p.grad.clone() for name, p in model.named_parameters()}))
    return model, made, seen


def kept(name, shape, p, step, seed=7):
    words = philox.words(seed, name, step, 0, int(np.prod(shape)), purpose=6).to(torch.int64)
    return (words < round(p * 2**32)).view(shape)


@pytest.mark.parametrize(
    ("p", "scope"), [(0.3, None), (0.75, "all"), (0.5, "encoder"), (1.0, None), (0.01, "head")]
)
def test_f_masks_and_scales_the_gradient_at_every_step(p, scope):
    _, optimizer, seen = stepped({"p": p, "scope": scope}, steps=3)
    for step, (before, after) in enumerate(seen, 1):
        for name, grad in before.items():
            inside = scope in (None, "all") or {"encoder": ".layers.", "head": "head"}[scope] in name
            expected = grad * kept(name, grad.shape, p, step) / p if inside else grad
            torch.testing.assert_close(after[name], expected, rtol=1e-14, atol=0)
    assert {group["mask_step"] for group in optimizer.param_groups} == {3}


@pytest.mark.parametrize("optimizer", ["adamw", "adamax"])
def test_the_mask_enters_both_moments(optimizer):
    model, made, seen = stepped({"p": 0.5}, optimizer=optimizer)
    for name, parameter in model.named_parameters():
        grad, state = seen[0][1][name], made.state[parameter]
        torch.testing.assert_close(state["exp_avg"], 0.1 * grad)
        if optimizer == "adamw":
            torch.testing.assert_close(state["exp_avg_sq"], 0.001 * grad**2)
        else:
            torch.testing.assert_close(state["exp_inf"], grad.abs() + 1e-8)


def test_average_is_the_gradient():
    _, _, seen = stepped({"p": 0.3}, steps=40)
    shares = [(after["body.words.weight"] != 0).double().mean() for _, after in seen]
    rows = (seen[0][0]["body.words.weight"] != 0).double().mean()  # words that the batch has
    assert float(torch.stack(shares).mean() / rows) == pytest.approx(0.3, abs=0.05)


def test_a_resumed_optimizer_goes_on_with_its_masks():
    _, _, seen = stepped({"p": 0.5}, steps=4)
    model, other, _ = stepped({"p": 0.5}, steps=3)
    again = create("childtuning", {"p": 0.5}).optimizer(model, Training("adamw", lr=0.1, seed=7))
    again.load_state_dict(other.state_dict())
    model.zero_grad()
    model(**toy_inputs()).loss.backward()
    again.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, seen[3][1][name])
    assert {group["mask_step"] for group in again.param_groups} == {4}


# Variant D -----------------------------------------------------------------------------------------------

BATCHES = [{key: value[rows] for key, value in toy_inputs().items()} for rows in (slice(0, 2), slice(2, 3))]
LAYERS = [f"body.layers.0.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")]


def information(each):
    """Of every layer's entries: the mean square of the gradient of a batch, or of an example."""
    leaves = by_hand.leaves(make_toy())
    logits, labels = by_hand.logits_of(leaves), toy_inputs()["labels"]
    parts = [[0], [1], [2]] if each else [[0, 1], [2]]
    found = {name: 0.0 for name in LAYERS}
    for rows in parts:
        loss = by_hand.task_loss(logits[rows], labels[rows])
        grads = torch.autograd.grad(loss, [leaves[name] for name in LAYERS], retain_graph=True)
        for name, grad in zip(LAYERS, grads, strict=True):
            found[name] = found[name] + grad**2 / len(parts)
    return found


@pytest.mark.parametrize("fisher", ["batch", "example"])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.9, 1.0])
def test_d_keeps_the_entries_with_the_largest_information(fisher, p):
    options = {"variant": "D", "p": p, "fisher": fisher}
    start = dict(make_toy().named_parameters())
    model, _, seen = stepped(options, steps=3, batches=lambda: BATCHES)
    found = information(fisher == "example")
    least = np.percentile(np.concatenate([f.numpy().ravel() for f in found.values()]), 100 * (1 - p))
    masks = {name: f >= least - 1e-18 for name, f in found.items()}
    share = sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())
    assert share == pytest.approx(p, abs=0.03)
    for before, after in seen:
        for name, grad in before.items():
            assert torch.equal(after[name], grad * masks[name] if name in masks else grad)
    for name, parameter in model.named_parameters():
        moved = parameter != start[name]
        if name in masks:
            assert torch.equal(moved, masks[name])
        else:
            assert moved.any()


def test_weight_decay_moves_what_is_outside_the_child_network():
    model, _, _ = stepped({"variant": "D", "p": 0.1}, decay=0.5, batches=lambda: BATCHES)
    start = dict(make_toy().named_parameters())
    mask = information(False)["body.layers.0.0.weight"]
    parameter = model.get_parameter("body.layers.0.0.weight").detach()
    outside = mask < mask.max() / 100
    torch.testing.assert_close(parameter[outside], (start["body.layers.0.0.weight"] * 0.95).detach()[outside])


def test_the_measurement_leaves_no_trace():
    model, method = make_toy(dropout=0.5), create("childtuning", {"variant": "D"})
    state = torch.get_rng_state()
    method.optimizer(model, Training(batches=lambda: BATCHES))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    other = create("childtuning", {"variant": "D"})
    other.optimizer(make_toy(), Training(batches=lambda: BATCHES))  # without dropout
    assert all(torch.equal(mask, other.masks[name]) for name, mask in method.masks.items())


def test_the_masks_of_a_checkpoint_are_taken_and_nothing_is_measured():
    def never():
        raise AssertionError

    saved = {name: torch.rand(p.shape) < 0.5 for name, p in make_toy().named_parameters() if name in LAYERS}
    method = create("childtuning", {"variant": "D"})
    method.load_state(saved)
    _, _, seen = stepped({}, batches=never, method=method)
    for name, mask in saved.items():
        assert torch.equal(seen[0][1][name], seen[0][0][name] * mask)
    assert method.state().keys() == saved.keys()
    assert create("childtuning").state() == {}


def test_without_training_data_d_is_refused_at_its_first_step():
    with pytest.raises(InputError, match=r"^childtuning's variant D [^\n]*take variant=F$"):
        stepped({"variant": "D"})
