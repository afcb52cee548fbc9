"""Inside of `io`: the file format, its encoders and stores. The public functions are in `tessera.pytree.io`."""
