"""What a run is made from, as one word: known before anything runs, and written into its metrics when it is done.

Two runs with one fingerprint are the same run, whatever preset they belong to. No torch, no file.
"""

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256

from lasnn.plan.config import Preset, dump
from lasnn.plan.runs import Run
from lasnn.plan.settings import Settings


@cache
def fingerprint(preset: Preset, run: Run) -> str:
    """SHA-256 of a planned run: its kind and name, its settings with the revision of the code, its parents, its images.

    Parents count by their own fingerprints. Images count by the side that the plan has for them; what they are to the
    byte is only known once they are prepared, and compared beside the fingerprint (`lasnn.results.fits`). Adopted
    weights count by the digest of their file, which is a setting.
    """
    return fingerprint_with(preset, run, preset.settings(run))


def fingerprint_with(preset: Preset, run: Run, settings: Settings) -> str:
    """The fingerprint that the run has with these settings in place of the planned ones."""
    parents = {str(parent): fingerprint(preset, parent) for parent in preset.parents(run)}
    return digest(str(run), json.loads(dump(settings)), parents, preset.config.side(run.dataset))


def digest(run: str, settings: Mapping[str, object], parents: Mapping[str, str], side: int) -> str:
    """The fingerprint of what these say: `parents` maps a run's path to its fingerprint, `side` is in pixels."""
    return sha256(json.dumps([run, settings, parents, side], sort_keys=True).encode()).hexdigest()


def changes(preset: Preset, run: Run, made_with: dict[str, object]) -> list[str]:
    """Settings that a finished run was made with and the plan now has otherwise, as `section.key: was, is`."""
    planned = json.loads(dump(preset.settings(run)))
    was, now = _flat(made_with), _flat(planned)
    missing = "absent"
    return [
        f"{key}: {was.get(key, missing)!r} then, {now.get(key, missing)!r} now"
        for key in dict.fromkeys([*was, *now])
        if was.get(key, missing) != now.get(key, missing)
    ]


def _flat(settings: dict[str, object] | None, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in (settings or {}).items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
