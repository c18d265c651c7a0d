"""What tests share: small models and tables, settings, processes, oracles."""
