"""Inside of `optimize`: criteria, algorithms, histories, results."""
