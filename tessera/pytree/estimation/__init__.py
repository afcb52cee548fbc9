"""Inside of `estimate`, `moments` and `summary`: inference, sensitivity, results, tables."""
