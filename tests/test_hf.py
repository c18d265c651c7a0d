"""PATS in transformers.Trainer and in an Accelerate loop, against the plain loop."""

import dataclasses

import pytest
import torch
import transformers
from torch.utils.data import DataLoader

import pats

NOISE = pats.Noise.paper(lam=1e-4)
LR, STEPS, BATCH = 1e-3, 4, 4


def model():
    config = transformers.BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(config)


def rows():
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 30, (STEPS * BATCH, 6), generator=generator)
    return [{"input_ids": row, "labels": row[0] % 2} for row in ids]


def arguments(folder, **more):
    defaults = {
        "learning_rate": LR,
        "lr_scheduler_type": "constant",
        "max_steps": STEPS,
        "per_device_train_batch_size": BATCH,
        "report_to": "none",
        "save_strategy": "no",
        "max_grad_norm": 0.0,
        "disable_tqdm": True,
        "use_cpu": True,
        "train_sampling_strategy": "sequential",
    }
    return transformers.TrainingArguments(str(folder), **(defaults | more))


def trained(folder, optim, noise=NOISE, **more):
    args = arguments(folder, **more)
    net = model()
    trainer = transformers.Trainer(
        net,
        args,
        train_dataset=rows(),
        optimizer_cls_and_kwargs=pats.hf.optimizer_cls_and_kwargs(args, optim, noise),
    )
    trainer.train()
    return net, trainer


def plain_loop(make):
    net = model().train()
    optimizer = make(net)
    for batch in DataLoader(rows(), BATCH):
        optimizer.zero_grad()
        net(**batch).loss.backward()
        optimizer.step()
    return net


def same(left, right):
    return all(torch.equal(p, q) for p, q in zip(left.parameters(), right.parameters(), strict=True))


def test_trainer_reaches_the_weights_of_the_plain_loop(tmp_path):
    net, _ = trained(tmp_path, "adamax")
    loop = plain_loop(
        lambda m: pats.optim.Adamax(
            pats.param_groups(m, weight_decay=0.0), lr=LR, betas=(0.9, 0.999), noise=NOISE
        )
    )
    assert same(net, loop)


def test_accelerate_reaches_the_weights_of_the_plain_loop():
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    net = model().train()
    net, optimizer, loader = accelerator.prepare(
        net, torch.optim.Adamax(net.parameters(), lr=LR), DataLoader(rows(), BATCH)
    )
    perturbation = pats.perturb(optimizer, net, NOISE)
    for batch in loader:
        optimizer.zero_grad()
        accelerator.backward(net(**batch).loss)
        optimizer.step()
    loop = plain_loop(lambda m: pats.optim.Adamax(pats.param_groups(m), lr=LR, foreach=False, noise=NOISE))
    assert same(net, loop)
    assert all(row["noise_rms"] > 0 for name, row in perturbation.stats().items() if "weight" in name)


TRANSIENT = pats.Noise(keep="transient", budget=0.3)


def watched_loop_of(make, noise):
    """The plain loop of an optimizer to which transient noise is attached."""

    def attached(net):
        optimizer = make(net)
        pats.perturb(optimizer, net, noise)
        return optimizer

    return plain_loop(attached)


def adamw(net):
    return torch.optim.AdamW(pats.param_groups(net, weight_decay=0.0), lr=LR)


@pytest.mark.parametrize("optim", ["adamax", "adamw_torch"])
def test_trainer_trains_with_transient_noise_and_saves_without(tmp_path, optim):
    noise = TRANSIENT
    net, _ = trained(tmp_path, optim, noise, save_strategy="steps", save_steps=2)
    make = adamw if optim == "adamw_torch" else (lambda m: pats.optim.Adamax(pats.param_groups(m), lr=LR))
    # Trainer sets max_steps, over which the budget is spread.
    loop = watched_loop_of(make, dataclasses.replace(noise, steps=STEPS))
    assert same(net, loop)
    for step in (2, 4):
        kept = transformers.BertForSequenceClassification.from_pretrained(tmp_path / f"checkpoint-{step}")
        assert same(kept, loop) == (step == 4)
    again, args = model(), arguments(tmp_path, save_strategy="no")
    trainer = transformers.Trainer(
        again,
        args,
        train_dataset=rows(),
        optimizer_cls_and_kwargs=pats.hf.optimizer_cls_and_kwargs(args, optim, noise),
    )
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert same(again, loop)


def test_accelerate_trains_with_transient_noise():
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    net = model().train()
    net, optimizer, loader = accelerator.prepare(net, adamw(net), DataLoader(rows(), BATCH // 2))
    pats.perturb(optimizer, net, TRANSIENT)
    for batch in loader:
        with accelerator.accumulate(net):
            accelerator.backward(net(**batch).loss)
            optimizer.step()
            optimizer.zero_grad()
    for left, right in zip(net.parameters(), watched_loop_of(adamw, TRANSIENT).parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("optim", ["adamax", "adamw"])
def test_settings_come_from_the_arguments(tmp_path, optim):
    more = {
        "adam_beta1": 0.8,
        "adam_beta2": 0.99,
        "adam_epsilon": 1e-7,
        "weight_decay": 0.03,
        "learning_rate": 2e-4,
    }
    _, trainer = trained(tmp_path, optim, **more)
    groups = trainer.optimizer.param_groups
    for group in groups:
        assert group["betas"] == (0.8, 0.99)
        assert group["eps"] == 1e-7
        assert group["initial_lr"] == 2e-4
    decay = {n: g["weight_decay"] for g in groups for n in g["param_names"]}
    assert decay["bert.encoder.layer.0.output.dense.weight"] == 0.03
    assert decay["bert.encoder.layer.0.output.dense.bias"] == 0.0
    assert decay["bert.encoder.layer.0.output.LayerNorm.weight"] == 0.0


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused", "adafactor", "sgd"])
def test_any_optimizer_that_trainer_builds_is_perturbed(tmp_path, optim):
    noisy, trainer = trained(tmp_path, optim)
    silent, _ = trained(tmp_path, optim, pats.Noise(p=0.0))
    assert trainer.args.optim == transformers.TrainingArguments(str(tmp_path), use_cpu=True).optim
    inside = set(pats.scope(noisy))
    moved = {
        name
        for (name, p), q in zip(noisy.named_parameters(), silent.parameters(), strict=True)
        if not torch.equal(p, q)
    }
    assert {name for name in inside if name.endswith("weight")} <= moved


def test_gradient_accumulation_measures_once_a_step(tmp_path):
    _, trainer = trained(tmp_path, "adamax", gradient_accumulation_steps=2, max_steps=2)
    assert {int(state["step"]) for state in trainer.optimizer.state.values()} == {2}


def test_unknown_optimizer():
    with pytest.raises(pats.InputError, match=r"optim is 'nope', but must be one of: adamax, adamw"):
        pats.hf.optimizer_cls_and_kwargs(arguments("."), "nope")


def steps_of(optimizer):
    return {group.get("noise_steps") for group in optimizer.param_groups}


@pytest.mark.parametrize("optim", ["adamax", "adamw_torch"])
@pytest.mark.parametrize(
    ("lengths", "callbacks", "expected"),
    [
        ({"max_steps": STEPS}, [], STEPS),
        ({"max_steps": -1, "num_train_epochs": 3}, ["NoiseSteps"], 3 * STEPS),
        ({"max_steps": -1, "num_train_epochs": 3}, [], None),  # nobody told it
    ],
)
def test_a_budget_is_spread_over_the_trainings_steps(tmp_path, optim, lengths, callbacks, expected):
    args = arguments(tmp_path, **lengths)
    trainer = transformers.Trainer(
        model(),
        args,
        train_dataset=rows(),
        optimizer_cls_and_kwargs=pats.hf.optimizer_cls_and_kwargs(args, optim, pats.Noise()),
        callbacks=[getattr(pats.hf, name)() for name in callbacks],
    )
    trainer.train()
    assert steps_of(trainer.optimizer) == {expected}


@pytest.mark.parametrize(
    ("noise", "steps", "examples"),
    [
        (pats.Noise(scale="langevin"), None, "all"),
        (pats.Noise(scale="langevin", until=0.5), 2 * STEPS, "all"),
        (pats.Noise(scale="langevin", examples=9), None, 9),
        (pats.Noise.paper(until=0.5), 2 * STEPS, None),
    ],
    ids=["langevin", "langevin, until", "langevin, told", "until"],
)
def test_the_callback_says_what_the_noise_needs_to_know(tmp_path, noise, steps, examples):
    args = arguments(tmp_path, max_steps=-1, num_train_epochs=2)
    data = rows()
    trainer = transformers.Trainer(
        model(),
        args,
        train_dataset=data,
        optimizer_cls_and_kwargs=pats.hf.optimizer_cls_and_kwargs(args, "adamax", noise),
        callbacks=[pats.hf.NoiseSteps()],
    )
    trainer.train()
    assert steps_of(trainer.optimizer) == {steps}
    groups = trainer.optimizer.param_groups
    assert {group["noise_examples"] for group in groups} == {len(data) if examples == "all" else examples}


def test_the_callback_leaves_alone_what_has_steps_or_no_budget(tmp_path):
    for noise, expected in ((pats.Noise(steps=7), {7}), (pats.Noise.paper(), {None}), (None, {None})):
        args = arguments(tmp_path)
        trainer = transformers.Trainer(
            model(),
            args,
            train_dataset=rows(),
            optimizer_cls_and_kwargs=pats.hf.optimizer_cls_and_kwargs(args, "adamax", noise),
            callbacks=[pats.hf.NoiseSteps()],
        )
        trainer.train()
        assert steps_of(trainer.optimizer) == expected
