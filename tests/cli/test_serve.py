import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from pats.cli import main
from pats.measure.predict import predict
from support.listening import addresses


@pytest.mark.parametrize(("number", "flags"), [(signal.SIGINT, ["--json"]), (signal.SIGTERM, [])])
def test_it_serves_what_predict_says_until_a_signal(trained, inputs, number, flags):
    model = trained / "model"
    command = [sys.executable, "-m", "pats.cli", "serve", str(model), "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if flags:
            content = json.JSONDecoder().raw_decode(read_object(process.stdout))[0]
            url = content["url"]
            assert content["labels"] == ["bad", "good"]
        else:
            url = re.match(r"(http://127\.0\.0\.1:\d+/)predict answers", process.stdout.readline())[1]
        assert {address.is_loopback for address in addresses(process.pid)} == {True}
        found = predict(model, inputs / "texts.csv")
        body = json.dumps({"texts": [one.texts[0] for one in found]}).encode()
        request = urllib.request.Request(f"{url}predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            served = json.load(answer)["predictions"]
        for one, other in zip(found, served, strict=True):
            assert other["label"] == one.label
            assert other["scores"] == pytest.approx(dict(one.scores), abs=1e-6)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert err.splitlines()[-1] == "stopped"
    assert re.match(r"POST /predict 200 \d+ ms$", err.splitlines()[0])


def read_object(stream):
    """Lines up to the end of a JSON object."""
    lines = []
    while not lines or lines[-1] != "}\n":
        lines.append(stream.readline())
        assert lines[-1]
    return "".join(lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{model}", "--host", "0.0.0.0"], "--allow-other-machines"),
        (["{model}", "--port", "x"], "'x' is not a whole number"),
        (["{model}", "--max-texts", "0"], "must be a number above 0"),
        (["{inputs}"], "has no config.json"),
        (["{inputs}/bert"], "is not fine-tuned"),
        (["nowhere/at/all"], "is no folder"),
    ],
)
def test_bad_input_is_one_sentence(trained, inputs, capsys, words, said):
    assert main(["serve", *(word.format(model=trained / "model", inputs=inputs) for word in words)]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert said in told.err
    assert told.out == ""
