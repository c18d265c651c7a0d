"""What people call the splits of a table."""

_CALLED = {
    "train": ("train", "training"),
    "dev": ("dev", "val", "valid", "validation", "validate", "eval", "evaluation"),
    "test": ("test", "testing", "holdout"),
}
NAMES = {name: split for split, names in _CALLED.items() for name in names}
