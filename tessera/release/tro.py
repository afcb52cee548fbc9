"""A transparent research object: a small JSON-LD statement of which files a release consists of and what made them.

Follows the vocabulary of TRACE, "Transparent Research Objects" (https://w3id.org/trace/2023/05/trov#): a composition of
artifacts with one fingerprint, one arrangement that says where each lies, one performance that made them. Derived from
the text of the manifest alone, so that anybody who holds the manifest can make the same bytes. It is not signed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tessera.errors import ReleaseError
from tessera.release.manifest import composition_fingerprint

TRO_PATH = "diagnostics/trace.tro.jsonld"

_CONTEXT = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "trov": "https://w3id.org/trace/2023/05/trov#",
    "schema": "https://schema.org/",
    "tessera": "urn:tessera:terms#",
}
_MEDIA_TYPES = {"h5": "application/x-hdf5", "json": "application/json", "csv": "text/csv", "html": "text/html"}


def tro_json(manifest_text: str) -> str:
    """The JSON-LD of a release, from the text of its `manifest.json`; the same bytes for the same text."""
    try:
        manifest: dict[str, Any] = json.loads(manifest_text)
        files = [(str(entry["path"]), str(entry["sha256"])) for entry in manifest["files"]]
        run_id = str(manifest["run_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"Fingerprint of a release: its manifest cannot be read ({error!r}). Stage it again."
        ) from error
    files.append(("manifest.json", hashlib.sha256(manifest_text.encode("utf-8")).hexdigest()))
    files.sort()
    artifacts = [_artifact(position, path, digest) for position, (path, digest) in enumerate(files, start=1)]
    locations = [_location(position, path) for position, (path, _) in enumerate(files, start=1)]
    graph = {
        "@id": "tro",
        "@type": "trov:TransparentResearchObject",
        "schema:name": f"Tessera release of run {run_id}",
        "schema:creativeWorkStatus": "SYNTHETIC DATA" if manifest.get("synthetic") else "from official sources",
        "trov:hasComposition": {
            "@id": "composition/1",
            "@type": "trov:ArtifactComposition",
            "trov:hasFingerprint": {
                "@id": "fingerprint",
                "@type": "trov:CompositionFingerprint",
                "trov:sha256": composition_fingerprint(digest for _, digest in files),
            },
            "trov:hasArtifact": artifacts,
        },
        "trov:hasArrangement": {
            "@id": "arrangement/1",
            "@type": "trov:ArtifactArrangement",
            "trov:hasLocus": locations,
        },
        "trov:hasPerformance": _performance(manifest, run_id),
    }
    return json.dumps({"@context": _CONTEXT, "@graph": [graph]}, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _artifact(position: int, path: str, digest: str) -> dict[str, Any]:
    media_type = _MEDIA_TYPES.get(path.rpartition(".")[2], "application/octet-stream")
    return {
        "@id": f"composition/1/artifact/{position}",
        "@type": "trov:ResearchArtifact",
        "trov:sha256": digest,
        "trov:mimeType": media_type,
    }


def _location(position: int, path: str) -> dict[str, Any]:
    return {
        "@id": f"arrangement/1/location/{position}",
        "@type": "trov:ArtifactLocation",
        "trov:hasArtifact": {"@id": f"composition/1/artifact/{position}"},
        "trov:hasLocation": path,
    }


def _performance(manifest: dict[str, Any], run_id: str) -> dict[str, Any]:
    git = manifest.get("git", {})
    return {
        "@id": "trp/1",
        "@type": "trov:TrustedResearchPerformance",
        "rdfs:comment": f"Run {run_id}",
        "trov:startedAtTime": manifest.get("started_at"),
        "trov:contributedToArrangement": {"@id": "arrangement/1"},
        "tessera:version": manifest.get("version"),
        "tessera:gitSha": git.get("sha"),
        "tessera:gitDirty": git.get("dirty"),
        "tessera:rulesEngine": manifest.get("packages", {}).get("policyengine-us"),
    }
