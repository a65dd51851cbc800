"""Overlays of the configuration: mappings laid over one another, with entries `for` the runs that they mean."""

import copy

from lasnn.errors import InputError

Overlay = dict[str, object]  # section -> its settings, or a part of them


def merged(base: Overlay, overlay: Overlay) -> Overlay:
    """`base` with `overlay` laid over it, mapping by mapping; neither is changed."""
    result = dict(base)
    for key, value in overlay.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            result[key] = merged(below, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def without_for(overlay: Overlay) -> Overlay:
    """The part of an overlay that means every run."""
    return {key: value for key, value in overlay.items() if key != "for"}


def entries(overlay: Overlay) -> list[tuple[str, Overlay]]:
    """Its entries `for` some runs, by the names that they join."""
    found = overlay.get("for", {})
    if not isinstance(found, dict):
        raise InputError(f"config: `for` is {found!r}: a mapping from names to settings was expected")
    return [(str(key), value) for key, value in found.items()]
