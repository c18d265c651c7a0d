import json
import shutil

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    GPT2Config,
    GPT2Model,
    RobertaConfig,
    RobertaModel,
)

from pats import InputError
from pats.run import Run, finetune
from pats.run.model import classifier, exported


@pytest.fixture
def broken(tiny_bert, tmp_path):
    """A copy of the tiny model to damage."""
    return shutil.copytree(tiny_bert, tmp_path / "broken")


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pickle_only(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def foreign(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({f"other.{k}": v for k, v in weights.items()}, folder / "model.safetensors")


def no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


DAMAGES = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
    "pickle only": (pickle_only, "save_pretrained"),
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), "cannot be loaded"),
    "unknown kind": (lambda f: edit_config(f, model_type="nothing"), "cannot be loaded"),
    "no classifier": (lambda f: edit_config(f, model_type="clip"), "no sequence classifier"),
    "own code": (
        lambda f: edit_config(f, model_type="own", auto_map={"AutoConfig": "own.C", "AutoModel": "own.M"}),
        "brings its own code",
    ),
    "cut weights": (cut, "are damaged"),
    "foreign weights": (foreign, "do not fit"),
    "other size": (lambda f: edit_config(f, hidden_size=64), "do not fit"),
    "no tokenizer": (no_tokenizer, "has no tokenizer"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folder(broken, damage):
    spoil, said = DAMAGES[damage]
    spoil(broken)
    with pytest.raises(InputError, match=r"^[^\n]+$") as error:
        classifier.load(str(broken), ("a", "b"), 32, 0)
    assert said in str(error.value)


@pytest.mark.parametrize("labels", [("x", "y", "z"), ("no", "yes"), ()])
def test_load(tiny_bert, labels):
    loaded = classifier.load(str(tiny_bert), labels, 128, 0)
    assert loaded.model.config.num_labels == (len(labels) or 1)
    assert loaded.fresh == {"classifier.weight", "classifier.bias"}
    assert loaded.max_length == 64  # the model has no more positions
    if labels:
        assert loaded.model.config.id2label == dict(enumerate(labels))
        assert loaded.model.config.label2id == {label: i for i, label in enumerate(labels)}


def test_fresh_head_depends_on_the_init_seed(tiny_bert):
    heads = [classifier.load(str(tiny_bert), ("a", "b"), 32, s).model.classifier.weight for s in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_head_of_another_size_is_fresh(tiny_bert, tmp_path):
    first = classifier.load(str(tiny_bert), ("a", "b", "c"), 32, 0)
    exported.export(first.model, first.tokenizer, {"step": 1}, tmp_path / "three")
    mark = exported.read_mark(tmp_path / "three")
    assert mark["step"] == 1
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {*mark[exported.FILES]}
    again = classifier.load(str(tmp_path / "three"), ("x", "y", "z"), 32, 0)
    assert again.fresh == frozenset()
    other = classifier.load(str(tmp_path / "three"), ("x", "y"), 32, 0)
    assert other.fresh == {"classifier.weight", "classifier.bias"}


def test_half_precision_checkpoint_is_trained_in_float32(tiny_bert, tmp_path):
    half = AutoModelForSequenceClassification.from_pretrained(tiny_bert, dtype=torch.bfloat16)
    shutil.copytree(tiny_bert, tmp_path / "half")
    half.save_pretrained(tmp_path / "half")
    loaded = classifier.load(str(tmp_path / "half"), ("a", "b"), 32, 0)
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}


def small(kind, tiny_bert, folder):
    size = len(json.loads((tiny_bert / "tokenizer.json").read_text())["model"]["vocab"])
    shutil.copytree(tiny_bert, folder)
    if kind == "gpt2":
        GPT2Model(
            GPT2Config(
                vocab_size=size,
                n_positions=40,
                n_embd=32,
                n_layer=2,
                n_head=2,
                bos_token_id=2,
                eos_token_id=3,
            )
        ).save_pretrained(folder)
    else:
        RobertaModel(
            RobertaConfig(
                vocab_size=size,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=42,
                pad_token_id=1,
                type_vocab_size=1,
            )
        ).save_pretrained(folder)
    return folder


def test_no_padding_token_takes_the_end_token(tiny_bert, tmp_path):
    folder = small("gpt2", tiny_bert, tmp_path / "gpt2")
    path = folder / "tokenizer_config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k != "pad_token"}
    path.write_text(json.dumps(config | {"eos_token": "[SEP]"}))
    loaded = classifier.load(str(folder), ("a", "b"), 128, 0)
    assert loaded.tokenizer.pad_token == "[SEP]"
    assert loaded.model.config.pad_token_id == loaded.tokenizer.pad_token_id
    assert loaded.max_length == 40
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="neither a padding nor an end token"):
        classifier.load(str(folder), ("a", "b"), 128, 0)


def test_tokenizer_gives_what_the_model_takes(tiny_bert, tmp_path):
    folder = small("gpt2", tiny_bert, tmp_path / "gpt2")
    edit_config(folder, model_type="gpt2")
    path = folder / "tokenizer_config.json"
    names = ["input_ids", "attention_mask", "of_no_use"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_input_names": names}))
    loaded = classifier.load(str(folder), ("a", "b"), 128, 0)
    assert loaded.tokenizer.model_input_names == names[:2]


def test_positions_behind_the_padding_index(tiny_bert, tmp_path):
    loaded = classifier.load(str(small("roberta", tiny_bert, tmp_path / "r")), ("a", "b"), 128, 0)
    assert loaded.max_length == 40


def test_a_name_on_the_hub_is_loaded_from_the_cache_and_vetted(tiny_bert, tmp_path, monkeypatch):
    repository = tmp_path / "models--nobody--tiny"
    snapshot = shutil.copytree(tiny_bert, repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert classifier.load("nobody/tiny", ("a", "b"), 32, 0).fresh == {"classifier.weight", "classifier.bias"}
    edit_config(snapshot, num_hidden_layers=10**6)
    with pytest.raises(InputError, match=r"model 'nobody/tiny' says num_hidden_layers = 1000000"):
        classifier.load("nobody/tiny", ("a", "b"), 32, 0)


def test_allowing_missing_weights_is_a_run_of_its_own_and_changes_no_other_id():
    plain, lenient = Run(task="rte"), Run(task="rte", allow_missing_weights=True)
    assert plain.id != lenient.id
    assert Run.from_dict(lenient.to_dict()) == lenient
    assert Run.from_dict(plain.to_dict()) == plain


class PanicException(BaseException):
    """As a library in Rust raises, which is no Exception."""


@pytest.mark.parametrize(
    ("raised", "seen"), [(PanicException, InputError), (KeyboardInterrupt, KeyboardInterrupt)]
)
def test_a_panic_of_the_tokenizer_is_one_sentence(tiny_bert, monkeypatch, raised, seen):
    def check_words(*told):
        raise raised("no entry found for key")

    monkeypatch.setattr("pats.run.model.fit.check_words", check_words)
    with pytest.raises(seen, match="no entry found for key"):
        classifier.load(str(tiny_bert), ("a", "b"), 32, 0)


def test_layers_that_the_config_leaves_out_are_told(broken):
    weights = load_file(broken / "model.safetensors")
    more = {"cls.predictions.bias": torch.zeros(3), "lm.0.weight": torch.zeros(3)}  # heads of other tasks
    more["h.0.attn.bias"] = torch.ones(1, 1, 4, 4, dtype=torch.bool)  # a mask, as in GPT-2
    save_file({**weights, **more}, broken / "model.safetensors", {"format": "pt"})
    assert classifier.load(str(broken), ("a", "b"), 32, 0).unused == ()
    edit_config(broken, num_hidden_layers=1)
    loaded = classifier.load(str(broken), ("a", "b"), 32, 0)
    assert len(loaded.unused) == 16
    assert all(".layer.1." in name for name in loaded.unused)
    assert "Warning: config.json has fewer layers than the weights, of which 16 tensors (" in loaded.note


@pytest.mark.parametrize("settings", [{"return_dict": False}, {"chunk_size_feed_forward": 7}])
@pytest.mark.parametrize("names", [None, [], ["evil"]])
def test_settings_that_concern_no_training_do_not_stop_it(broken, reviews, settings, names):
    edit_config(broken, **settings)
    if names is not None:
        path = broken / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"model_input_names": names}))
    result = finetune(Run(model=str(broken), data=str(reviews), method="vanilla", steps=2))
    assert result.status == "done"
