import warnings
from collections import Counter

import pytest

from pats._errors import InputError
from pats.tasks import GLUE, load

# One official-looking file a task: header (None where there is none), rows, expected first row.
TASKS = {
    "cola": (None, ['gj04\t0\t*\tHe "go.', "gj04\t1\t\tHe goes."], ('He "go.', None, 0)),
    "mrpc": (
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        ['1\t7\t8\t" Yes , he said\tHe agreed .', "0\t9\t8\tNo\tYes"],
        ('" Yes , he said', "He agreed .", 1),
    ),
    "rte": (
        "index\tsentence1\tsentence2\tlabel",
        ["0\ta\tb\tnot_entailment", "1\tc\td\tentailment"],
        ("a", "b", 1),
    ),
    "stsb": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        ["0\tg\tf\t12\t1\tn\tn\ta\tb\t3.800", "1\tg\tf\t12\t1\tn\tn\tc\td\t0"],
        ("a", "b", 3.8),
    ),
    "qqp": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        ["0\t1\t2\ta?\tb?\t1", "broken\t0", "1\t3\t4\tc?\td?\t0"],
        ("a?", "b?", 1),
    ),
    "qnli": (
        "index\tquestion\tsentence\tlabel",
        ["0\ta?\tb\tentailment", "1\tc\td\tnot_entailment"],
        ("a?", "b", 0),
    ),
    "mnli": (
        "index\tsentence1\tsentence2\tlabel1\tgold_label",
        ["0\ta\tb\tneutral\tneutral\tcontradiction", "1\tc\td\tneutral\tneutral"],
        ("a", "b", 2),
    ),
    "sst2": ("sentence\tlabel", ["fine \u2028 film \t1", "bad\t0"], ("fine \u2028 film ", None, 1)),
    "wnli": ("index\tsentence1\tsentence2\tlabel", ["0\ta\tb\t1", "1\tc\td\t0"], ("a", "b", 1)),
}


def write(folder, task, end="\n", bom="", files=None):
    folder = folder / GLUE[task].folder
    folder.mkdir(parents=True)
    header, rows, _ = TASKS[task]
    text = bom + end.join([line for line in (header, *rows) if line is not None]) + end
    for name in files or GLUE[task].rows:
        (folder / f"{name}.tsv").write_bytes(text.encode())
    return folder


@pytest.fixture(autouse=True)
def _counts_are_not_official():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*officially")
        yield


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("end", "bom"), [("\n", ""), ("\r\n", "\ufeff")])
@pytest.mark.parametrize("own", [False, True])
def test_official_layout(tmp_path, task, end, bom, own):
    folder = write(tmp_path, task, end, bom)
    data = load(GLUE[task].folder, folder if own else tmp_path)
    text, pair, label = TASKS[task][2]
    assert list(data.splits) == list(GLUE[task].rows)
    for split in data.splits.values():
        assert len(split) == 2
        assert (split.text[0], split.label[0]) == (text, label)
        assert (split.text_pair and split.text_pair[0]) == pair
    assert (data.name, data.source, data.metric) == (task, "folder", GLUE[task].metrics[0])
    assert any("broken" in note for note in data.notes) is (task == "qqp")


def test_mrpc_is_built_from_the_ids_of_dev(tmp_path):
    folder = write(tmp_path, "mrpc")
    lines = ["\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String"]
    lines += [f"{i % 2}\t{i}\t{i + 50}\tfirst {i}\tsecond {i}" for i in range(6)]
    (folder / "msr_paraphrase_train.txt").write_text("\n".join(lines) + "\n")
    (folder / "dev_ids.tsv").write_text("4\t54\n1\t51\n2\t99\n")
    splits = load("mrpc", tmp_path).splits
    assert splits["dev"].text == ("first 1", "first 4")
    assert splits["train"].text == ("first 0", "first 2", "first 3", "first 5")
    assert splits["train"].label == (0, 0, 1, 1)
    assert list(load("mrpc", tmp_path, need=["dev"]).splits) == ["dev"]


def test_a_split_that_is_not_needed_may_be_absent(tmp_path):
    write(tmp_path, "qnli", files=["dev"])
    assert list(load("qnli", tmp_path, need=["dev"]).splits) == ["dev"]
    with pytest.raises(InputError, match=r"QNLI has no train\.tsv"):
        load("qnli", tmp_path)


def change(old, new):
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    ("task", "damage", "parts"),
    [
        ("rte", change("c\td\tent", "c\tent"), ["line 3", "3 columns", "4"]),
        ("rte", lambda text: text[:-12], ["line 3", "breaks off"]),
        ("rte", lambda text: text[:-5], ["line 3", "breaks off", "row 2 of 2490"]),
        ("cola", lambda text: text[:-4], ["line 2", "breaks off", "8551"]),
        ("stsb", lambda text: text[:-2] + "\n", ["line 3", "''", "a number"]),
        ("stsb", change("3.800", "nan"), ["line 2", "'nan'", "a number"]),
        (
            "mnli",
            change("\tcontradiction", "\tcontr"),
            ["line 2", "'contr'", "entailment, neutral, contradiction"],
        ),
        ("mnli", change("1\tc\td\tneutral\tneutral", "1\tc\td"), ["line 3", "3 columns"]),
        ("sst2", change("bad\t0", "bad\t2"), ["line 3", "'2'", "0, 1"]),
        ("wnli", change("d\t0", "d\t"), ["line 3", "''", "0, 1"]),
        ("rte", change("sentence2", "hypothesis"), ["'sentence2'", "hypothesis"]),
        ("rte", lambda text: "", ["train.tsv", "no rows"]),
        ("rte", lambda text: text.splitlines()[0] + "\n", ["train.tsv", "no rows"]),
    ],
)
def test_damaged_files(tmp_path, task, damage, parts):
    path = write(tmp_path, task) / "train.tsv"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load(task, tmp_path)
    assert all(part in str(error.value) for part in [str(path), *parts])


def test_bytes_that_are_not_utf8(tmp_path):
    path = write(tmp_path, "rte") / "train.tsv"
    path.write_bytes(path.read_bytes().replace(b"c\td", b"c\t\xe9"))
    with pytest.raises(InputError, match=r"line 3 of .*train\.tsv .*UTF-8"):
        load("rte", tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "nowhere", "does not exist"),
        (lambda root: root / "RTE" / "dev.tsv", "is a file"),
        (lambda root: root / "RTE", "does not hold task wnli"),
        (lambda root: root, "does not hold task wnli"),
    ],
)
def test_folders_that_do_not_hold_the_task(tmp_path, make, message):
    write(tmp_path, "rte")
    with pytest.raises(InputError, match=message):
        load("wnli", make(tmp_path))


# Rows of class 1 (for stsb: the sum of scores) of the official files, train and dev.
OFFICIAL = {
    "cola": (6023, 721),
    "mrpc": (2474, 279),
    "rte": (1241, 131),
    "sst2": (37569, 444),
    "wnli": (312, 31),
}


@pytest.mark.glue
@pytest.mark.parametrize("task", [*OFFICIAL, "stsb"])
def test_the_official_files(glue_root, task, recwarn):
    data = load(task, glue_root)
    assert {name: len(split) for name, split in data.splits.items()} == GLUE[task].rows
    assert not [warning for warning in recwarn if "officially" in str(warning.message)]
    for split in data.splits.values():
        assert all(text.strip() for text in split.text)
        assert len(split.label) == len(split)
    if task == "stsb":
        assert all(0 <= score <= 5 for split in data.splits.values() for score in split.label)
    else:
        ones = tuple(int(Counter(split.label)[1]) for split in data.splits.values())
        assert ones == OFFICIAL[task]


@pytest.mark.glue
def test_the_official_qnli_dev(glue_root):
    split = load("qnli", glue_root, need=["dev"]).splits["dev"]
    assert (len(split), split.label[0], split.label[-1]) == (5463, 0, 1)


@pytest.mark.glue
def test_mrpc_dev_is_that_of_the_mirror(glue_root):
    split = load("mrpc", glue_root).splits["dev"]
    lines = (glue_root / "MRPC" / "dev.tsv").read_text(encoding="utf-8-sig").splitlines()[1:]
    mirror = Counter(tuple(line.split("\t")[3:]) for line in lines)
    assert Counter(zip(split.text, split.text_pair, strict=True)) == mirror
