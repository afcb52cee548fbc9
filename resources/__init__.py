"""With what the graph runs: settings, the rules engine, the accelerator and the IO manager. No asset is defined here."""
