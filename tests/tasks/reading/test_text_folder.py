"""Folders of text files by class, as data sets."""

from pathlib import Path

import pytest

from pats import InputError
from pats.tasks import Asked
from pats.tasks.inspect import inspect
from pats.tasks.rows import tables_of


def lay(folder, **classes):
    """Write files of texts: ``part__class`` is a folder within one."""
    for name, texts in classes.items():
        place = folder.joinpath(*name.split("__"))
        place.mkdir(parents=True)
        for i, text in enumerate(texts):
            content = text if isinstance(text, bytes) else text.encode()
            (place / f"{i}.txt").write_bytes(content)
    return folder


GOOD, BAD = [f"good {i}" for i in range(15)], [f"bad {i}" for i in range(15)]


def test_a_folder_for_each_class(tmp_path):
    lay(tmp_path, pos=GOOD, neg=BAD)
    (tmp_path / "pos" / "notes.pdf").write_bytes(b"no text")
    (tmp_path / "pos" / ".hidden.txt").write_text("no text of the data")
    (tmp_path / "README.md").write_text("what this is")
    (tmp_path / "empty").mkdir()
    ((split, table),) = tables_of(Asked(tmp_path)).items()
    assert split is None
    assert table.cells["text"] == [*BAD[:2], *BAD[10:], *BAD[2:10], *GOOD[:2], *GOOD[10:], *GOOD[2:10]]
    assert table.cells["label"] == ["neg"] * 15 + ["pos"] * 15
    assert table.cells["file"][0] == "neg/0.txt"
    found = inspect(Asked(tmp_path))
    assert found.kind == "classification"
    (warned,) = (one.message for one in found.findings if one.severity != "note")
    assert warned.startswith("1 files beside the texts are not read")


def test_splits_above_the_classes_and_texts_without_a_label(tmp_path):
    lay(
        tmp_path,
        train__pos=GOOD,
        train__neg=BAD,
        train__unsup=["what"],
        test__pos=GOOD[:3],
        test__neg=BAD[:2],
    )
    tables = tables_of(Asked(tmp_path))
    assert {split: len(table) for split, table in tables.items()} == {"train": 30, "test": 5}
    assert "The folder 'unsup' holds no class, and is not read." in tables["train"].notes


def test_other_encodings_are_warned_of_and_what_is_no_text_is_refused(tmp_path):
    lay(tmp_path, pos=["café".encode("cp1252"), "ja"], neg=["d\u00e9j\u00e0", "\ufeffno"])
    (table,) = tables_of(Asked(tmp_path)).values()
    assert table.cells["text"] == ["d\u00e9j\u00e0", "no", "caf\u00e9", "ja"]
    assert any(note.startswith("Warning: 1 texts are not UTF-8, such as 0.txt") for note in table.notes)
    for content in (bytes(range(256)), b"\xff\xfea", b"\xff\xfe\x00\x00a"):
        (tmp_path / "pos" / "1.txt").write_bytes(content)
        with pytest.raises(InputError, match=r"pos/1\.txt"):
            tables_of(Asked(tmp_path))


def test_files_that_are_named_for_their_number_or_content_are_texts(tmp_path):
    for name in ("pos/00001.7c53336b37003a9286aba55d2945844c", "pos/msg.12", "neg/17", "neg/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (table,) = tables_of(Asked(tmp_path)).values()
    assert sorted(table.cells["text"]) == sorted(table.cells["file"])
    assert len(table) == 4


def test_a_folder_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch):
    lay(tmp_path, pos=GOOD, neg=BAD)
    monkeypatch.setattr(
        Path, "iterdir", lambda folder: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        tables_of(Asked(tmp_path))


@pytest.mark.parametrize(
    "classes",
    [{"pos": GOOD}, {"pos": GOOD, "unsup": BAD}, {"train": GOOD, "test": BAD}, {"train__unsup": GOOD}],
)
def test_no_classes_are_no_table(tmp_path, classes):
    lay(tmp_path, **classes)
    with pytest.raises(InputError, match="a folder of text files for each class"):
        tables_of(Asked(tmp_path))


def test_a_train_table_wins(tmp_path):
    lay(tmp_path, pos=GOOD, neg=BAD)
    (tmp_path / "train.csv").write_text("text,label\nx,a\n")
    (table,) = tables_of(Asked(tmp_path)).values()
    assert len(table) == 1
