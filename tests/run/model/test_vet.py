"""Model folders that may come from anybody: each is refused in a sentence, at once, and before its memory."""

import json
import os
import pickle
import resource
import shutil
import struct
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2Model

from pats import InputError
from pats.cli import main
from pats.run.model import classifier

LONG = 5.0  # seconds; a sound load takes a tenth of one
RAN = []


class Runs:
    """A pickle that runs code where it is read."""

    def __reduce__(self):
        return RAN.append, (1,)


def config(**changes):
    def spoil(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


def edited(name, **changes):
    def spoil(folder):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def header(content, rest=b"\0" * 64):
    def spoil(folder):
        told = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(told)) + told + rest)

    return spoil


def tensor(**told):
    return {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | told}


def length(number):
    return lambda folder: (folder / "model.safetensors").write_bytes(struct.pack("<Q", number) + b"{}")


def parts(content):
    def spoil(folder):
        (folder / "model.safetensors").rename(folder / "part.safetensors")
        shutil.copy(folder / "part.safetensors", folder.parent / "outside.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))

    return spoil


def pickled(name):
    return lambda folder: (folder / name).write_bytes(pickle.dumps(Runs()))


def fifo(name):
    def spoil(folder):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return spoil


def cut(name, size):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def edit_weights(change):
    def spoil(folder):
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return spoil


def fill(name, value):
    return edit_weights(lambda weights: weights[name].view(-1)[:1].fill_(value))


def gpt2(**changes):
    """A model that never looks at pad_token_id while it is built."""

    def spoil(folder):
        words = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
        ends = {"bos_token_id": 0, "eos_token_id": 0}
        GPT2Model(
            GPT2Config(vocab_size=words, n_positions=40, n_embd=8, n_layer=1, n_head=2, **ends)
        ).save_pretrained(folder)
        config(**changes)(folder)

    return spoil


QUERY = "encoder.layer.0.attention.self.query.weight"
WORDS = "embeddings.word_embeddings.weight"
BRACKETS = "[" * 10_000 + "]" * 10_000

HOSTILE = {
    # config.json: sizes
    "hidden_size -1": (config(hidden_size=-1), "hidden_size"),
    "hidden_size 0": (config(hidden_size=0), "hidden_size = 0"),
    "hidden_size x": (config(hidden_size="x"), "config.json"),
    "hidden_size null": (config(hidden_size=None), "config.json"),
    "hidden_size 1e9": (config(hidden_size=10**9), "hidden_size = 1000000000"),
    "hidden_size of 5,000 digits": (
        text("config.json", '{"hidden_size": ' + "9" * 5000 + "}"),
        "no JSON object",
    ),
    "hidden_size 1.5": (config(hidden_size=32.5), "config.json"),
    "hidden_size true": (config(hidden_size=True), "config.json"),
    "hidden_size list": (config(hidden_size=[32]), "config.json"),
    "hidden_size 64": (config(hidden_size=64), "do not fit"),
    "vocab_size 3": (config(vocab_size=3), "do not fit"),
    "vocab_size 1e11": (config(vocab_size=10**11), "vocab_size = 100000000000"),
    "vocab_size 1e11 as a float": (config(vocab_size=1e11), "vocab_size"),
    "vocab_size 1e6": (config(vocab_size=10**6), "do not fit"),
    "vocab_size 0": (config(vocab_size=0), "vocab_size = 0"),
    "heads 0": (config(num_attention_heads=0), "num_attention_heads = 0"),
    "heads 5": (config(num_attention_heads=5), "describes no model"),
    "heads -2": (config(num_attention_heads=-2), "num_attention_heads"),
    "a million layers": (config(num_hidden_layers=10**6), "num_hidden_layers = 1000000"),
    "30 layers": (config(num_hidden_layers=30), "do not fit"),
    "no layers": (config(num_hidden_layers=0), "num_hidden_layers = 0"),
    "layers -1": (config(num_hidden_layers=-1), "num_hidden_layers = -1"),
    "intermediate_size 1e6": (config(intermediate_size=10**6), "do not fit"),
    "positions 1e12": (config(max_position_embeddings=10**12), "max_position_embeddings"),
    "positions 8": (config(max_position_embeddings=8), "do not fit"),
    "types -1": (config(type_vocab_size=-1), "describes no model"),
    "labels 1e9": (config(num_labels=10**9), "num_labels = 1000000000"),
    "labels x": (config(id2label={"x": "y"}), "cannot be loaded"),
    "pad id 99999": (config(pad_token_id=99999), "describes no model"),
    "pad id -99999": (config(pad_token_id=-99999), "describes no model"),
    "pad id x": (config(pad_token_id="x"), "config.json"),
    "pad id beyond int64": (gpt2(pad_token_id=10**30), "pad_token_id"),
    "pad id beyond the words": (gpt2(pad_token_id=99999), "pad_token_id"),
    "activation x": (config(hidden_act="x"), "describes no model"),
    "activation 3": (config(hidden_act=3), "config.json"),
    "dropout 7": (config(hidden_dropout_prob=7.0), "describes no model"),
    # config.json: its text
    "config null": (text("config.json", "null"), "no JSON object"),
    "config a list": (text("config.json", "[1]"), "no JSON object"),
    "config empty": (text("config.json", ""), "no JSON object"),
    "config no text": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "no JSON object"),
    "config 10,000 brackets": (text("config.json", BRACKETS), "no JSON object"),
    "config 10,000 brackets inside": (
        text("config.json", '{"model_type": "bert", "x": ' + BRACKETS + "}"),
        "no JSON object",
    ),
    "config 900 brackets": (config(x=json.loads("[" * 900 + "]" * 900), hidden_size=-1), "config.json"),
    "config of 17 MB": (text("config.json", '{"x": "' + "x" * (17 << 20) + '"}'), "larger than 16 MB"),
    "config a folder": (lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()), "is missing"),
    "config a pipe": (fifo("config.json"), "is no file"),
    "model_type null": (config(model_type=None), "cannot be loaded"),
    "model_type 3": (config(model_type=3), "cannot be loaded"),
    "model_type a path": (config(model_type="../../etc"), "cannot be loaded"),
    # what leads elsewhere
    "other weights": (config(transformers_weights="../x.safetensors"), "names other weights"),
    "pickled weights named": (config(transformers_weights="adapter_model.bin"), "names other weights"),
    "quantized": (config(quantization_config={"quant_method": "bitsandbytes"}), "quantized"),
    "code for attention": (config(_attn_implementation="evil/kernel"), "never run"),
    "code": (config(model_type="own", auto_map={"AutoConfig": "own.C"}), "never run"),
    "adapter": (text("adapter_config.json", '{"base_model_name_or_path": "evil/x"}'), "holds an adapter"),
    "sharded": (text("shard-00000-model-00001-of-00001.safetensors", "x"), "sharded training"),
    # weights
    "weights missing": (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
    "weights cut": (cut("model.safetensors", 9000), "damaged"),
    "weights cut in the header": (cut("model.safetensors", 100), "damaged"),
    "weights empty": (cut("model.safetensors", 0), "damaged"),
    "weights a pipe": (fifo("model.safetensors"), "is no file"),
    "weights a folder": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors").mkdir()),
        "damaged",
    ),
    "weights pickled": (pickled("model.safetensors"), "damaged"),
    "weights pickled alone": (
        lambda f: ((f / "model.safetensors").unlink(), pickled("pytorch_model.bin")(f)),
        "can run code",
    ),
    "header of 2^63 bytes": (length(1 << 63), "damaged"),
    "header of 2^30 bytes": (length(1 << 30), "damaged"),
    "header a list": (header([1]), "damaged"),
    "header 10,000 brackets": (header(BRACKETS.encode()), "damaged"),
    "tensor null": (header({"x": None}), "damaged"),
    "tensor of negative shape": (header(tensor(shape=[-2])), "damaged"),
    "tensor of a large shape": (header(tensor(shape=[10**12])), "damaged"),
    "tensor of 10^600 numbers": (header(tensor(shape=[10**300, 10**300])), "damaged"),
    "tensor behind the end": (header(tensor(data_offsets=[0, 10**9])), "damaged"),
    "tensor before its start": (header(tensor(data_offsets=[8, 0])), "damaged"),
    "tensor of another type": (header(tensor(dtype="X1")), "damaged"),
    "encoder missing": (
        edit_weights(lambda w: w.pop(QUERY)),
        "1 tensor (bert.encoder.layer.0.attention.self.query.w",
    ),
    "words missing": (edit_weights(lambda w: w.pop(WORDS)), "do not fit"),
    "encoder misshapen": (
        edit_weights(lambda w: w.update({QUERY: torch.zeros(2, 2)})),
        "missing or of another shape; pass whole weights",
    ),
    "all weights another's": (
        edit_weights(lambda w: [w.update({f"other.{key}": w.pop(key)}) for key in list(w)]),
        "tensors (bert.embeddings",
    ),
    "NaN": (fill(QUERY, float("nan")), "are not finite (1 tensor (bert.encoder.layer.0"),
    "whole numbers": (
        edit_weights(lambda w: w.update({QUERY: w[QUERY].to(torch.int32)})),
        "as I32, and no floating-point numbers: pass the model as it was before it was quantized",
    ),
    "truth": (edit_weights(lambda w: w.update({QUERY: w[QUERY] > 0})), "as BOOL"),
    "infinity": (fill(WORDS, float("-inf")), "are not finite"),
    # the index of weights in parts
    "index to the folder above": (
        parts({"weight_map": {"x": "../outside.safetensors"}}),
        "in the same folder",
    ),
    "index to a path": (parts({"weight_map": {"x": "/etc/passwd"}}), "in the same folder"),
    "index to a pickle": (parts({"weight_map": {"x": "pytorch_model.bin"}}), "in the same folder"),
    "index to nothing": (parts({"weight_map": {"x": "gone.safetensors"}}), "gone.safetensors is missing"),
    "index of numbers": (parts({"weight_map": {"x": 3}}), "no weight_map"),
    "index without a map": (parts({}), "no weight_map"),
    "index a list": (parts([]), "no JSON object"),
    # the tokenizer
    "tokenizer missing": (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer"),
    "tokenizer null": (text("tokenizer.json", "null"), "cannot be loaded"),
    "tokenizer a list": (text("tokenizer.json", "[]"), "cannot be loaded"),
    "tokenizer a number": (text("tokenizer.json", "3"), "cannot be loaded"),
    "tokenizer cut": (cut("tokenizer.json", 500), "cannot be loaded"),
    "tokenizer 10,000 brackets": (text("tokenizer.json", BRACKETS), "cannot be loaded"),
    "tokenizer without a model": (edited("tokenizer.json", model=None), "cannot be loaded"),
    "tokenizer without words": (
        edited("tokenizer.json", model={"type": "WordPiece", "vocab": {}, "unk_token": "[UNK]"}),
        "tokenizer",
    ),
    "tokenizer of other words": (
        edited("tokenizer.json", added_tokens=[{"id": 5000, "content": "x"}]),
        "cannot be loaded",
    ),
    "tokenizer's settings a list": (text("tokenizer_config.json", "[]"), "cannot be loaded"),
    "tokenizer of a strange class": (edited("tokenizer_config.json", tokenizer_class="../x"), None),
    "tokenizer's length x": (edited("tokenizer_config.json", model_max_length="x"), "cannot be loaded"),
    "tokenizer's length -1": (
        edited("tokenizer_config.json", model_max_length=-1),
        "takes inputs of -1 tokens",
    ),
}


@pytest.fixture
def folder(tiny_bert, tmp_path):
    return shutil.copytree(tiny_bert, tmp_path / "model")


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_folder_is_one_sentence(kind, folder, monkeypatch):
    spoil, said = HOSTILE[kind]
    spoil(folder)
    RAN.clear()

    def network(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.getaddrinfo", network)
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if said is None:  # harmless
        classifier.load(str(folder), ("a", "b"), 32, 0)
    else:
        with pytest.raises(InputError, match=r"^[^\n]+$") as error:
            classifier.load(str(folder), ("a", "b"), 32, 0)
        assert said in str(error.value)
    assert time.perf_counter() - started < LONG
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 << 10  # kilobytes
    assert not RAN


@pytest.mark.parametrize("labels", [("a", "b"), ()])
def test_a_sound_folder_is_loaded(folder, labels):
    (folder / "notes").mkdir()  # what transformers does not read is no matter
    (folder / "README.md").write_text("---")
    loaded = classifier.load(str(folder), labels, 32, 0)
    assert loaded.fresh == {"classifier.weight", "classifier.bias"}
    assert loaded.note == "New, drawn at random: 2 tensors (classifier.bias, classifier.weight)."


def test_weights_in_parts_are_loaded(folder):
    whole = load_file(folder / "model.safetensors")
    names = sorted(whole)
    (folder / "model.safetensors").unlink()
    files = {"model-1.safetensors": names[:9], "model-2.safetensors": names[9:]}
    for file, held in files.items():
        save_file({name: whole[name] for name in held}, folder / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, held in files.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    loaded = classifier.load(str(folder), ("a", "b"), 32, 0)
    for name, value in whole.items():
        assert torch.equal(loaded.model.bert.state_dict()[name], value)


LENIENT = {  # what the weights lack, drawn at random where that was asked for
    "missing": (edit_weights(lambda w: w.pop(QUERY)), {f"bert.{QUERY}"}),
    "misshapen": (edit_weights(lambda w: w.update({QUERY: torch.zeros(2, 2)})), {f"bert.{QUERY}"}),
    "pooler": (
        edit_weights(lambda w: (w.pop("pooler.dense.weight"), w.pop("pooler.dense.bias"))),
        {"bert.pooler.dense.weight", "bert.pooler.dense.bias"},
    ),
}


@pytest.mark.parametrize("kind", LENIENT)
def test_missing_weights_are_drawn_where_they_may(kind, folder):
    spoil, names = LENIENT[kind]
    spoil(folder)
    head = {"classifier.weight", "classifier.bias"}
    loaded = classifier.load(str(folder), ("a", "b"), 32, 0, allow_missing=True)
    assert loaded.fresh == head | names
    if kind == "pooler":  # checkpoints of masked language models lack it
        assert classifier.load(str(folder), ("a", "b"), 32, 0).fresh == head | names


def test_the_command_says_it_in_one_line_before_training(folder, many_reviews, tmp_path, capsys):
    edit_weights(lambda w: w.pop(QUERY))(folder)
    command = ["run", "--data", str(many_reviews), "--model", str(folder), "--out", str(tmp_path / "out")]
    command += ["--method", "vanilla", "--steps", "2", "--quiet", "--json"]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "--allow-missing-weights" in told
    assert main([*command, "--allow-missing-weights"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["run"]["allow_missing_weights"] is True
    assert result["fresh"] == {"count": 3, "names": [f"bert.{QUERY}", "classifier.bias", "classifier.weight"]}
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    start = next(event for event in events if event["event"] == "start")
    assert start["fresh"] == result["fresh"]["names"]
    assert any(f"3 tensors (bert.{QUERY}" in note for note in start["notes"])


@pytest.mark.parametrize(
    "kind", ["hidden_size 0", "a million layers", "labels 1e9", "tokenizer a list", "NaN"]
)
def test_the_command_ends_with_2(kind, folder, many_reviews, tmp_path, capsys):
    HOSTILE[kind][0](folder)
    out = str(tmp_path / "out")
    assert main(["run", "--data", str(many_reviews), "--model", str(folder), "--out", out, "--quiet"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["predict", str(folder), str(many_reviews)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
