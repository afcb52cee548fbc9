"""PytreeIOManager: every asset's value is a tree in an HDF5 file, one file a partition. Format: `tessera.pytree`.

Files: `{base_dir}/{asset key}.h5`, or `{base_dir}/{asset key}/{partition}.h5` for a partitioned asset. The folder is on
this machine, or in any store that fsspec knows (`s3://bucket/assets`).

What an input receives from a partitioned asset:

| annotation of the parameter        | partition mapping | run                 | received                 |
| ---------------------------------- | ----------------- | ------------------- | ------------------------ |
| `PartitionedTree`                  | any               | any                 | `PartitionedTree`        |
| none, `Any`, `Mapping`             | identity          | one partition       | the tree                 |
| none, `Any`, `Mapping`             | identity          | a range, of any size | `PartitionedTree`       |
| none, `Any`, `Mapping`             | other, or fan-in  | any                 | `PartitionedTree`        |
| any other type                     | any               | one key upstream    | the tree                 |
| any other type                     | any               | several keys        | error: annotate `PartitionedTree` |
| (none: `load_asset_value`)         | -                 | outside a run       | one key: the tree        |

With the input metadata `{"allow_missing_partitions": True}` a `PartitionedTree` goes on without the partitions that
have no file, named in its `missing`, and a single tree that is missing arrives as None; else they are an error.

So what arrives never depends on how many partitions there happen to be: a fan-in of one state takes the same path as
one of 51. Assets that run in chunks annotate `PartitionedTree` and return `PartitionedOutput`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_origin
from urllib.parse import quote

import dagster as dg

from tessera.errors import StorageError, StructureError
from tessera.pytree.partitions import PartitionedOutput, PartitionedTree
from tessera.pytree.storage.stores import as_path, exists

if TYPE_CHECKING:
    from tessera.pytree.storage.contents import TreeSummary
    from tessera.pytree.storage.stores import TreePath

_RANGE_TAG = "dagster/asset_partition_range_start"
_TABLE_ROWS = 40


class PytreeIOManager(dg.ConfigurableIOManager):
    """Stores trees in HDF5 files under a folder.

    Attributes:
        base_dir: the folder, as text or a URL; made when first written to.
        storage_options: of the fsspec file system, where `base_dir` is a URL (endpoint, key, ...).
        module: the module with the definitions, for the commands that messages suggest.
    """

    base_dir: str
    storage_options: dict[str, Any] = {}  # noqa: RUF012 (a pydantic field; each instance has its own)
    module: str = "definitions"

    def path_of(self, asset_key: dg.AssetKey, partition_key: str | None = None) -> TreePath:
        """The file of an asset, or of one of its partitions, whether it exists or not."""
        folder = self._base.joinpath(*(_safe(part) for part in asset_key.path))
        return folder.with_name(f"{folder.name}.h5") if partition_key is None else folder / f"{_safe(partition_key)}.h5"

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a value; `None` is not stored. One file a partition, each replaced only when complete."""
        from tessera.pytree.io import dump_tree

        if obj is None:
            return
        if not context.has_asset_key:
            dump_tree(_plain(obj, _name(context)), self._op_path(context))
        elif not context.has_asset_partitions:
            summary = dump_tree(_plain(obj, _name(context)), self.path_of(context.asset_key))
            context.add_output_metadata(_metadata(summary, self.path_of(context.asset_key)))
            _set_data_version(context, summary.sha256)
        else:
            self._write_partitions(context, obj)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read what an input needs, as the table of this module says."""
        from tessera.pytree.io import load_tree

        if not context.has_asset_key:
            upstream = context.upstream_output
            if upstream is None:
                raise StorageError(f"input {context.name}: no asset and no upstream output; wanted one of them.")
            return load_tree(self._op_path(upstream))
        if not context.has_asset_partitions:
            return self._load_one(context, None)
        keys = _ordered(context)
        if _wants_mapping(context, keys):
            return self._load_mapping(context, keys)
        return self._load_one(context, keys[0])

    @property
    def _base(self) -> TreePath:
        return as_path(self.base_dir, **self.storage_options)

    def _write_partitions(self, context: dg.OutputContext, obj: Any) -> None:
        from tessera.pytree.io import dump_tree

        wanted = _ordered(context)
        trees = _by_partition(obj, wanted, _name(context))
        hashes = []
        for key in wanted:
            path = self.path_of(context.asset_key, key)
            summary = dump_tree(trees[key], path)
            hashes.append(summary.sha256)
            context.step_context.add_asset_metadata(
                _metadata(summary, path), asset_key=context.asset_key, partition_key=key
            )
        _set_data_version(context, hashes[0] if len(hashes) == 1 else _combined(hashes))

    def _load_one(self, context: dg.InputContext, key: str | None) -> Any:
        from tessera.pytree.io import load_tree

        path = self.path_of(context.asset_key, key)
        if not exists(path):
            missing = [] if key is None else [key]
            if missing and _allows_missing(context):
                context.log.warning(f"{context.asset_key.to_user_string()}: going on without the partition {key}.")
                return None
            raise StorageError(self._missing(context, missing, path))
        return load_tree(path)

    def _load_mapping(self, context: dg.InputContext, keys: list[str]) -> PartitionedTree:
        files = {key: self.path_of(context.asset_key, key) for key in keys}
        tree = PartitionedTree(files, name=context.asset_key.to_user_string())
        if tree.missing and not _allows_missing(context):
            raise StorageError(self._missing(context, list(tree.missing), files[tree.missing[0]]))
        if tree.missing:
            context.log.warning(f"{tree.name}: going on without the partitions {', '.join(tree.missing)}.")
        return tree

    def _missing(self, context: dg.InputContext, keys: list[str], path: TreePath) -> str:
        name = context.asset_key.to_user_string()
        command = f"dagster asset materialize -m {self.module} --select {name}"
        if not keys:
            return f"asset {name} has no file at {path}. Materialise it first: {command}"
        shown = ", ".join(keys[:10]) + (f" and {len(keys) - 10} more" if len(keys) > 10 else "")
        return (
            f"asset {name}: {len(keys)} of the partitions wanted have no file: {shown} (the first at {path}). "
            f"Materialise them first: {command} --partition {keys[0]}; or let the input go on without them, with "
            'AssetIn(metadata={"allow_missing_partitions": True}).'
        )

    def _op_path(self, context: dg.OutputContext) -> TreePath:
        parts = [_safe(part) for part in context.get_identifier()]
        return self._base.joinpath(".ops", *parts[:-1], f"{parts[-1]}.h5")


def _ordered(context: dg.InputContext | dg.OutputContext) -> list[str]:
    """The partitions of the run in the order of their definition; the scheduler gives them as a set."""
    keys = list(context.asset_partition_keys)
    if len(keys) < 2:
        return keys
    instance = context.instance if isinstance(context, dg.InputContext) else context.step_context.instance
    order = context.asset_partitions_def.get_partition_keys(dynamic_partitions_store=instance)
    place = {key: number for number, key in enumerate(order)}
    return sorted(keys, key=lambda key: place.get(key, len(place)))


def _wants_mapping(context: dg.InputContext, keys: list[str]) -> bool:
    annotation = context.dagster_type.typing_type
    kind = get_origin(annotation) or annotation
    if kind is PartitionedTree:
        return True
    if kind not in (Any, Mapping) and not context.dagster_type.is_any:
        if len(keys) == 1:
            return False
        raise StructureError(
            f"input {context.name}: {len(keys)} partitions of {context.asset_key.to_user_string()} are wanted, and the "
            f"parameter is annotated {getattr(annotation, '__name__', annotation)}. Annotate it "
            "tessera.pytree.partitions.PartitionedTree, a lazy mapping by partition key."
        )
    if len(keys) != 1:
        return True
    try:
        step = context.step_context
    except dg.DagsterInvariantViolationError:  # asked for by name outside a run (`load_asset_value`)
        return False
    return step.dagster_run.tags.get(_RANGE_TAG) is not None or not _is_identity(context, step)


def _is_identity(context: dg.InputContext, step: Any) -> bool:
    """Whether the mapping from the downstream asset to this input keeps the partition key."""
    definition = step.assets_def
    if definition is None or not step.has_partition_key:
        return False
    graph = step.job_def.asset_layer.asset_graph
    mappings = [
        graph.get_partition_mapping(key, context.asset_key)
        for key in definition.keys
        if context.asset_key in graph.get(key).parent_keys and graph.get(key).partitions_def is not None
    ]
    kinds = (dg.IdentityPartitionMapping, dg.TimeWindowPartitionMapping)
    return bool(mappings) and all(isinstance(mapping, kinds) for mapping in mappings)


def _allows_missing(context: dg.InputContext) -> bool:
    return bool((context.definition_metadata or {}).get("allow_missing_partitions", False))


def _by_partition(obj: Any, wanted: list[str], name: str) -> Mapping[str, Any]:
    if not isinstance(obj, PartitionedOutput):
        if len(wanted) == 1:
            return {wanted[0]: obj}
        raise StructureError(
            f"{name}: the run covers {len(wanted)} partitions ({wanted[0]} to {wanted[-1]}) and returned one "
            f"{type(obj).__name__}. Return tessera.pytree.partitions.PartitionedOutput({{key: tree, ...}}), or give "
            "the asset BackfillPolicy.multi_run(1)."
        )
    missing = [key for key in wanted if key not in obj]
    extra = [key for key in obj if key not in set(wanted)]
    if missing or extra:
        raise StructureError(
            f"{name}: the PartitionedOutput does not fit the {len(wanted)} partitions of the run: "
            f"missing {', '.join(missing) or 'none'}; extra {', '.join(extra) or 'none'}. Nothing was written."
        )
    return obj


def _plain(obj: Any, name: str) -> Any:
    if isinstance(obj, PartitionedOutput):
        raise StructureError(f"{name} is not partitioned and returned a PartitionedOutput; return a tree.")
    return obj


def _metadata(summary: TreeSummary, path: TreePath) -> dict[str, Any]:
    records = [
        dg.TableRecord(
            {"path": leaf.path, "kind": leaf.kind, "dtype": leaf.dtype, "shape": str(leaf.shape), "bytes": leaf.nbytes}
        )
        for leaf in summary.leaves[:_TABLE_ROWS]
    ]
    columns = [dg.TableColumn(name, "int" if name == "bytes" else "string") for name in _COLUMNS]
    return {
        "path": dg.MetadataValue.path(str(path)),
        "tessera/bytes": summary.bytes,
        "tessera/leaves": summary.n_leaves,
        "tessera/sha256": summary.sha256,
        "tessera/tree": dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns)),
    }


_COLUMNS = ("path", "kind", "dtype", "shape", "bytes")


def _set_data_version(context: dg.OutputContext, sha256: str) -> None:
    """Make the content's sha256 the data version, so that a rebuild that changes nothing leaves what follows fresh.

    A data version that the asset itself returns has precedence. A run over a range has one version for all.
    """
    context.step_context.set_data_version(context.asset_key, dg.DataVersion(sha256))


def _combined(hashes: list[str]) -> str:
    return hashlib.sha256("\n".join(hashes).encode("ascii")).hexdigest()


def _name(context: dg.OutputContext) -> str:
    return f"asset {context.asset_key.to_user_string()}" if context.has_asset_key else f"output {context.name}"


def _safe(part: str) -> str:
    """A file name for a key: letters, digits and `_.-~` stay; nothing can lead out of the folder."""
    return quote(part, safe="") if part.strip(".") else part.replace(".", "%2E")
