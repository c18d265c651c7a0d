"""``serve``: a trained model behind one JSON endpoint, for programs on the same machine."""
