"""Real tables to measure on, and other systems to measure on them beside PATS."""
