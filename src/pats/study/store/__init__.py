"""The store of a study: files alone, where every result counts once."""
