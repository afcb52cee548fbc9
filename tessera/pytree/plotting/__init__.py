"""Inside of `plots`: groups of parameters, the data of each plot, its style."""
