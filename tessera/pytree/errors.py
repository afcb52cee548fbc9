"""The errors that this layer raises; they are those of the one errors module, `tessera.errors`."""

from tessera.errors import (
    BoundsError,
    ConstraintError,
    DerivativeError,
    FunctionError,
    InferenceError,
    StorageError,
    StructureError,
    UnsupportedLeafError,
)

__all__ = [
    "BoundsError",
    "ConstraintError",
    "DerivativeError",
    "FunctionError",
    "InferenceError",
    "StorageError",
    "StructureError",
    "UnsupportedLeafError",
]
