"""Contracts of the state that hold for every optimizer of ours and for ``perturb``."""

import copy
import io
import pickle
import weakref

import pytest
import torch

import pats
from support.small_network import backward, flat_weights, make_network, train_copy

LR = 1e-3
NOISE = pats.Noise.paper(lam=1e-4, seed=3)


def perturbed(model, noise=NOISE, **more):
    optimizer = torch.optim.Adamax(model.parameters(), lr=LR, **more)
    optimizer.handle = pats.perturb(optimizer, model, noise)
    return optimizer


def of(cls):
    def make(model, noise=NOISE, **more):
        return cls(pats.param_groups(model), lr=LR, noise=noise, **more)

    return make


MAKERS = {
    "perturb": perturbed,
    "adamax": of(pats.optim.Adamax),
    "adamw": of(pats.optim.AdamW),
    "reference": of(pats.optim.reference.PATSAdamax),
}
SAGES = {
    "sage adamax": lambda model: pats.optim.SAGEAdamax(pats.param_groups(model), lr=LR),
    "sage adamw": lambda model: pats.optim.SAGEAdamW(pats.param_groups(model), lr=LR),
}
OURS = {name: MAKERS[name] for name in ("perturb", "adamax", "adamw")}


def saved(optimizer):
    """The state dict after a round trip through a file that allows tensors and plain values only."""
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", [*MAKERS, *SAGES])
def test_resume_from_a_file_ends_with_the_same_bits(name, dtype):
    make = (MAKERS | SAGES)[name]
    alone, last = train_copy(make_network(dtype=dtype), make, steps=6)
    model, optimizer = train_copy(make_network(dtype=dtype), make, steps=3)
    again = make(model)
    again.load_state_dict(saved(optimizer))
    for step in range(3, 6):
        backward(model, step)
        again.step()
    assert torch.equal(flat_weights(alone), flat_weights(model))
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    for group in last.param_groups:
        for p, q in zip(group["params"], model.parameters(), strict=False):
            assert p.dtype == q.dtype
    for left, right in zip(last.state.values(), again.state.values(), strict=True):
        assert left.keys() == right.keys()
        for key in left:
            assert torch.equal(left[key], right[key]), key
            assert left[key].dtype == right[key].dtype, key
        if "sensitivity" in left:
            assert left["sensitivity"].dtype == expected


@pytest.mark.parametrize("name", OURS)
def test_one_float32_a_perturbed_parameter_and_nothing_else(name):
    _, plain = train_copy(
        make_network(dtype=torch.bfloat16), lambda m: torch.optim.Adamax(m.parameters(), lr=LR)
    )
    model, optimizer = train_copy(make_network(dtype=torch.bfloat16), OURS[name])
    size = lambda state: sum(v.numel() * v.element_size() for s in state.values() for v in s.values())  # noqa: E731
    inside = [p for n, p in model.named_parameters() if n in pats.scope(model)]
    assert size(optimizer.state) - size(plain.state) == 4 * sum(p.numel() for p in inside)


def test_groups_hold_plain_values():
    _, optimizer = train_copy(make_network(), MAKERS["adamax"])
    for group in optimizer.state_dict()["param_groups"]:
        fields = {key: value for key, value in group.items() if key.startswith("noise_")}
        assert fields["noise_lam"] == 1e-4
        assert fields["noise_seed"] == 3
        assert fields["noise_rng_version"] == 1
        assert all(value is None or type(value) in (int, float, bool, str) for value in fields.values())
        assert len(fields) == 19


@pytest.mark.parametrize("name", MAKERS)
def test_another_stream_raises_and_other_settings_warn(name):
    model, optimizer = train_copy(make_network(), MAKERS[name])
    state = optimizer.state_dict()
    other = copy.deepcopy(state)
    for group in other["param_groups"]:
        group["noise_rng_version"] = 2
    with pytest.raises(ValueError, match="rng_version 2"):
        MAKERS[name](model).load_state_dict(other)
    fresh = MAKERS[name](model, pats.Noise.paper(lam=5e-4, seed=3))
    with pytest.warns(UserWarning, match=r"noise_lam 0\.0001 instead of 0\.0005"):
        fresh.load_state_dict(state)
    assert fresh.param_groups[0]["noise_lam"] == 1e-4


@pytest.mark.parametrize("name", OURS)
def test_a_checkpoint_of_the_plain_optimizer_goes_on_with_noise(name):
    base = torch.optim.AdamW if name == "adamw" else torch.optim.Adamax
    groups = (lambda m: m.parameters()) if name == "perturb" else pats.param_groups
    model, plain = train_copy(make_network(), lambda m: base(groups(m), lr=LR))
    optimizer = OURS[name](model)
    optimizer.load_state_dict(plain.state_dict())
    backward(model, 5)
    optimizer.step()
    stats = (optimizer.handle if name == "perturb" else optimizer).stats()
    assert all(row["noise_rms"] > 0 for name, row in stats.items() if name.endswith("weight"))
    assert {int(state["step"]) for state in optimizer.state.values()} == {6}


@pytest.mark.parametrize(
    "mode", [("absolute", 1e-8), ("algorithm1", 1e-8), ("relative", 1e-2), ("absolute", 0.0)]
)
@pytest.mark.parametrize("name", MAKERS)
def test_dummy_steps_with_zero_gradients_leave_the_weights_alone(name, mode):
    """Distributed checkpointing and ZeRO step once with zero gradients (and lr 0) to create state."""
    eps_mode, eps = mode
    model = make_network()
    optimizer = MAKERS[name](model, pats.Noise(eps_mode=eps_mode, eps=eps))
    before = flat_weights(model)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(before, flat_weights(model))


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"]
)
@pytest.mark.parametrize("name", ["adamax", "adamw"])
def test_a_copy_of_the_optimizer_still_perturbs(name, clone):
    _, optimizer = train_copy(make_network(), MAKERS[name])
    copied = clone(optimizer)
    before = copied.param_groups[0]["params"][0].detach().clone()
    for group in copied.param_groups:
        group["lr"] = 0.0
        for parameter in group["params"]:
            parameter.grad = torch.randn_like(parameter)
    copied.step()
    assert not torch.equal(before, copied.param_groups[0]["params"][0])
    copied.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("cls", [pats.optim.Adamax, pats.optim.AdamW])
def test_groups_without_names_or_scope_raise_when_noise_is_on(cls):
    model = make_network()
    with pytest.raises(pats.InputError, match="names and in_scope"):
        cls(model.parameters(), noise=NOISE)
    with pytest.raises(pats.InputError, match="names and in_scope"):
        cls(model.named_parameters(), noise=NOISE)
    cls(model.parameters())
    optimizer = cls(pats.param_groups(model.layers, scope="linear"), noise=NOISE)
    with pytest.raises(pats.InputError, match="names and in_scope"):
        optimizer.add_param_group({"params": [("head", model.head.weight)]})


@pytest.mark.parametrize("name", ["adamax", "adamw"])
def test_state_dtype_keeps_the_moments_in_float32(name):
    make = MAKERS[name]
    model, optimizer = train_copy(
        make_network(dtype=torch.bfloat16), lambda m: make(m, state_dtype=torch.float32)
    )
    restored = make(model, state_dtype=torch.float32)
    restored.load_state_dict(saved(optimizer))
    for state in (*optimizer.state.values(), *restored.state.values()):
        assert {value.dtype for value in state.values()} == {torch.float32}
    assert all(p.dtype == torch.bfloat16 for p in model.parameters())
    # One step from equal state equals the float32 optimizer, rounded once.
    silent = make_network(dtype=torch.bfloat16)
    twin = copy.deepcopy(silent).float()
    low = make(silent, pats.Noise(p=0.0), state_dtype=torch.float32)
    high = make(twin, pats.Noise(p=0.0))
    backward(silent, 0)
    for p, q in zip(silent.parameters(), twin.parameters(), strict=True):
        q.grad = p.grad.float()
    low.step()
    high.step()
    for p, q in zip(silent.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q.bfloat16())


def test_frozen_and_thawed_layers():
    model = make_network()
    optimizer = MAKERS["adamax"](model)
    frozen = model.layers[0].linear.weight
    steps = []
    for step in range(6):
        backward(model, step)
        if step in (2, 3):
            frozen.grad = None
        before = frozen.detach().clone()
        optimizer.step()
        assert torch.equal(before, frozen) == (step in (2, 3))
        steps.append(int(optimizer.state[frozen]["step"]))
    assert steps == [1, 2, 2, 2, 3, 4]


@pytest.mark.parametrize("options", [{}, {"foreach": True}], ids=["default", "foreach"])
@pytest.mark.parametrize("name", OURS)
def test_gradients_are_free_after_the_step(name, options):
    """The telemetry that is kept from step to step holds none of them."""
    model = make_network()
    optimizer = OURS[name](model, **options)
    for step in range(2):
        backward(model, step)
        arrays = [parameter.grad.numpy().copy() for parameter in model.parameters()]
        for parameter, array in zip(model.parameters(), arrays, strict=True):
            parameter.grad = torch.from_numpy(array)
        alive = [weakref.ref(array) for array in arrays]
        del array, arrays
        optimizer.step()
        assert all(reference() is not None for reference in alive)
        optimizer.zero_grad(set_to_none=True)
        assert all(reference() is None for reference in alive)


BUDGET = {"noise_spread", "noise_mean", "noise_variance", "noise_size", "noise_spent"}
MOMENTS = {"step", "exp_avg", "exp_inf"}
# What a checkpoint holds of a matrix with noise, by the keys that earlier versions have written.
HELD = {
    "budget": (pats.Noise(), {"foreach": None}, MOMENTS | BUDGET | {"sensitivity"}),
    "paper": (pats.Noise.paper(), {"foreach": None}, MOMENTS | {"sensitivity"}),
    "apart": (pats.Noise(), {"foreach": True}, MOMENTS | BUDGET | {"sensitivity"}),
    "no noise": (None, {"fused": True}, MOMENTS),
}


@pytest.mark.parametrize(("noise", "options", "keys"), HELD.values(), ids=HELD)
def test_the_keys_of_a_checkpoint(noise, options, keys):
    model = make_network()
    optimizer = pats.optim.Adamax(pats.param_groups(model), noise=noise, **options)
    backward(model, 0)
    optimizer.step()
    assert set(optimizer.state[model.layers[0].linear.weight]) == keys
    ours = {key for key in optimizer.param_groups[0] if key.startswith("noise_")}
    fields = ["gamma", "beta", "p", "eps", "eps_mode", "intensity", "signed", "scale", "budget", "steps"]
    fields += ["kappa", "lam", "keep", "seed", "ratio_max", "until", "temperature", "examples", "rng_version"]
    assert ours == ({f"noise_{name}" for name in fields} if noise else set())
