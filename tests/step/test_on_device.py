"""Steps of the Triton kernels that use what the last one found, against steps that look everything up.

A stale table would have the kernels write where they must not, so every row of ``CHANGES`` says whether the
next step may still be served. Natively on a GPU, else in Triton's interpreter.
"""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn

import pats
from pats.kernels import triton as path
from pats.kernels.triton.plan import Plan
from pats.step.on_device import Halves, Whole

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not path.INTERPRETED, reason="needs a GPU, or TRITON_INTERPRET=1 from the start"
)

BUDGET = pats.Noise(budget=0.3, steps=9, seed=3)
CONSTANT = pats.Noise(scale="constant", lam=1e-4, seed=3)
SCOPE = r"layer\."


@pytest.fixture(autouse=True)
def in_triton(monkeypatch):
    monkeypatch.setenv("PATS_KERNEL", "triton")


def network():
    torch.manual_seed(0)
    model = nn.Module()
    model.layer = nn.ModuleList(nn.Linear(4, size) for size in (4, 3))
    model.head = nn.Linear(3, 2, bias=False)
    return model.to(DEVICE)


def fill(model, step, scale=1.0):
    """New gradients, in new memory."""
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        grad = torch.randn(parameter.shape, generator=generator) * scale
        parameter.grad = grad.to(parameter) if parameter.requires_grad else None


def groups(model):
    return pats.param_groups(model, scope=SCOPE)


def perturbed(model):
    optimizer = torch.optim.AdamW(groups(model), lr=1e-2, fused=True)
    optimizer.handle = pats.perturb(optimizer, model, CONSTANT, scope=SCOPE)
    return optimizer


def descending(model):
    """An optimizer that does not count its steps."""
    optimizer = torch.optim.SGD(groups(model), lr=1e-2)
    optimizer.handle = pats.perturb(optimizer, model, BUDGET, scope=SCOPE)
    return optimizer


OPTIMIZERS = {
    "adamax": lambda model: pats.optim.Adamax(groups(model), lr=1e-2, noise=BUDGET),
    "adamw": lambda model: pats.optim.AdamW(groups(model), lr=1e-2, noise=CONSTANT),
    "no noise": lambda model: pats.optim.Adamax(groups(model), lr=1e-2, fused=True),
    "perturb": perturbed,
    "perturb, no counter": descending,
    "apart": lambda model: pats.optim.Adamax(groups(model), lr=1e-2, noise=BUDGET, foreach=True),
}


def weight(model):
    return model.layer[0].weight


def set_all(**settings):
    def change(model, optimizer, monkeypatch):
        for group in optimizer.param_groups:
            group.update(settings)

    return change


def move(model, optimizer, monkeypatch):
    weight(model).data = weight(model).data.clone()


def move_state(key):
    def change(model, optimizer, monkeypatch):
        state = optimizer.state[weight(model)]
        if key in state and isinstance(state[key], torch.Tensor):
            state[key].data = state[key].data.clone()

    return change


def replace_state(key):
    def change(model, optimizer, monkeypatch):
        state = optimizer.state[weight(model)]
        if key in state:
            state[key] = state[key].clone()

    return change


def transpose(model, optimizer, monkeypatch):
    weight(model).data = weight(model).data.t().contiguous().t()


def turn(model, optimizer, monkeypatch):
    """The same memory, read in another order."""
    weight(model).data = weight(model).data.t()


def replace_parameter(model, optimizer, monkeypatch):
    old = weight(model)
    new = nn.Parameter(old.detach().clone())
    model.layer[0].weight = new
    for group in optimizer.param_groups:
        group["params"] = [new if one is old else one for one in group["params"]]
    optimizer.state[new] = optimizer.state.pop(old)
    if hasattr(optimizer, "handle"):
        optimizer.handle._find()


def freeze(model, optimizer, monkeypatch):
    weight(model).requires_grad_(False)


def thaw(model, optimizer, monkeypatch):
    model.layer[1].bias.requires_grad_(True)


def leave_out(model, optimizer, monkeypatch):
    for group in optimizer.param_groups:
        for index, one in enumerate(group["params"]):
            if one is model.head.weight:
                del group["params"][index], group["param_names"][index]


def rename(model, optimizer, monkeypatch):
    if not hasattr(optimizer, "handle"):
        for group in optimizer.param_groups:
            group["param_names"] = [f"other.{name}" for name in group["param_names"]]


def load(model, optimizer, monkeypatch):
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def count_on(model, optimizer, monkeypatch):
    optimizer.state[weight(model)]["step"] += 5


# What happens between two steps, and whether the next one may still use what the last one found; a set has
# the optimizers for which it may, since they have no such thing.
CHANGES = {
    "nothing": (lambda *_: None, True),
    "rate": (set_all(lr=5e-3), True),
    "counter moved on": (count_on, True),
    "betas": (set_all(betas=(0.8, 0.99)), False),
    "decay": (set_all(weight_decay=0.1), False),
    "gate": (set_all(noise_p=0.7), False),
    "seed": (set_all(noise_seed=4), False),
    "maximize": (set_all(maximize=True), False),
    "scope": (set_all(in_scope=True), False),
    "names": (rename, {"perturb", "perturb, no counter"}),
    "storage": (move, False),
    "first moment moved": (move_state("exp_avg"), {"perturb, no counter"}),
    "sensitivity moved": (move_state("sensitivity"), {"no noise"}),
    "sensitivity": (replace_state("sensitivity"), {"no noise"}),
    "account": (replace_state("noise_spent"), {"adamw", "no noise", "perturb"}),
    "counter": (replace_state("step"), False),
    "transposed": (transpose, False),
    "turned": (turn, False),
    "replaced": (replace_parameter, False),
    "frozen": (freeze, False),
    "thawed": (thaw, False),
    "left out": (leave_out, False),
    "loaded": (load, False),
    "kernel": (lambda m, o, monkeypatch: monkeypatch.setenv("PATS_KERNEL", "eager"), False),
}


def trained(name, change, monkeypatch, looks_up):
    """Tensors and telemetry after three steps, a change and two more; whether what was found served those."""
    model = network()
    optimizer = OPTIMIZERS[name](model)
    model.layer[1].bias.requires_grad_(False)
    served = []
    with monkeypatch.context() as patched:
        for cls in (Whole, Halves):
            patched.setattr(cls, "renew", watched(cls.renew, served, looks_up))
        for step in range(5):
            if step == 3:
                change(model, optimizer, patched)
            fill(model, step)
            optimizer.step()
    tensors = [parameter.detach() for parameter in model.parameters()]
    for parameter in model.parameters():
        tensors += [value for value in optimizer.state[parameter].values() if isinstance(value, torch.Tensor)]
    return tensors, getattr(optimizer, "handle", optimizer), served


def watched(renew, served, looks_up):
    def watch(self):
        served.append(not looks_up and renew(self))
        return served[-1]

    return watch


# fused=True and no noise: without the kernel that is an error, whatever the last step found.
PAIRS = [(name, change) for name in OPTIMIZERS for change in CHANGES]
PAIRS.remove(("no noise", "kernel"))


@pytest.mark.parametrize(("name", "change"), PAIRS)
def test_what_makes_a_plan_anew(name, change, monkeypatch):
    """No kernel is run, which the interpreter would take long for."""
    monkeypatch.setattr(Plan, "_launch", lambda *_: None)
    happens, still = CHANGES[change]
    _, _, served = trained(name, happens, monkeypatch, looks_up=False)
    assert served[:2] == [True, True]
    assert served[2] is (still if isinstance(still, bool) else name in still)


@pytest.mark.parametrize("change", ["rate", "storage"])
@pytest.mark.parametrize("name", ["adamax", "perturb, no counter"])
def test_same_bits_as_a_step_that_looks_everything_up(name, change, monkeypatch):
    happens, still = CHANGES[change]
    found, teller, served = trained(name, happens, monkeypatch, looks_up=False)
    expected, told, looked_up = trained(name, happens, monkeypatch, looks_up=True)
    assert len(found) == len(expected) > 10
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert teller.stats() == told.stats() != {}
    assert served == [True, True, still, True]
    assert not any(looked_up)


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_gradients_die_with_their_step(name):
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(4):
        fill(model, step)
        grads = [weakref.ref(parameter.grad) for parameter in model.parameters()]
        optimizer.step()
        model.zero_grad(set_to_none=True)
        gc.collect()
        assert not any(ref() is not None for ref in grads)


LAUNCHES = {"adamax": 5, "adamw": 5, "no noise": 3, "perturb": 6, "apart": 6}


@pytest.mark.parametrize("name", LAUNCHES)
def test_launches_and_copies_of_a_step_are_few(name, monkeypatch):
    """The matrices of this network have no sizes that are multiples of 16 but one: two kinds of launch."""
    launches, copies = [], []
    launch, send = Plan._launch, Plan.send
    monkeypatch.setattr(
        Plan, "_launch", lambda self, *given: launches.append(given[0].__name__) or launch(self, *given)
    )
    monkeypatch.setattr(Plan, "send", lambda self, *given: copies.append(1) or send(self, *given))
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(3):
        fill(model, step)
        launches.clear()
        copies.clear()
        optimizer.step()
        assert len(launches) <= LAUNCHES[name] + 1, launches
        assert len(copies) <= 2


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_subsets_of_gradients_that_take_turns_keep_their_plans(name, monkeypatch):
    made = []
    init = Plan.__init__
    monkeypatch.setattr(Plan, "__init__", lambda self, *given: made.append(1) or init(self, *given))
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(8):
        fill(model, step)
        (model.layer[0] if step % 2 else model.layer[1]).weight.grad = None
        optimizer.step()
    assert len(made) == 2


def bits(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_a_freed_gradient_is_refused(name):
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    fill(model, 3)
    weight(model).grad.untyped_storage().resize_(0)
    before = bits(model)
    with pytest.raises(RuntimeError, match=r"gradient of 'layer\.0\.weight' has been freed"):
        optimizer.step()
    assert all(map(torch.equal, before, bits(model)))


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_a_stale_gradient_of_another_dtype_is_refused_or_goes_with_its_parameter(name):
    """``model.half()`` after the first steps takes gradients along, but no state."""
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    model.half()
    fill(model, 3)
    before = bits(model)
    if name == "adamax":  # moments in float32 are state_dtype's, and s̄ is float32 whatever θ is
        optimizer.step()
        assert not any(map(torch.equal, before, bits(model)))
        return
    with pytest.raises(RuntimeError):  # torch's own fused step
        optimizer.step()


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_a_parameter_on_another_device_is_refused_with_its_name(name):
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    weight(model).data = weight(model).data.to("meta" if DEVICE == "cpu" else "cpu")
    weight(model).grad = torch.zeros_like(weight(model))
    with pytest.raises(RuntimeError, match=r"layer\.0\.weight.* on |of 'layer\.0\.weight'"):
        optimizer.step()


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_a_group_that_is_added_takes_part(name):
    model, plain = network(), network()
    trained = []
    for one in (model, plain):
        optimizer = OPTIMIZERS[name](one)
        one.layer.append(nn.Linear(4, 2).to(DEVICE).requires_grad_(True))
        with torch.no_grad():
            for index, parameter in enumerate(one.layer[2].parameters()):
                parameter.fill_(0.1 + index)
        for step in range(3):
            fill(one, step)
            for parameter in one.layer[2].parameters():
                parameter.grad = None
            optimizer.step()
        if one is plain:
            replay = optimizer._replay if name == "adamax" else optimizer.handle._stepper.replay
            replay.forget()
        template = {k: v for k, v in optimizer.param_groups[0].items() if k not in ("params", "param_names")}
        names = ["layer.2.weight", "layer.2.bias"]
        optimizer.add_param_group(
            {**template, "params": [*one.layer[2].parameters()], "param_names": names, "in_scope": True}
        )
        before = one.layer[2].weight.detach().clone()
        for step in range(3, 5):
            fill(one, step)
            optimizer.step()
        assert not torch.equal(before, one.layer[2].weight)
        trained.append(bits(one))
    assert all(map(torch.equal, *trained))


def test_two_optimizers_over_the_same_tensors_do_not_take_each_others_state():
    def both(again):
        model = network()
        optimizers = [OPTIMIZERS["adamax"](model), OPTIMIZERS["adamw"](model)]
        for step in range(6):
            fill(model, step)
            if not again:
                for optimizer in optimizers:
                    optimizer._replay.forget()
            optimizers[step % 2].step()
        return bits(model)

    assert all(map(torch.equal, both(again=True), both(again=False)))


def test_a_parameter_that_is_deleted_leaves_the_rest():
    model = network()
    optimizer = OPTIMIZERS["adamax"](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    gone = weakref.ref(weight(model))
    for group in optimizer.param_groups:
        for index, one in enumerate(group["params"]):
            if one is weight(model):
                del group["params"][index], group["param_names"][index]
                break
    del one, optimizer.state[weight(model)], model.layer[0].weight
    for step in range(2):
        fill(model, step)
        optimizer.step()
    gc.collect()
    assert gone() is None or all(gone() is not p for group in optimizer.param_groups for p in group["params"])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_copies_go_on_with_the_same_bits_and_tables_of_their_own(copied):
    model = network()
    optimizer = OPTIMIZERS["adamax"](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    for parameter in model.parameters():
        parameter.grad = None
    other, its = copied((model, optimizer))
    for step in range(3, 6):
        for one, own in ((model, optimizer), (other, its)):
            fill(one, step)
            own.step()
    assert all(map(torch.equal, bits(model), bits(other)))
    assert {float(state["step"]) for state in its.state.values()} == {6.0}


@pytest.mark.parametrize("name", ["perturb", "perturb, no counter"])
def test_found_inf_and_grad_scale_are_read_by_the_kernels_alone(name, monkeypatch):
    """A step that is skipped changes and counts nothing; a scaled one has the bits of one that is not."""
    usual, model = network(), network()
    expected = OPTIMIZERS[name](usual)
    for step in range(2):
        fill(usual, step)
        expected.step()
    optimizer = OPTIMIZERS[name](model)
    for step, overflow in ((0, True), (0, False), (1, True), (1, False)):
        fill(model, step, scale=1024.0 if name == "perturb" else 1.0)
        optimizer.found_inf = torch.tensor(float(overflow), device=DEVICE)
        if name == "perturb":
            optimizer.grad_scale = torch.tensor(1024.0, device=DEVICE)
        before = bits(model)
        with monkeypatch.context() as patched:
            patched.setattr(torch.Tensor, "__bool__", unread)
            patched.setattr(torch.Tensor, "__float__", unread)
            patched.setattr(torch.Tensor, "item", unread)
            step_of = optimizer.step
            if name == "perturb":
                patched.undo()  # torch's own step on a CPU reads them
        if name == "perturb, no counter":  # SGD without fused=True looks at no found_inf: it is skipped here
            held = optimizer.handle._stepper.measure()
            if not overflow:
                descend(optimizer)
            optimizer.handle._stepper.perturb(held)
        else:
            step_of()
        assert all(map(torch.equal, before, bits(model))) == overflow
    assert all(map(torch.equal, bits(usual), bits(model)))
    counts = {float(optimizer.state[p]["step"]) for p in model.layer.parameters()}
    assert counts == {2.0}
    assert {row["skipped"] for row in optimizer.handle.stats().values()} == {0}


def unread(self):
    raise AssertionError("a number of the device was read")


def descend(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.data.add_(parameter.grad, alpha=-group["lr"])
