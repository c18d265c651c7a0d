"""The content of a page: verdict, sections, charts and words, the same for every format."""
