"""Statistics and tables: reads results only, never models."""
