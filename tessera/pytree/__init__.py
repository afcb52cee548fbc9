"""Trees of arrays, tables and numbers: their structure, and the HDF5 files they are stored in.

Every asset's value is a tree. `tree` holds structure and comparison, `io` the file format (docs/ep-01), `encoders` the
kinds of leaf, `partitions` the mappings of trees by partition key. Import from the modules: nothing is loaded here.
"""
