"""The rules engine behind a small protocol, its values for what the clones use, and programme take-up."""
