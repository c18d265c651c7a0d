"""``pats serve``: a model behind a JSON endpoint on this machine."""

import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from pats.cli import _flags, _parser
from pats.cli._output import write_json
from pats.measure.serve.asked import Limits
from pats.measure.serve.server import Server
from pats.measure.trained import load_model

EXAMPLE = """
pats serve out/model --port 8000
curl -H 'Content-Type: application/json' -d '{"texts": ["a fine day"]}' http://127.0.0.1:8000/predict
"""
SUMMARY = (
    "Answer POST /predict with the labels and scores of texts, as pats predict gives them; GET / tells the "
    "model, its labels and the limits. It listens on this machine alone, and asks nobody who they are. "
    "Ctrl-C or SIGTERM ends it."
)


def main(argv: Sequence[str]) -> int:
    """Serve as the flags say."""
    parser = _parser.Parser("serve", SUMMARY, EXAMPLE)
    default = Limits()
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of a fine-tuned model, or of the comparison that chose it")
    add(
        "--port",
        type=_flags.integer,
        metavar="N",
        help="port to listen on; 0 takes a free one (default: 8000)",
    )
    add("--host", metavar="ADDRESS", help="address to listen on, of this machine alone (default: 127.0.0.1)")
    add("--allow-other-machines", action="store_true", help="allow a --host that other machines reach")
    add("--max-texts", type=_flags.integer, metavar="N", help=f"texts a request (default: {default.texts})")
    add("--max-body", type=_flags.integer, metavar="N", help=f"bytes a request (default: {default.body})")
    add("--max-length", type=_flags.integer, metavar="N",
        help=f"characters a text (default: {default.length})")  # fmt: skip
    add("--max-requests", type=_flags.integer, metavar="N",
        help=f"requests at a time (default: {default.requests})")  # fmt: skip
    add("--timeout", type=_flags.number, metavar="S",
        help=f"seconds for a request to arrive, and to wait (default: {default.seconds:g})")  # fmt: skip
    add("--json", action="store_true", help="write the address and the limits as JSON on stdout")
    add("--quiet", action="store_true", help="write no line a request")
    values = parser.read(argv)
    limits = Limits.of(
        body=values.get("max_body"),
        texts=values.get("max_texts"),
        length=values.get("max_length"),
        requests=values.get("max_requests"),
        seconds=values.get("timeout"),
    )
    server = Server(
        load_model(values["model"]),
        values.get("host", "127.0.0.1"),
        values.get("port", 8000),
        limits,
        remote=values.get("allow_other_machines", False),
        on_request=(lambda *told: None) if values.get("quiet") else _tell,
    )
    _until_stopped(server, values.get("json", False))
    return 0


def _until_stopped(server: Server, as_json: bool) -> None:
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        if as_json:
            write_json({"url": server.url} | server.about())
        else:
            sys.stdout.write(f"{server.url}predict answers; Ctrl-C ends it\n")
        sys.stdout.flush()
        stopped.wait()
    finally:
        server.stop()
        thread.join(5)
        for number, handler in before.items():
            signal.signal(number, handler)
    sys.stderr.write("stopped\n")


def _tell(method: str, path: str, status: int, seconds: float) -> None:
    plain = "".join(one if one.isprintable() else "?" for one in f"{method} {path}")[:120]
    sys.stderr.write(f"{plain} {status} {1000 * seconds:.0f} ms\n")
