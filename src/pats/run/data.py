"""The data of a run, checked against what it was planned with."""

from pats import tasks
from pats._errors import InputError
from pats.run.spec import Run
from pats.tasks.audit.tokenizer import counter
from pats.tasks.inspect import Inspection, inspect


def inspect_data(run: Run) -> Inspection:
    """What is to be known of the table that a run's settings name.

    Raises:
        InputError: Nothing can be read.
    """
    asked = tasks.Asked(
        *(run.data, run.text, run.text_pair, run.label, run.kind, run.split_seed),
        quoting=run.quoting,
        sheet=run.sheet,
        drop_rare=run.drop_rare,
        drop_unlabelled=run.drop_unlabelled,
    )
    return inspect(asked, run.max_length, counter(run.model, run.revision))


def load_data(run: Run) -> tasks.TaskData:
    """The data that a run's settings name.

    Raises:
        InputError: They cannot be read, or have changed since the run was planned.
    """
    data = tasks.load(
        run.task,
        run.data,
        text=run.text,
        text_pair=run.text_pair,
        label=run.label,
        kind=run.kind,
        quoting=run.quoting,
        sheet=run.sheet,
        drop_rare=run.drop_rare,
        drop_unlabelled=run.drop_unlabelled,
        seed=run.split_seed,
        options=run.task_options,  # type: ignore[arg-type]
    )
    if run.fingerprint not in (None, data.fingerprint):
        raise InputError(
            f"the data of {data.name!r} have changed since this run was planned (fingerprint "
            f"{data.fingerprint}, expected {run.fingerprint}): bring the old data back, or plan the run again"
        )
    return data
