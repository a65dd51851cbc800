"""What a finished run was made with, beside what the plan now asks for. No torch, no pandas."""

import json

from lasnn.plan.config import Preset, dump
from lasnn.plan.runs import Run


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
