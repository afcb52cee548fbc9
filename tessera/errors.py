"""Every error that Tessera raises on purpose, in one hierarchy.

A message says what is wrong, where (file, row, asset, partition, leaf), the value seen, the value wanted and the
next step. Catch `TesseraError` to catch them all. Errors of other libraries are wrapped, never swallowed.
"""

from __future__ import annotations


class TesseraError(Exception):
    """Base of every error that Tessera raises on purpose."""


class ConfigError(TesseraError):
    """A setting, path or preset that cannot be used."""


class SourceError(TesseraError):
    """A source file that is missing, truncated, of another vintage or without a needed column."""


class FrameError(TesseraError):
    """A set of entity tables that do not fit together: duplicate ids, orphans, missing values, negative weights."""


class TargetError(TesseraError):
    """A target, stratum or constraint that the target database refuses."""


class GeographyError(TesseraError):
    """A block, county, district or area that is unknown or empty."""


class RulesError(TesseraError):
    """A variable that the rules engine does not know, or that fails in a state."""


class MatrixError(TesseraError):
    """A calibration matrix or package that is inconsistent, damaged or of another schema version."""


class FitError(TesseraError):
    """Options or data with which the fit cannot run."""


class AreaError(TesseraError):
    """An area file that cannot be built or does not hold what it should."""


class ReleaseError(TesseraError):
    """A release that fails its gate, or a staged release that is incomplete or altered."""


class StructureError(TesseraError, ValueError):
    """Two trees, or a tree and a stored file, whose structures differ. Names the paths."""


class UnsupportedLeafError(TesseraError, TypeError):
    """A leaf of a type that no encoder is registered for. Names the path and the call that registers one."""


class BoundsError(TesseraError, ValueError):
    """Bounds that match no parameter, are crossed, or exclude the start. Names the paths."""


class ConstraintError(TesseraError, ValueError):
    """A constraint whose selector fails or selects nothing, or that the start or another constraint contradicts."""


class FunctionError(TesseraError, ValueError):
    """A function of the user that raises, or returns what cannot be used: NaN, wrong keys, another structure."""


class DerivativeError(TesseraError, ValueError):
    """A derivative that does not fit the parameters, or that cannot be taken. Names the paths."""


class InferenceError(TesseraError, ValueError):
    """Moments, weights or covariances with which no standard errors can be had."""


class StorageError(TesseraError, OSError):
    """A file of ours that is missing, truncated, foreign or written by a newer version, or that cannot be written."""
