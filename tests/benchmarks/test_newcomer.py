"""A newcomer's steps: the README's own commands, in their order, on another table."""

import pytest

from benchmarks import newcomer, record

README = (record.ROOT / "README.md").read_text("utf-8")


def test_the_commands_are_the_readme_s():
    compare, predict = newcomer.commands(README)
    assert compare[:4] == ["pats", "compare", "--data", "reviews.csv"]
    assert predict[:2] == ["pats", "predict"]
    assert predict[2].startswith(compare[compare.index("--out") + 1])  # the model of the comparison


def test_a_readme_without_them_is_refused():
    with pytest.raises(SystemExit, match="the README has no commands under '## You have a table"):
        newcomer.commands("# PATS\n")


def test_steps_are_taken_on_the_table(tmp_path, monkeypatch):
    table, ran = tmp_path / "mine.csv", []
    table.write_text("text,label\n" + "".join(f"text {row},{row % 2}\n" for row in range(50)))
    monkeypatch.setattr(newcomer, "run", lambda words, **_: ran.append([str(word) for word in words]))
    names = [name for name, _ in newcomer.steps(README, table, tmp_path)]
    assert names == ["make an environment", "install torch", "install PATS", "pats compare", "pats predict"]
    assert str(table) in ran[3]
    assert "reviews.csv" not in " ".join(ran[3] + ran[4])
    new = (tmp_path / "new.csv").read_text().split("\n")
    assert new[:2] == ["text", "text 0"]
    assert len([line for line in new if line]) == newcomer.NEW + 1
