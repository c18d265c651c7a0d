"""``capturable=True``: a step captured in a CUDA graph and replayed has the bits of steps that are not."""

import copy

import pytest
import torch

import pats
from support.small_network import make_network

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

NOISE = pats.Noise(scale="constant", lam=1e-4, seed=3)
BY_RATE = pats.Noise(scale="lr", kappa=1.0, seed=3)
WARM, REPLAYED = 3, 5  # steps before the capture, and in the graph


def ours(cls, noise=NOISE, **more):
    return lambda model: cls(pats.param_groups(model), capturable=True, noise=noise, **{"lr": 1e-3, **more})


def perturbed(base):
    def make(model):
        optimizer = base(pats.param_groups(model), lr=1e-3, capturable=True)
        pats.perturb(optimizer, model, NOISE)
        return optimizer

    return make


OPTIMIZERS = {
    "adamax": ours(pats.optim.Adamax),
    "adamax, foreach": ours(pats.optim.Adamax, foreach=True),
    "adamw": ours(pats.optim.AdamW),
    "adamw, rate on the device": lambda model: ours(
        pats.optim.AdamW, BY_RATE, lr=torch.tensor(1e-3, device="cuda")
    )(model),
    "perturb adamax": perturbed(torch.optim.Adamax),
    "perturb adamw": perturbed(torch.optim.AdamW),
}


def fill(model, step):
    """Gradients of a step, in the memory that the graph reads."""
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        parameter.grad.copy_(torch.randn(parameter.shape, generator=generator))


def state_of(model, optimizer):
    parameters = [*model.parameters()]
    return [*parameters, *(tensor for p in parameters for tensor in optimizer.state[p].values())]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replays_have_the_bits_of_steps(name):
    captured = make_network(width=33).cuda()
    plain = copy.deepcopy(captured)
    optimizers = [OPTIMIZERS[name](model) for model in (captured, plain)]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for step in range(WARM):
            for model, optimizer in zip((captured, plain), optimizers, strict=True):
                fill(model, step)
                optimizer.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):  # records the step and makes none
        optimizers[0].step()
    before = [parameter.detach().clone() for parameter in captured.parameters()]
    for step in range(WARM, WARM + REPLAYED):
        fill(captured, step)
        fill(plain, step)
        graph.replay()
        optimizers[1].step()
        states = [state_of(*both) for both in zip((captured, plain), optimizers, strict=True)]
        for mine, theirs in zip(*states, strict=True):
            assert torch.equal(mine, theirs), (name, step)
    assert {float(state["step"]) for state in optimizers[0].state.values()} == {WARM + REPLAYED}
    assert not any(map(torch.equal, before, captured.parameters()))
    if hasattr(optimizers[0], "stats"):
        assert optimizers[0].stats() == optimizers[1].stats()


def test_steps_without_the_graph_go_on_after_it():
    """What the capture has sent to the device is not taken by a step outside of it."""
    captured = make_network(width=33).cuda()
    plain = copy.deepcopy(captured)
    optimizers = [OPTIMIZERS["adamax"](model) for model in (captured, plain)]
    for step in range(WARM):
        for model, optimizer in zip((captured, plain), optimizers, strict=True):
            fill(model, step)
            optimizer.step()
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        optimizers[0].step()  # never replayed
    for model, optimizer in zip((captured, plain), optimizers, strict=True):
        fill(model, WARM)
        optimizer.step()
    for mine, theirs in zip(captured.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_capture_without_steps_before_it_is_refused():
    model = make_network(width=33).cuda()
    optimizer = OPTIMIZERS["adamax"](model)
    fill(model, 0)
    with (
        pytest.raises(RuntimeError, match="take a few steps before"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        optimizer.step()


def test_steps_that_are_counted_on_the_host_are_refused():
    model = make_network(width=33).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    pats.perturb(optimizer, model, NOISE)
    for step in range(WARM):
        fill(model, step)
        optimizer.step()
    with pytest.raises(RuntimeError, match="capturable=True"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        optimizer.step()
