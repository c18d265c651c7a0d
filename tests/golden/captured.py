"""For the scripts beside it."""

from types import SimpleNamespace


class Captured:
    """What pytest's ``capsys`` is to functions that read what was written on stdout."""

    def __init__(self, out):
        self.out = out

    def readouterr(self):
        told = self.out.getvalue()
        self.out.truncate(0)
        self.out.seek(0)
        return SimpleNamespace(out=told)
