"""The training log: `log.jsonl`, one JSON line for each epoch. It is never read: the resume state has its own copy."""

import json
from pathlib import Path

from lasnn.storage import files


def write(path: Path, log: list[dict]) -> None:
    """Write all lines in one piece; whatever an earlier process wrote beyond them goes."""
    files.write_text(path, "".join(json.dumps(line, sort_keys=True) + "\n" for line in log))


def cost(log: list[dict]) -> dict[str, float]:
    """What provenance.json says of it: the seconds of all epochs, those of processes that were interrupted too."""
    return {"training_seconds": sum(line["seconds"] for line in log)}


def best(log: list[dict]) -> dict:
    """The best test accuracy of any epoch (what the base code keeps); never to be mixed with the last epoch's."""
    best = max((line["test_accuracy"] for line in log), default=None)
    return {"accuracy_best_test": best, "epochs": len(log)}
