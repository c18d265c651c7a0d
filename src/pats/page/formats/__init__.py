"""The formats of a page: HTML, Markdown, LaTeX, CSV, and the model card."""
