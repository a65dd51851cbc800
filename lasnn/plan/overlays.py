"""Overlays of the configuration: mappings laid over one another, with entries `for` the runs that they mean."""

import copy

from lasnn.errors import InputError


def merged(base: dict, overlay: dict) -> dict:
    """`base` with `overlay` laid over it, mapping by mapping; neither is changed."""
    result = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def without_for(overlay: dict) -> dict:
    """The part of an overlay that means every run."""
    return {key: value for key, value in overlay.items() if key != "for"}


def entries(overlay: dict) -> list[tuple[str, dict]]:
    """Its entries `for` some runs, by the names that they join."""
    found = overlay.get("for", {})
    if not isinstance(found, dict):
        raise InputError(f"config: `for` is {found!r}: a mapping from names to settings was expected")
    return [(str(key), value) for key, value in found.items()]
