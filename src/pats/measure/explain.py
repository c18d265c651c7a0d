"""``explain``: which tokens of a text moved a model's outputs, by gradient times input.

Of the output f of a class and the vector e_i that the word embeddings give for token i, the attribution of
the token is e_i · ∂f/∂e_i: how fast f changes as the token's vector is scaled. For an output that is linear
in the vectors the attributions add up to it, up to its constant. For a network they need not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pats._errors import InputError, did_you_mean
from pats.measure.predict import prediction
from pats.measure.trained import Encoder
from pats.tasks.reading import encodable

MOST = 10  # classes that are all explained; of more than these, the most probable ones
FEW = 5
ABOUT = (
    "Each number says how fast the class's output would change if the token's vector were scaled: gradient "
    "times input, at the model's word embeddings. It describes the model near this text. It is no cause, no "
    "proof that the model is right, and no prediction of what happens when the word is removed. The numbers "
    "need not add up to the output."
)


@dataclass(frozen=True)
class Token:
    """A token as the model read it.

    Args:
        token: As the tokenizer writes it.
        part: Which text it is from, 0 or 1; None for a token that the tokenizer added.
        start: Where it begins in that text, in characters; None where the tokenizer does not say.
        end: Where it ends.
    """

    token: str
    part: int | None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Explanation:
    """What moved a model's outputs for one row.

    Args:
        model: The model's name.
        texts: The one or two texts.
        label: The most probable class; None for regression.
        scores: As ``predict`` gives them.
        outputs: Of every class that is explained, the output before it becomes a probability.
        tokens: What the model read.
        attributions: Of every class that is explained, one number a token.
        unread: Characters at the end of every text that the model does not read.
    """

    model: str
    texts: tuple[str, ...]
    label: str | None
    scores: Mapping[str, float]
    outputs: Mapping[str, float]
    tokens: tuple[Token, ...]
    attributions: Mapping[str, tuple[float, ...]]
    unread: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """As ``pats explain --json`` writes it."""
        read = [
            {"token": one.token, "text": one.part, "start": one.start, "end": one.end} for one in self.tokens
        ]
        return {
            "model": self.model,
            "method": "gradient times input at the word embeddings",
            "about": ABOUT,
            "texts": list(self.texts),
            "label": self.label,
            "scores": dict(self.scores),
            "outputs": dict(self.outputs),
            "tokens": read,
            "attributions": {name: list(values) for name, values in self.attributions.items()},
            "sums": {name: sum(values) for name, values in self.attributions.items()},
            "unread_characters": list(self.unread),
        }


def explain(model: Encoder, texts: Sequence[str], classes: Sequence[str] | None = None) -> Explanation:
    """Attribute a model's outputs for one row to its tokens.

    Args:
        model: The model.
        texts: The one or two texts.
        classes: The classes to explain; None takes all, or of more than ten the five most probable.

    Raises:
        InputError: The model reads another number of texts, has no such class, or has no word embeddings.
    """
    facts = model.facts
    _check(model, texts)
    scores = model.predict([texts[0]], [texts[1]] if len(texts) > 1 else None)[0]
    said = prediction(tuple(texts), scores, facts)
    names = facts.labels or ("score",)
    if classes is None:
        order = sorted(names, key=lambda name: -said.scores[name])
        classes = names if len(names) <= MOST else order[:FEW]
    for name in classes:
        if name not in names:
            known = ", ".join(map(repr, names[:20])) + (" and others" if len(names) > 20 else "")
            raise InputError(
                f"the model {facts.name!r} has no class {name!r}{did_you_mean(name, names)}: it has {known}"
            )
    encoded = model.tokenizer(
        *texts,
        truncation="longest_first",
        max_length=facts.max_length,
        return_offsets_mapping=model.tokenizer.is_fast,
        return_special_tokens_mask=True,
        return_tensors="pt",
    )
    tokens = _tokens(model, encoded, len(texts))
    outputs, attributions = attribute(model.model, dict(encoded), [names.index(name) for name in classes])
    return Explanation(
        facts.title,
        tuple(texts),
        said.label,
        said.scores,
        dict(zip(classes, outputs, strict=True)),
        tokens,
        dict(zip(classes, attributions, strict=True)),
        tuple(_unread(text, part, tokens) for part, text in enumerate(texts)),
    )


def attribute(
    network: nn.Module, batch: Mapping[str, Tensor], places: Sequence[int]
) -> tuple[list[float], list[tuple[float, ...]]]:
    """Outputs of one encoded row, and of each the attribution of every token.

    Args:
        network: A classifier whose ``get_input_embeddings()`` looks words up; it is used in ``eval()``.
        batch: Its inputs, a batch of one.
        places: Which of its outputs.
    """
    table = getattr(network, "get_input_embeddings", lambda: None)()
    if not isinstance(table, nn.Module):
        raise InputError(
            f"{type(network).__name__} has no word embeddings, so its tokens cannot be explained"
        )
    vectors: list[Tensor] = []

    def hold(module: nn.Module, given: Any, output: Tensor) -> Tensor:
        vectors.append(output.detach().requires_grad_())
        return vectors[-1]

    training = network.training
    device = next(network.parameters()).device
    handle = table.register_forward_hook(hold)
    try:
        with torch.enable_grad():
            logits = network.eval()(**{key: value.to(device) for key, value in batch.items()}).logits[0]
            outputs, attributions = [], []
            for place in places:
                slopes = torch.autograd.grad(logits[place], vectors, retain_graph=True, allow_unused=True)
                shares = [
                    (vector * slope).sum(-1).flatten()
                    for vector, slope in zip(vectors, slopes, strict=True)
                    if slope is not None
                ]
                outputs.append(float(logits[place].detach()))
                attributions.append(tuple(torch.stack(shares).sum(0).tolist()))
    finally:
        handle.remove()
        network.train(training)
    return outputs, attributions


def _check(model: Encoder, texts: Sequence[str]) -> None:
    facts = model.facts
    if facts.thresholds:
        raise InputError(
            f"the model {facts.name!r} gives a text several labels, which pats explain does not take: it "
            "explains classes that exclude each other, and scores"
        )
    if facts.pair is not None and len(texts) != 1 + facts.pair:
        reads = (
            "two texts: give the second one with --text-pair" if facts.pair else "one text: give one alone"
        )
        raise InputError(f"the model {facts.name!r} reads {reads}")
    for text in texts:
        if not encodable(text):
            raise InputError("the text has half a character (a lone surrogate): mend it")


def _tokens(model: Encoder, encoded: Any, count: int) -> tuple[Token, ...]:
    """The tokens of a row; takes out of ``encoded`` what the model does not read."""
    special = encoded.pop("special_tokens_mask")[0].tolist()
    words = model.tokenizer.convert_ids_to_tokens(encoded["input_ids"][0].tolist())
    if not model.tokenizer.is_fast:
        part = 0 if count == 1 else None  # which of two texts a token is from, nothing says
        return tuple(Token(w, None if s else part) for w, s in zip(words, special, strict=True))
    offsets = encoded.pop("offset_mapping")[0].tolist()
    parts = encoded.sequence_ids(0)
    return tuple(
        Token(word, None) if part is None or added else Token(word, part, *span)
        for word, part, added, span in zip(words, parts, special, offsets, strict=True)
    )


def _unread(text: str, part: int, tokens: Sequence[Token]) -> int:
    """Characters behind the last token that was read, but for blanks; 0 where nothing says."""
    ends = [one.end for one in tokens if one.part == part and one.end is not None]
    return len(text[max(ends) :].strip()) if ends else 0
