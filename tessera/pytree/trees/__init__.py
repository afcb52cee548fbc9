"""Inside of `tree`: containers, leaves, labels, specs. The public functions are in `tessera.pytree.tree`."""
