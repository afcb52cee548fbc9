"""With what the graph runs: settings, rules engine, accelerator and IO manager. No asset is defined here."""
