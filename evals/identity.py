"""Who a worker is: what its answers depend on beside the case. Another identity is asked anew."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from watchtower.contract import EnrichmentWorker, ModelStatus

PROMPTS = "prompts"
"""The package whose texts a worker of ours sends to its model."""


def source_hash(*modules: str) -> str:
    """SHA-256, first 16 digits, over the sources (.py, .md) of these modules' top packages, by name and content.

    A change of the code is a change of the worker, even where nobody raised a version. Empty where a module
    has no file.
    """
    digest = hashlib.sha256()
    found = False
    for name in modules:
        # Found by name, not among what happens to be loaded: every process sees the same sources.
        spec = find_spec(name.partition(".")[0]) if name != "__main__" else None
        if spec is None or spec.origin is None or not Path(spec.origin).exists():
            continue
        file = Path(spec.origin)
        files = [file]
        if file.name == "__init__.py":
            files = sorted(one for one in file.parent.rglob("*") if one.suffix in (".py", ".md"))
        for one in files:
            digest.update(one.name.encode() + b"\0" + one.read_bytes() + b"\0")
            found = True
    return digest.hexdigest()[:16] if found else ""


def identity_of(worker: EnrichmentWorker, more: Mapping[str, str]) -> dict[str, str]:
    """Its class and sources, its model if it has a status, its `identity` if it has one, and `more`.

    `identity` is a mapping, or a function that gives one.
    """
    kind = type(worker)
    identity = {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "source": source_hash(kind.__module__, PROMPTS),
    }
    status = getattr(worker, "status", None)
    if callable(status) and isinstance(found := status(), ModelStatus):
        identity["model"] = found.name if found.ready else "none"
    given: Any = getattr(worker, "identity", None)
    given = given() if callable(given) else given
    if isinstance(given, Mapping):
        identity |= {str(key): str(value) for key, value in given.items()}
    return dict(sorted((identity | dict(more)).items()))
