"""Trees of arrays, tables and numbers (EEP-01): structure, derivatives, optimisation, estimation, plots, files.

Every asset's value is a tree. The names below are loaded from their modules on first use, so that importing the package
costs nothing: `from tessera.pytree import ravel, minimize`. ARCHITECTURE.md says which module holds what.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "registry": ("get_registry", "register_dataclass", "register_namedtuple"),
    "tree": (
        "TreeSpec",
        "leaf_names",
        "leaf_paths",
        "ravel",
        "tree_flatten",
        "tree_leaves",
        "tree_map",
        "tree_structure",
        "tree_unflatten",
        "tree_update",
    ),
    "compare": ("identity_diff", "tree_diff", "tree_equal", "tree_identical"),
    "blocks": (
        "array_to_blocks",
        "blocks_to_array",
        "blocks_to_matrix",
        "frame_to_matrix",
        "matrix_to_blocks",
        "matrix_to_frame",
    ),
    "numdiff": ("NumdiffResult", "first_derivative", "second_derivative"),
    "bounds": ("Bounds",),
    "constraints": (
        "Covariance",
        "Decreasing",
        "Equal",
        "Fixed",
        "Increasing",
        "Linear",
        "Nonlinear",
        "PairwiseEqual",
        "Probability",
        "SdCorr",
    ),
    "optimize": ("OptimizeResult", "maximize", "minimize"),
    "estimate": (
        "LikelihoodResult",
        "MomentsResult",
        "estimate_ml",
        "estimate_msm",
        "ml_inference",
        "msm_inference",
    ),
    "moments": ("get_moments_cov", "get_weighting_matrix"),
    "summary": ("estimation_table", "summary_to_frames", "summary_to_trees"),
    "plots": (
        "convergence_plot",
        "criterion_plot",
        "derivative_plot",
        "lollipop_plot",
        "parameter_groups",
        "params_plot",
        "slice_plot",
    ),
    "dashboard": ("write_dashboard",),
    "errors": (
        "BoundsError",
        "ConstraintError",
        "DerivativeError",
        "FunctionError",
        "InferenceError",
        "StorageError",
        "StructureError",
        "UnsupportedLeafError",
    ),
    "io": ("describe_tree", "dump_tree", "format_tree", "load_tree"),
    "partitions": ("PartitionedOutput", "PartitionedTree"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}
__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
