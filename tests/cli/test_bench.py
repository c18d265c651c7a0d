import json

from pats.cli import main


def test_bench(inputs, capsys):
    arguments = ["bench", "--model", str(inputs / "bert"), "--threads", "1", "--rounds", "1"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "PATS runs on the path" in told
    assert "PATS Adamax, torch operations" in told
    assert main([*arguments, "--json"]) == 0
    costs = json.loads(capsys.readouterr().out)["costs"]
    assert costs[0]["over_torch_adamax"] == 1.0
