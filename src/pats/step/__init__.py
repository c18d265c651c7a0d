"""One optimizer step with PATS: what it is made of, from its plan to its telemetry."""
