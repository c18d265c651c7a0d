"""A page about results: numbers, content, formats. Reads results only, never models."""
