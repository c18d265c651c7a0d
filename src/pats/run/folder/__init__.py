"""A run's folder: its files, whose they are, checkpoints, and what is still to be done."""
