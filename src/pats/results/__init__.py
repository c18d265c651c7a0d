"""What runs found, as a study and a page read it."""
