from pats.cli import main


def test_a_full_disk_is_one_sentence(inputs, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pats.cli.export.write_table", full)
    assert main(["export", str(tmp_path), "x.csv"]) == 1
    assert "the disk is full: make room" in capsys.readouterr().err
