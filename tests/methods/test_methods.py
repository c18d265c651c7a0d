from dataclasses import fields

import pytest
import torch

from pats import InputError, Noise, optim
from pats.methods import ASPECTS, Method, PassClock, Training, create, registry
from support.architectures import Classifier

# One row a method: its options with their defaults, and its optimizers.
RUNS_OWN = ("seed", "steps", "examples")  # settings of Noise that are the run's, and no options

TABLE = {
    "ema": ({"decay": 0.999, "correction": "warmup"}, optim.Adamax, optim.AdamW),
    "freelb": (
        {"alpha": 0.1, "passes": 3, "init": 0.2, "max_norm": 0.0, "norm": "l2", "dropout": "shared"},
        optim.Adamax,
        optim.AdamW,
    ),
    "childtuning": (
        {"variant": "F", "p": 0.3, "fisher": "batch", "scope": None},
        optim.Adamax,
        optim.AdamW,
    ),
    "hype": ({"sigma": 1e-5, "noise": "normal", "dropout": "keep"}, optim.Adamax, optim.AdamW),
    "lawa": ({"last": 3}, optim.Adamax, optim.AdamW),
    "llrd": ({"factor": 0.95}, optim.Adamax, optim.AdamW),
    "mixout": ({"p": 0.9, "grad": "exact", "dropout": "keep", "scope": "all"}, optim.Adamax, optim.AdamW),
    "neftune": ({"alpha": 5.0, "length": "real"}, optim.Adamax, optim.AdamW),
    "r3f": (
        {"weight": 1.0, "eps": 1e-5, "noise": "uniform", "dropout": "fresh", "regression": "mse"},
        optim.Adamax,
        optim.AdamW,
    ),
    "rdrop": ({"alpha": 1.0, "task": "both", "reduction": "mean"}, optim.Adamax, optim.AdamW),
    "rwp": (
        {"sigma": 5e-4, "scale": "filter", "growth": 0.0, "mix": 1.0, "scope": "all"},
        optim.Adamax,
        optim.AdamW,
    ),
    "recadam": (
        {
            "schedule": "sigmoid",
            "k": 0.5,
            "t0": None,
            "gamma": 5000.0,
            "w": 1.0,
            "penalty_at": "moved",
            "scope": "pretrained",
        },
        optim.RecAdam,
        optim.RecAdam,
    ),
    "smart": (
        {
            "weight": 1.0,
            "mu": 1.0,
            "radius_mode": "paper",
            "place": "words",
            "radius": 1e-5,
            "sigma": 1e-5,
            "eta": 1e-3,
            "ascents": 1,
            "momentum": 0.99,
            "momentum_late": 0.999,
            "detach": False,
            "dropout": "fresh",
        },
        optim.Adamax,
        optim.AdamW,
    ),
    "reinit": ({"layers": 2, "pooler": True}, optim.Adamax, optim.AdamW),
    "soup": ({"candidates": 5}, optim.Adamax, optim.AdamW),
    "ivon": (
        {
            "ess": None,
            "sigma": 1e-3,
            "hess_init": None,
            "beta2": 0.99999,
            "delta": 1e-6,
            "clip": 1e-6,
            "rescale": "radius",
            "scope": "all",
        },
        optim.IVON,
        optim.IVON,
    ),
    "sam": (
        {"rho": 0.05, "adaptive": False, "eta": 0.01, "dropout": "shared", "scope": "all"},
        optim.Adamax,
        optim.AdamW,
    ),
    "upgd": (
        {
            "beta": 0.999,
            "sigma": 1e-3,
            "utility": "global",
            "gate": "all",
            "factor": 2.0,
            "scope": "all",
        },
        optim.Adamax,
        optim.AdamW,
    ),
    "vanilla": ({}, optim.Adamax, optim.AdamW),
    "noisytune": ({"intensity": 0.15, "scope": "pretrained"}, optim.Adamax, optim.AdamW),
    "sage": (
        {"beta3": 0.75, "eps": 1e-6, "eps_mode": "code", "scope": "encoder"},
        optim.SAGEAdamax,
        optim.SAGEAdamW,
    ),
    "pats": (
        {
            **{f.name: getattr(Noise(), f.name) for f in fields(Noise) if f.name not in RUNS_OWN},
            "scope": "encoder",
        },
        optim.Adamax,
        optim.AdamW,
    ),
    "pats-paper": (
        {
            **{f.name: getattr(Noise.paper(), f.name) for f in fields(Noise) if f.name not in RUNS_OWN},
            "scope": "encoder",
        },
        optim.Adamax,
        optim.AdamW,
    ),
}

WRONG = [
    ("sage", {"beta3": 1.0}, "beta3 is 1.0"),
    ("sage", {"eps": 0.0}, "eps is 0.0"),
    ("sage", {"eps_mode": "other"}, "code, paper"),
    ("sage", {"beta": 0.5}, "beta3, eps, eps_mode, scope"),
    ("sage", {"beta3": "much"}, "must be a number"),
    ("sage", {"beta3": True}, "must be a number"),
    ("noisytune", {"intensity": -0.1}, "intensity is -0.1"),
    ("noisytune", {"intensity": float("inf")}, "intensity is inf"),
    ("noisytune", {"intensity": float("nan")}, "must be a number"),
    ("vanilla", {"lam": 1e-6}, "it has none"),
    ("pats", {"budget": -1.0}, "budget is -1.0"),
    ("pats", {"lam": 1e-6}, "set scale='constant'"),
    ("pats", {"steps": 3}, "no option 'steps'"),
    ("pats", {"examples": 3}, "no option 'examples'"),
    ("pats-paper", {"lam": -1e-6}, "lam is -1e-06"),
    ("pats-paper", {"budget": 0.1}, "set scale='budget'"),
    ("pats", {"p": 1.5}, "p is 1.5"),
    ("pats", {"beta": 1.0}, "beta is 1.0"),
    ("pats", {"seed": 3}, "no option 'seed'"),
    ("pats", {"signed": 1}, "true or false"),
    ("pats", {"kappa": 1.0}, "kappa"),
    (
        "nothing",
        {},
        "pats, pats-paper, r3f, rdrop, recadam, reinit, rwp, sage, sam, smart, soup, upgd, vanilla",
    ),
    ("sam", {"rho": -0.1}, "rho is -0.1, but must be a number at least 0"),
    ("sam", {"adaptive": 1}, "true or false"),
    ("sam", {"dropout": "none"}, "shared, fresh"),
    ("ivon", {"ess": 0.0}, "ess is 0.0, but must be a number above 0"),
    ("ivon", {"beta2": 1.1}, "at most 1"),
    ("ivon", {"sigma": 0}, "sigma is 0"),
    ("ivon", {"rescale": "lr"}, "radius, hess_init, none"),
    ("upgd", {"beta": 1.0}, "beta is 1.0, but must be at least 0 and below 1"),
    ("upgd", {"factor": 0.0}, "factor is 0.0"),
    ("upgd", {"utility": "both"}, "global, local"),
    ("upgd", {"gate": "closed"}, "all, noise, off"),
    ("mixout", {"p": 1.1}, "p is 1.1"),
    ("mixout", {"grad": "other"}, "exact, reference"),
    ("mixout", {"scope": ""}, "a regular expression"),
    ("freelb", {"passes": 0}, "passes is 0, but must be a whole number from 1"),
    ("freelb", {"passes": 1.5}, "must be a whole number"),
    ("freelb", {"norm": "l1"}, "l2, linf"),
    ("neftune", {"alpha": -1}, "alpha is -1"),
    ("r3f", {"regression": "maybe"}, "mse, off, refuse"),
    ("recadam", {"t0": "soon"}, "must be a number or nothing"),
    ("rdrop", {"alpha": -1.0}, "alpha is -1.0"),
    ("rdrop", {"task": "second"}, "both, first"),
    ("rdrop", {"reduction": "max"}, "mean, sum"),
    ("childtuning", {"p": 0.0}, "p is 0.0, but must be a number above 0 and at most 1"),
    ("childtuning", {"variant": "E"}, "F, D"),
    ("childtuning", {"fisher": "none"}, "batch, example"),
    ("childtuning", {"scope": ""}, "a regular expression"),
    ("hype", {"sigma": -1e-5}, "sigma is -1e-05"),
    ("hype", {"noise": "other"}, "normal, uniform, positive"),
    ("hype", {"dropout": "off"}, "keep, replace"),
    ("rwp", {"sigma": -0.1}, "sigma is -0.1"),
    ("rwp", {"scale": "matrix"}, "filter, none"),
    ("rwp", {"growth": -1.0}, "growth is -1.0"),
    ("rwp", {"mix": 1.1}, "mix is 1.1"),
    ("smart", {"radius": 0.0}, "radius is 0.0, but must be a number above 0"),
    ("smart", {"radius_mode": "other"}, "paper, reference"),
    ("smart", {"place": "head"}, "words, block"),
    ("smart", {"momentum": 1.5}, "at most 1"),
    ("ema", {"decay": 1.0}, "decay is 1.0, but must be at least 0 and below 1"),
    ("ema", {"decay": -0.1}, "decay is -0.1"),
    ("ema", {"correction": "some"}, "warmup, debias, none"),
    ("lawa", {"last": 0}, "last is 0, but must be a whole number from 1"),
    ("soup", {"candidates": 0}, "candidates is 0, but must be a whole number from 1"),
    ("soup", {"candidates": 2.5}, "must be a whole number"),
    ("llrd", {"factor": 0.0}, "factor is 0.0, but must be a number above 0 and at most 1"),
    ("llrd", {"factor": 1.5}, "factor is 1.5"),
    ("reinit", {"layers": -1}, "layers is -1, but must be a whole number from 0"),
    ("reinit", {"pooler": 1}, "must be true or false"),
    ("ema+lawa", {}, "of 'ema' and 'lawa' each evaluates an average of its own"),
    ("ema+vanilla", {}, "'vanilla' changes nothing"),
    ("reinit+mixout", {}, "'mixout' goes back to the pretrained weights, of which 'reinit' throws some away"),
    ("recadam+reinit", {}, "'recadam' goes back to the pretrained weights"),
    ("noisytune+sage+pats", {}, "of 'sage' and 'pats' each brings its own optimizer"),
    ("recadam+pats", {}, "each brings its own optimizer"),
    ("upgd+pats", {}, "of 'upgd' and 'pats' each brings its own optimizer"),
    ("ivon+sage", {}, "each brings its own optimizer"),
    ("sam+ivon", {}, "of 'sam' and 'ivon' each makes its own loss"),
    ("sam+freelb", {}, "each makes its own loss"),
    ("freelb+smart", {}, "each puts its own noise on the word embeddings"),
    ("rdrop+r3f", {}, "each makes its own loss from several passes"),
    ("rwp+rdrop", {}, "each makes its own loss from several passes"),
    ("childtuning+pats", {}, "of 'childtuning' and 'pats' each brings its own optimizer"),
    ("neftune+r3f", {}, "each puts its own noise on the word embeddings"),
    ("vanilla+pats", {}, "'vanilla' changes nothing"),
    ("pats+pats", {}, "twice"),
    ("pats+", {}, "no method ''"),
    ("noisytune+pats", {"scope": "all"}, "write noisytune.scope or pats.scope"),
    ("noisytune+pats", {"pats.budget": -1.0}, "budget is -1.0"),
    ("noisytune+pats", {"beta3": 0.5}, "pats.lam"),
    ("noisytune+pats", {"sage.beta3": 0.5}, "the methods are: noisytune, pats"),
    ("no_such_module:Method", {}, "no module 'no_such_module'"),
    ("pats.methods.pats:Nothing", {}, "no subclass of pats.methods.Method named 'Nothing'"),
    ("pats.methods.pats:PatsOptions", {}, "no subclass"),
]


def trained(method, training, steps=3):
    torch.manual_seed(0)
    model = Classifier()
    data = torch.randn(8, 4)
    method.prepare_(model, training)
    optimizer = method.optimizer(model, training)
    with method.attached(model, training, PassClock()):
        for _ in range(steps):
            optimizer.zero_grad()
            model(data).square().mean().backward()
            optimizer.step()
    return model, optimizer


def test_every_method_has_a_row():
    assert set(registry()) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_defaults(name):
    options = create(name).options
    assert {f.name: getattr(options, f.name) for f in registry()[name].option_fields()} == TABLE[name][0]
    assert registry()[name].summary


@pytest.mark.parametrize("name", TABLE)
def test_says_what_it_changes(name):
    method = registry()[name]

    def overrides(attribute):
        return getattr(method, attribute) is not getattr(Method, attribute)

    overridden = {
        "weights": overrides("prepare_"),
        "optimizer": overrides("optimizer"),
        "loss": overrides("loss"),
        "rates": overrides("rates_"),
        "evaluation": overrides("evaluated"),
        "export": overrides("blend_"),
    }
    assert set(method.changes) <= set(ASPECTS)
    assert {aspect: aspect in method.changes for aspect in overridden} == overridden
    assert overrides("attached") == bool(
        {"forward", "embeddings", "evaluation", "export"} & set(method.changes)
    )
    assert method.cost == "none" or method.source
    for field in method.option_fields():
        assert method.Options.__doc__.count(f"{field.name}: ") or name.startswith("pats"), field.name


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("base", [1, 2], ids=["adamax", "adamw"])
def test_optimizer(name, base):
    training = Training(("", "adamax", "adamw")[base], lr=0.25, betas=(0.5, 0.75), examples=100)
    # lr·gamma must be small; one learning rate for all
    options = {"recadam": {"gamma": 1.0}, "llrd": {"factor": 1.0}}.get(name, {})
    model, optimizer = trained(create(name, options), training, steps=1)
    assert type(optimizer) is TABLE[name][base]
    assert {g["lr"] for g in optimizer.param_groups} == {0.25}
    betas = (0.5, 0.99999 if name == "ivon" else 0.75)  # its second is another average's
    assert {tuple(g["betas"]) for g in optimizer.param_groups} == {betas}
    assert {g["weight_decay"] for g in optimizer.param_groups} == {0}
    held = [name for g in optimizer.param_groups for name in g["param_names"]]
    assert sorted(held) == sorted(name for name, _ in model.named_parameters())


@pytest.mark.parametrize("name", TABLE)
def test_weight_decay_spares_biases_and_norms(name):
    _, optimizer = trained(create(name), Training(weight_decay=0.1, examples=100), steps=1)
    for group in optimizer.param_groups:
        for parameter in group["param_names"]:
            spared = parameter.endswith("bias") or "norm" in parameter
            assert group["weight_decay"] == (0 if spared else 0.1)


@pytest.mark.parametrize("name", TABLE)
def test_global_generator_is_untouched(name):
    states = []
    for method in (create("vanilla"), create(name)):
        trained(method, Training(examples=100))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


@pytest.mark.parametrize("name", TABLE)
def test_seed_decides(name):
    def weights(seed):
        model, _ = trained(create(name), Training(seed=seed, examples=100))
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(1), weights(1))
    random = {"noisytune", "pats", "pats-paper", "mixout", "hype", "rwp", "childtuning", "upgd"}
    # The others' noise is on a batch's words, or in the passes of their loss.
    assert torch.equal(weights(1), weights(2)) == (name not in random)


def test_vanilla_is_torch():
    model, _ = trained(create("vanilla"), Training(lr=0.01))
    torch.manual_seed(0)
    other, data = Classifier(), torch.randn(8, 4)
    optimizer = torch.optim.Adamax(other.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        other(data).square().mean().backward()
        optimizer.step()
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_budget_is_spread_over_the_trainings_steps():
    for steps, expected in ((90, 90), (0, None)):
        _, optimizer = trained(create("pats", {"scope": "head"}), Training(steps=steps))
        assert {group["noise_steps"] for group in optimizer.param_groups} == {expected}
    _, optimizer = trained(create("pats-paper", {"scope": "head"}), Training(steps=90))
    assert {(g["noise_steps"], g["noise_lam"]) for g in optimizer.param_groups} == {(None, 2e-6)}


def test_pats_takes_its_options():
    method = create("pats", {"scope": "head", "scale": "lr", "kappa": 1, "p": 0.5})
    _, optimizer = trained(method, Training(seed=7))
    inside = [g for g in optimizer.param_groups if g["in_scope"]]
    assert [name for g in inside for name in g["param_names"]] == ["head.weight", "head.bias"]
    assert {k: inside[0][f"noise_{k}"] for k in ("scale", "kappa", "p", "seed", "eps_mode")} == {
        "scale": "lr",
        "kappa": 1,
        "p": 0.5,
        "seed": 7,
        "eps_mode": "relative",
    }
    assert set(method.telemetry(optimizer)) == {"head.weight", "head.bias"}


@pytest.mark.parametrize(("name", "options", "said"), WRONG)
def test_wrong_options(name, options, said):
    with pytest.raises(InputError, match=r"^[^\n]+$") as error:
        create(name, options)
    assert said in str(error.value)
