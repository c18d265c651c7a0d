"""Model folders from anybody: damaged weights and indices, pickles, code, paths that lead out."""

import json
import os
import pickle
import shutil
import struct
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st

from pats.cli import main
from pats.measure.trained import load_model
from pats.run.model import classifier, exported
from support.fuzzing.damage import HOSTILE, bytes_of, cut, json_of, values
from support.fuzzing.door import Fault, fuzzed, restored
from support.tiny_bert import make_table

DOOR = "model folders"
GOLDEN = Path(__file__).parents[1] / "golden/study/out/model"

CODE = "import pathlib\npathlib.Path('planted').write_text('x')\n"
CONFIGS = (
    {"auto_map": {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Model"}},
    {"auto_map": {"AutoConfig": "evil/repository--own.Config"}, "model_type": "own"},
    {"model_type": "own"},
    {"model_type": "gpt2"},
    {"architectures": ["../../own.Model"]},
    {"transformers_weights": "../outside.safetensors"},
    {"transformers_weights": "pytorch_model.bin"},
    {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
    {"_attn_implementation": "evil/kernel"},
    {"attn_implementation": "kernels-community/x"},
    {"torch_dtype": "float8"},
    {"dtype": "os.system"},
    {"tie_word_embeddings": "x"},
    {"id2label": {"0": "a", "1": "a"}},
    {"problem_type": "x"},
    {"num_labels": -1},
    {"use_return_dict": False},
    {"is_encoder_decoder": True},
    {"_name_or_path": "/etc/passwd"},
    {"base_model_prefix": "x"},
    {"tokenizer_class": "own.Tokenizer"},
)
PATHS = (
    *(
        "../outside.safetensors",
        "/etc/passwd",
        "a/../../outside.safetensors",
        "",
        ".",
        "..",
        "model.safetensors",
    ),
    *("pytorch_model.bin", "\0", "~", "x" * 300, "part.safetensors", "C:\\x.safetensors"),
)
ADDED = (
    *(
        "own.py",
        "pytorch_model.bin",
        "adapter_config.json",
        "adapter_model.safetensors",
        "generation_config.json",
    ),
    *("special_tokens_map.json", "added_tokens.json", "vocab.txt", "merges.txt", "chat_template.jinja"),
    *("model.safetensors.index.json", "tf_model.h5", "training_args.bin", "optimizer.pt", "pats-model.json"),
    *("preprocessor_config.json", "quantize_config.json", "consolidated.safetensors", "spiece.model"),
)


class Planted:
    """A pickle that writes a file where it is read."""

    def __reduce__(self):
        return os.mkdir, ("planted",)


def header(whole):
    """The header of a safetensors file, and its tensors' bytes."""
    (size,) = struct.unpack("<Q", whole[:8])
    return json.loads(whole[8 : 8 + size]), whole[8 + size :]


@st.composite
def weights(draw, whole):
    """A safetensors file whose header says something else."""
    told, rest = header(whole)
    name = draw(st.sampled_from(sorted(set(told) - {"__metadata__"})))
    kind = draw(
        st.sampled_from(("shape", "dtype", "offsets", "name", "gone", "value", "rest", "size", "nan"))
    )
    if kind == "shape":
        told[name]["shape"] = draw(st.lists(st.sampled_from((0, 1, 2, 32, -1, 10**12, 2**64)), max_size=3))
    elif kind == "dtype":
        told[name]["dtype"] = draw(st.sampled_from(("F16", "I64", "BOOL", "X", "", "F8_E4M3")))
    elif kind == "offsets":
        told[name]["data_offsets"] = draw(st.lists(st.integers(-1, len(rest) + 9), max_size=3))
    elif kind == "name":
        told[draw(st.sampled_from((*HOSTILE, "bert." + name, "model." + name)))] = told.pop(name)
    elif kind == "gone":
        told.pop(name)
    elif kind == "value":
        told[name] = draw(values())
    elif kind == "rest":
        rest = draw(bytes_of(rest[:64])) + rest[64:]
    elif kind == "nan":
        start = told[name]["data_offsets"][0]
        rest = (
            rest[:start]
            + draw(st.sampled_from((b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"\xff" * 4)))
            + rest[start + 4 :]
        )
    content = json.dumps(told).encode()
    size = len(content) if kind != "size" else draw(st.integers(0, 2**63))
    return struct.pack("<Q", size) + content + rest


@st.composite
def changes(draw, files):
    """New contents of some files of a folder; None is that one is gone, a word what it becomes instead."""
    name = draw(
        st.sampled_from([*files, *(name for name in files if name.endswith((".safetensors", "config.json")))])
    )
    kind = draw(
        st.sampled_from(("edit",) * 6 + ("bytes", "bytes", "cut", "gone", "config", "added", "index", "odd"))
    )
    if kind == "edit" and name.endswith(".safetensors"):
        return {name: draw(weights(files[name]))}, False
    if kind == "edit" and name.endswith(".json"):
        content = json.loads(files[name])
        if name == "tokenizer.json":
            content = draw(
                st.sampled_from((content, {**content, "added_tokens": content["added_tokens"][:1]}))
            )
        return {name: draw(json_of(content, most=2))}, False
    if kind == "cut":
        chosen = [one for one in files if one.endswith((".safetensors", ".npz"))]
        name = draw(st.sampled_from(chosen))
        return {name: draw(cut(files[name]))}, True
    if kind == "gone":
        return {name: None}, False
    if kind == "odd":
        return {name: draw(st.sampled_from(("folder", "pipe", "link")))}, False
    if kind == "config" and "config.json" in files:
        told = json.loads(files["config.json"]) | draw(st.sampled_from(CONFIGS))
        return {"config.json": json.dumps(told).encode(), "own.py": CODE.encode()}, False
    if kind == "index" and "model.safetensors" in files:
        tensors = [*header(files["model.safetensors"])[0]]
        mapped = {one: draw(st.sampled_from(PATHS)) for one in tensors[:2]} | dict.fromkeys(
            tensors[2:], "part.safetensors"
        )
        index = draw(
            st.one_of(st.just(json.dumps({"weight_map": mapped}).encode()), json_of({"weight_map": mapped}))
        )
        whole = files["model.safetensors"]
        return {
            "model.safetensors": None,
            "part.safetensors": whole,
            "model.safetensors.index.json": index,
        }, False
    if kind == "added":
        content = draw(
            st.sampled_from((CODE.encode(), pickle.dumps(Planted()), b"", b"{}", b"[]", b'{"a": 1}'))
        )
        gone = {"model.safetensors": None} if draw(st.booleans()) and "model.safetensors" in files else {}
        return {draw(st.sampled_from(ADDED)): content} | gone, False
    return {name: draw(bytes_of(files[name]))}, False


def lay(folder, content):
    for name, one in content.items():
        path = folder / name
        restored(path, one if isinstance(one, bytes) else None)
        if one == "folder":
            path.mkdir()
        elif one == "pipe":
            os.mkfifo(path)
        elif one == "link":
            path.symlink_to("../outside.safetensors")


@cache
def sound(kind):
    """The files of an encoder's folder as a run exports it, or of a simple model's."""
    if kind == "encoder":
        return {path.name: path.read_bytes() for path in GOLDEN.iterdir()}
    with TemporaryDirectory() as name:
        table = make_table(Path(name, "texts.csv"), rows=60)
        argv = ["run", "--data", str(table), "--method", "tfidf", "--quiet", "--out", f"{name}/fit"]
        assert main(argv) == 0
        return {path.name: path.read_bytes() for path in Path(name, "fit", "model").iterdir()}


@st.composite
def inputs(draw):
    kind = draw(st.sampled_from(("encoder", "encoder", "encoder", "simple")))
    many = [draw(changes(sound(kind))) for _ in range(draw(st.sampled_from((1, 1, 1, 2))))]
    content = {name: one for changed, _ in many for name, one in changed.items()}
    incomplete = many[-1][1]  # nothing has changed it since
    return kind, content, incomplete, draw(st.sampled_from(("train", "train anyway", "use", "use", "damage")))


USES = {
    "train": lambda folder: classifier.load(folder, ("a", "b"), 32, 0),
    "train anyway": lambda folder: classifier.load(folder, ("a", "b", "c"), 32, 0, allow_missing=True),
    "use": lambda folder: load_model(folder).predict(["a fine day", ""]),
}


@fuzzed(inputs())
def test_a_model_folder_is_loaded_or_refused(door, tried):
    kind, content, incomplete, use = tried
    folder = door.root / "model"
    folder.mkdir()
    outside = door.root / "outside.safetensors"
    outside.write_bytes(sound("encoder")["model.safetensors"])
    lay(folder, {**sound(kind), **content})
    told = []
    try:
        if use == "damage":
            refused = door.tried(lambda: told.append(exported.damage(folder)))
        else:
            refused = door.tried(lambda: USES[use](str(folder)))
        if incomplete and refused is None and told in ([], [None]):
            raise Fault("weights that were cut were taken for whole ones")
    finally:
        shutil.rmtree(folder)
