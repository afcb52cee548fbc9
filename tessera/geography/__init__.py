"""Where households live: areas, blocks and the placement of clones."""
