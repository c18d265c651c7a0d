"""The model of a run: where it is, whether it can be trusted, how it is loaded and exported."""
