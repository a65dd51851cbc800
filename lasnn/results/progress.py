"""How far a call of the workflow is, which each training says as it begins. No torch.

The main process knows what is to be made, and passes it on to its jobs; a run counts as done once its files are newer
than the call. Jobs that see no such word, as on the nodes of a cluster, say nothing.
"""

import json
import os
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from lasnn.errors import InputError
from lasnn.plan.runs import Run, SnnRun, split
from lasnn.storage import files

PASSED = "LASNN_PROGRESS"  # environment variable
SHOWN = "table2"  # the exhibit that a call ends with


def begin(folders: Sequence[str], made: Iterable[str]) -> None:
    """Let the jobs of this call know which runs it makes, and where its first exhibit will lie."""
    exhibits = [path for path in made if Path(path).parent.name == "exhibits" and path.endswith((".md", ".svg"))]
    result = next((path for path in exhibits if Path(path).stem == SHOWN), next(iter(exhibits), None))
    os.environ[PASSED] = json.dumps({"began": time.time(), "runs": list(folders), "result": result})


def line() -> str | None:
    """Which of how many runs begins now, how long all of them will still take, and where the result will lie."""
    try:
        call = json.loads(os.environ[PASSED])
        runs: list[str] = call["runs"]
        done = {folder: seconds for folder in runs if (seconds := _seconds(folder, call["began"])) is not None}
    except (KeyError, ValueError, TypeError):
        return None
    left = [folder for folder in runs if folder not in done]
    if not left:
        return None
    words = f"run {len(done) + 1} of {len(runs)}"
    seconds = remaining(
        [(_kind(one), cost) for one, cost in done.items()], map(_kind, left), time.time() - call["began"]
    )
    if seconds is not None:
        words += f", about {_rounded(seconds)} to go"
    return words + (f"; the result will be {call['result']}" if call["result"] else "")


def remaining(done: Sequence[tuple[str, float]], left: Iterable[str], elapsed: float) -> float | None:
    """Seconds that the runs that are left will take, from kind and seconds of those that are done; None without any.

    A run takes what others of its kind took, or else all; and all of it as much longer as the call took until now
    than its runs' own seconds: for imports and exhibits in between, or shorter with several at once.
    """
    own = sum(seconds for _, seconds in done)
    if not own:
        return None
    mean = statistics.mean(seconds for _, seconds in done)
    of_kind = {kind: statistics.mean(one for other, one in done if other == kind) for kind, _ in done}
    return sum(of_kind.get(kind, mean) for kind in left) * elapsed / own


def _kind(folder: str) -> str:
    run: Run = split(folder)[1]
    return run.method if isinstance(run, SnnRun) else run.kind


def _seconds(folder: str, began: float) -> float | None:
    """Of a run that was made since; None if it wasn't."""
    path = Path(folder, "provenance.json")
    try:
        return float(files.read_json(path)["seconds"]) if path.stat().st_mtime >= began else None
    except (OSError, InputError, KeyError):
        return None


def _rounded(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
