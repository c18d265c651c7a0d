"""The command line ``pats``: one verb a task.

Exit codes: 0, 1 (a run failed), 2 (bad input, explained in one sentence on stderr), 130 (Ctrl-C).
"""

import errno
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO

from pats._errors import InputError, did_you_mean, out_of_memory
from pats.cli import _short_help

VERBS = {
    "run": "fine-tune one model",
    "compare": "compare methods on tasks and models over several seeds",
    "sweep": "search hyper-parameters with equal budgets, then compare the winners on fresh seeds",
    "inspect": "show what a table holds, and what is wrong with it, before training",
    "predict": "label the rows of a table with a fine-tuned model",
    "serve": "answer with a model's predictions over HTTP on this machine",
    "explain": "show which words of a text moved a model's scores",
    "export-onnx": "write a model as an ONNX file, and check that it gives the same scores",
    "check": "show how much noise a run would accumulate",
    "bench": "time a step of the optimizers on this machine, with PATS and without",
    "watch": "show the progress of a comparison",
    "report": "write the page of a comparison",
    "sensitivity": "draw how a model's sensitivities are distributed",
    "data-size": "show what the size of the training data changes",
    "export": "write a study's runs as a CSV or Parquet file",
    "env": "print the versions and hardware that a bug report needs",
    "completion": "print a script with which bash or zsh completes verbs and flags",
}

TOGETHER = ("run", "compare", "sweep", "data-size")  # verbs that several processes can do together

USAGE = "\n".join(
    [
        "usage: pats VERB ...",
        "",
        "Sensitivity-aware noisy fine-tuning of pretrained language models.",
        "",
        *(f"  {verb:11} {summary}" for verb, summary in VERBS.items()),
        "",
        "pats VERB --help shows a verb's options, with an example; pats --version shows version and kernel.",
        "",
    ]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        argv: The verb and its arguments; None takes the process's own.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0
    verb, *rest = arguments
    if argv is None:  # the process is ours alone
        warnings.showwarning = _warn
    try:
        if verb == "--version":
            kernel = import_module("pats.kernels").info()
            sys.stdout.write(f"pats {import_module('pats').__version__}, kernel: {kernel}\n")
            return 0
        if verb not in VERBS:
            raise InputError(
                f"there is no verb {verb!r}{did_you_mean(verb, VERBS)}; the verbs are: {', '.join(VERBS)}"
            )
        if {"-h", "--help"} & set(rest):
            sys.stdout.write(_short_help.page(verb))
            raise SystemExit(0)  # as a parser does
        rest = ["--help" if one == "--help-all" else one for one in rest]
        if verb in TOGETHER and "--help" not in rest:
            from pats.run import ranks

            ranks.launched()  # before what takes seconds: leftovers in the environment are reported here
        # A verb's module is imported when it is asked for, which takes seconds; short help does without.
        code: int = import_module(f"pats.cli.{verb.replace('-', '_')}").main(rest)
    except InputError as error:
        from pats.run import ranks

        if ranks.speaks(error):
            sys.stderr.write(f"pats: {_line(error)}\n")
        return 2
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left; python would complain at its exit
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _again("the disk is full: make room")
        if error.errno == errno.EFBIG:
            return _again("a file would be larger than is allowed here: raise the limit (ulimit -f)")
        if error.filename is None:
            raise
        sys.stderr.write(f"pats: {error.filename} cannot be used ({error.strerror}): choose another path\n")
        return 2
    except (MemoryError, RuntimeError) as error:
        told = out_of_memory(error)
        if told is None:
            raise
        return _again(told)
    except KeyboardInterrupt:
        sys.stderr.write("\npats: stopped; the same command goes on where this one was\n")
        return 130
    return code


def _again(sentence: str) -> int:
    """Tell of a lack of something, after which a command can go on; returns the exit code."""
    sys.stderr.write(f"pats: {sentence}, and start the same command again; it goes on\n")
    return 1


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning; one to the user without the place in the code that it is of no use to."""
    plain = issubclass(category, UserWarning)
    text = (
        f"Warning: {message}\n"
        if plain
        else warnings.formatwarning(message, category, filename, lineno, line)
    )
    (file or sys.stderr).write(text)


def _line(error: InputError) -> str:
    """A message as one line that does nothing to a terminal, whatever names it quotes."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(error))
