"""The paper's own tables, ready to run: a configuration each, and how long it takes."""
