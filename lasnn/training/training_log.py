"""The training log: `log.jsonl`, one JSON line for each epoch."""

import json
from pathlib import Path

from lasnn.storage import files


class TrainingLog:
    """`log.jsonl`: one JSON object for each epoch. It is written, never read: the resume state holds its own copy."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.lines: list[dict] = []

    def begin(self, lines: list[dict]) -> None:
        """The epochs that count so far; whatever an earlier process wrote beyond them goes."""
        self.lines = list(lines)
        self.save()

    def add(self, entry: dict) -> None:
        """One more epoch."""
        self.lines.append(entry)
        self.save()

    def save(self) -> None:
        """Write all lines in one piece."""
        files.write_text(self.path, "".join(json.dumps(line, sort_keys=True) + "\n" for line in self.lines))

    def cost(self) -> dict[str, float]:
        """What provenance.json says of it: the seconds of all epochs, those of processes that were interrupted too."""
        return {"training_seconds": sum(line["seconds"] for line in self.lines)}

    def best(self) -> dict:
        """The best test accuracy of any epoch (what the base code keeps); never to be mixed with the last epoch's."""
        best = max((line["test_accuracy"] for line in self.lines), default=None)
        return {"accuracy_best_test": best, "epochs": len(self.lines)}
