"""Area files: assembly of engine inputs, the HDF5 layout and reading back."""
