"""What exists: one module a stage. An asset calls the library, attaches metadata and returns; it computes nothing."""
