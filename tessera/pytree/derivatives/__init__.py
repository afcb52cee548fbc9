"""Inside of `numdiff`: steps, evaluations, differences of flat vectors."""
