"""A classifier small enough to be computed again by hand, with the face of a transformers model."""

import torch
from torch import nn
from torch.nn import functional

from pats.methods import MicroBatch, PassClock, Training, create

WORDS, WIDTH, CLASSES = 11, 4, 3
IDS = torch.tensor([[1, 5, 3, 7], [2, 9, 0, 0], [4, 4, 8, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]])


class Output(dict):
    __getattr__ = dict.__getitem__


class Toy(nn.Module):
    """tanh of the words' projection, averaged over real words; optional dropout; a head."""

    base_model_prefix = "body"

    def __init__(self, outputs=CLASSES, dropout=0.0):
        super().__init__()
        self.body = nn.Module()
        self.body.words = nn.Embedding(WORDS, WIDTH)
        self.body.layers = nn.ModuleList([nn.Sequential(nn.Linear(WIDTH, 5), nn.Linear(5, WIDTH))])
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTH, outputs)

    def get_input_embeddings(self):
        return self.body.words

    def forward(self, input_ids, attention_mask, labels):
        x = self.body.words(input_ids)
        x = x + self.body.layers[0](x).tanh()
        real = attention_mask.unsqueeze(-1).to(x.dtype)
        logits = self.head(self.dropout((x * real).sum(1) / real.sum(1)))
        if logits.shape[-1] == 1:
            loss = functional.mse_loss(logits[:, 0], labels)
        else:
            loss = functional.cross_entropy(logits, labels)
        return Output(loss=loss, logits=logits)


def make_toy(regression=False, dropout=0.0, dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Toy(1 if regression else CLASSES, dropout).to(dtype).train()


def toy_inputs(regression=False, dtype=torch.float64):
    labels = torch.tensor([0.3, -1.0, 2.0], dtype=dtype) if regression else torch.tensor([0, 2, 1])
    return {"input_ids": IDS, "attention_mask": MASK, "labels": labels}


class Trial:
    """One method on one model: losses, gradients and the number of passes."""

    def __init__(self, name, options=None, model=None, regression=False, **training):
        self.model = make_toy(regression) if model is None else model
        self.method, self.clock = create(name, options), PassClock()
        self.training = Training(regression=regression, **training)
        self.regression = regression

    def __enter__(self):
        self._contexts = [
            self.clock.attached(self.model),
            self.method.attached(self.model, self.training, self.clock),
        ]
        for context in self._contexts:
            context.__enter__()
        return self

    def __exit__(self, *error):
        for context in reversed(self._contexts):
            context.__exit__(*error)

    def loss(self, step=1, steps=0, **batch):
        self.clock.begin(step, steps)
        given = batch.pop("inputs", None) or toy_inputs(self.regression, self.model.head.weight.dtype)
        made = MicroBatch(self.model, given, self.clock, self.training.seed, self.regression, **batch)
        return self.method.loss(made)

    def gradients(self, **where):
        """Loss and gradients by name."""
        self.model.zero_grad()
        loss = self.loss(**where)
        loss.backward()
        return loss.detach(), {n: p.grad.clone() for n, p in self.model.named_parameters()}
