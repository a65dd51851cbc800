"""The project's documents as pages of a site: links to what the site has lead there, others become names of files."""

import os
import re
from pathlib import Path

from lasnn.plan.config import Preset
from lasnn.report.site import Shown
from lasnn.storage import files

CHECKOUT = Path(__file__).parents[2]
LINK = re.compile(r"(?P<image>!?)\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]+)\)")
LAST = ("notebooks/README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def paths() -> list[Path]:
    """Every document of the checkout, as the site lists them."""
    middle = sorted(path.relative_to(CHECKOUT).as_posix() for path in CHECKOUT.glob("docs/**/*.md"))
    names = ["README.md", *middle, *LAST]
    return [Path(name) for name in names if (CHECKOUT / name).exists()]


def names() -> list[str]:
    """Their pages."""
    return [path.with_suffix("").as_posix() for path in paths()]


def write(preset: Preset, pages: Path, found: list[Shown]) -> None:
    """Write them below `pages` under their own paths."""
    kept = f"{preset.config.file.folders.results}/reference/{preset.name}/exhibits"
    places = {path.as_posix(): path.as_posix() for path in paths()} | {kept: "index.md"}
    places |= {f"{kept}/{file.name}": f"exhibits/{shown.name}.md" for shown in found for file in shown.files}
    for path in paths():
        files.write_text(pages / path, _linked(path, places, pages))


def _linked(path: Path, places: dict[str, str], pages: Path) -> str:
    """A document with its links led to `places`: path in the checkout -> page."""

    def placed(match: re.Match[str]) -> str:
        words, (target, _, anchor) = match["words"], match["target"].partition("#")
        if re.match(r"\w+:", match["target"]) or not target:
            return match[0]
        goal = os.path.normpath(path.parent / target)
        if match["image"]:
            return _image(path, goal, words, pages)
        if goal not in places:
            return words if "`" in words or words == goal else f"{words} (`{goal}`)"
        document = CHECKOUT.joinpath(places[goal]).exists()  # lines of a CSV are no anchors of its exhibit's page
        return f"[{words}]({os.path.relpath(places[goal], path.parent)}{'#' + anchor if anchor and document else ''})"

    return LINK.sub(placed, (CHECKOUT / path).read_text(encoding="utf-8"))


def _image(path: Path, goal: str, words: str, pages: Path) -> str:
    """A picture of the checkout, copied beside the pages."""
    if not (CHECKOUT / goal).exists():
        return f"{words} (`{goal}`)"
    files.write_bytes(pages / "pictures" / goal, (CHECKOUT / goal).read_bytes())
    return f"![{words}]({os.path.relpath(f'pictures/{goal}', path.parent)})"
