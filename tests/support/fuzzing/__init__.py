"""What the doors of ``tests/fuzz`` share: one property, its counts, and damage of every kind."""
