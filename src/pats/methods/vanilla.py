"""Plain fine-tuning: what the paper compares with."""

from pats.methods._method import Method
from pats.methods._options import NoOptions


class Vanilla(Method[NoOptions]):
    """The optimizer as it is, bit for bit torch's."""

    name = "vanilla"
    summary = "plain fine-tuning"
    sentence = "plain fine-tuning"
