"""Which runs a study has: its grid, or its search space."""
