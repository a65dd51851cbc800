"""The last lines that a call of the workflow prints: Table II, if it was about it, and where its exhibits lie."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lasnn.plan.config import Preset
from lasnn.report import EXHIBITS, files_of
from lasnn.results.progress import SHOWN
from lasnn.storage.bucket import Bucket


def last_words(preset: Preset, made: Iterable[str], bucket: Bucket | None, say: Callable[[str], None]) -> None:
    """Table II, if this call was about it, and where the exhibits lie."""
    asked = {str(path) for path in made}
    names = [name for name in EXHIBITS if asked & set(files_of(preset, name))]
    table = Path(bucket.place if bucket else "", files_of(preset, SHOWN)[1])
    if SHOWN in names and table.exists():  # a call may keep no copy of what it took to a bucket
        say("\n".join(["", *shortened(table.read_text(encoding="utf-8").splitlines())]))
    if names:
        say(f"{preset.root}/exhibits: {', '.join(names)}")
    pages = sorted(path for path in asked if path.startswith(f"{preset.root}/notebooks/"))
    if pages:
        say(f"{preset.root}/notebooks: {', '.join(Path(path).name for path in pages)}")


def shortened(table: Sequence[str]) -> list[str]:
    """The lines of a table in Markdown without rows of which nothing was run."""
    heads = [line for line in table if line.startswith("|")][:1]
    ours = [index for index, name in enumerate(_cells(heads[0])) if "ours" in name] if heads else []

    def ran(line: str) -> bool:
        return not line.startswith("|") or any(_cells(line)[index] != "-" for index in ours)

    return [line for line in table if ran(line)]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
