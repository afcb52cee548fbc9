"""Inside of `constraints`: from constrained trees to the vectors that a solver sees, and back."""
