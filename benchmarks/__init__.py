"""What the project's numbers come from: one file a claim, and the results beside them.

Run from the root of the checkout: ``python -m benchmarks.step``. See ``record`` for the results' format.
"""
