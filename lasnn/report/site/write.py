"""The page of one exhibit: picture or table, caption, the command that makes it, and the runs behind every number."""

from __future__ import annotations

import html
import re

from lasnn.plan.cells import KEYS
from lasnn.plan.config import Preset
from lasnn.report.columns import METHOD_TITLES, number
from lasnn.report.exhibit import Table
from lasnn.report.late import pd
from lasnn.report.site.html import box, code, link, prose, raw, table
from lasnn.report.site.lineage import Lineage
from lasnn.report.site.links import lines_behind
from lasnn.report.site.shown import Shown

Keys = tuple[str, ...]
LEADING = ("claim", "verdict", "network")  # columns of claims that a narrow window must show
NAMED = {"row_label": "in the paper", "encoding": "input", "timesteps": "T (paper)"}  # heads of other keys: themselves


def exhibit_page(shown: Shown, preset: Preset, lineage: Lineage) -> str:
    """Markdown of a page; of an exhibit that was never made, what makes it."""
    head = f"# {shown.title}\n\n"
    if shown.folder is None:
        head = f"---\norphan: true\n---\n\n{head}"  # the side bar lists what was made
        said = f"<p>{html.escape(shown.fault)}.</p>" if shown.fault else ""
        return head + raw(said, missing(shown, preset))
    warning = box(f"<p>{html.escape(shown.fault)}.</p>", "warning") if shown.fault else ""
    behind = Behind(shown, lineage)
    body = picture(shown, preset) if shown.is_figure else shown_table(shown, behind)
    caption = "".join(f"<li>{prose(note)}</li>" for note in shown.notes if not drawn(shown, note))
    return (
        head
        + raw(warning, body, f'<ul class="caption">{caption}</ul>')
        + "\n## How it was made\n\n"
        + raw(*_made(shown, preset))
        + "\n## Behind each number\n\n"
        + raw(behind.table())
    )


def drawn(shown: Shown, note: str) -> bool:
    """Whether a figure's picture already says a remark."""
    svg = shown.file("svg") if shown.is_figure else None
    if svg is None:
        return False
    said = html.unescape(re.sub("<[^>]+>", "", svg.read_text(encoding="utf-8")))
    return "".join(note.split()) in "".join(said.split())


def missing(shown: Shown, preset: Preset) -> str:
    """A box for an exhibit that was not made: the command that makes it."""
    return box(
        f"<p>Not made yet in the preset {code(preset.name)}. This makes it, with the runs that it needs:</p>"
        f"<pre>{html.escape(command(shown, preset))}</pre>"
    )


def command(shown: Shown, preset: Preset) -> str:
    """What makes an exhibit."""
    ending = "svg" if shown.is_figure else "md"
    return f"snakemake --cores 1 {preset.root}/exhibits/{shown.name}.{ending}"


def picture(shown: Shown, preset: Preset, root: str = "../") -> str:
    """The drawing, which opens alone in full size."""
    if shown.file("svg") is None:
        return box(
            "<p>The picture is not kept in git, as it shows images of a dataset whose licence may not allow it. This "
            f"draws it:</p><pre>{html.escape(command(shown, preset))}</pre>"
        )
    source = f"{root}files/{shown.name}.svg"
    image = f'<img src="{source}" alt="{html.escape(shown.title)}">'
    return f'<div class="drawing" tabindex="0"><a href="{source}">{image}</a></div>'


def shown_table(shown: Shown, behind: Behind, root: str = "") -> str:
    """The table as the exhibit shows it, each number linked to what is behind it. `root`: the page of the exhibit."""
    head, lines = shown.table()
    places = behind.places(lines)
    leading = [head.index(word) for word in LEADING] if "verdict" in head else []
    order = [*leading, *(place for place in range(len(head)) if place not in leading)]
    body = [[_linked(line[at], row[at], root) for at in order] for line, row in zip(lines, places, strict=True)]
    return table([head[at] for at in order], body)


def _linked(text: str, place: int | None, root: str) -> str:
    counted = any(letter.isdigit() for letter in text)
    return html.escape(text) if place is None or not counted else link(f"{root}#cell-{place}", text)


class Behind:
    """The cells of an exhibit for which something was run, and their runs."""

    def __init__(self, shown: Shown, lineage: Lineage):
        self.shown, self.lineage = shown, lineage
        self.cells = [cell for cell in shown.said.get("cells", ()) if cell["runs"]]
        self.keys: list[Keys] = [_keys(cell) for cell in self.cells]
        self.tidy = shown.tidy()
        keyed = {*KEYS, "variant"} <= set(self.tidy)
        self.of_lines: list[Keys] = [_keys(line) for line in self.tidy.to_dict("records")] if keyed else []

    def places(self, lines: list[list[str]]) -> list[list[int | None]]:
        """For each cell of the shown table the number of the exhibit's cell that it shows."""
        if not (self.of_lines and isinstance(self.shown.exhibit, Table)):
            return [[None] * len(line) for line in lines]
        number_of = {keys: place for place, keys in enumerate(self.keys)}
        behind = lines_behind(self.shown.exhibit, self.tidy, lines)
        return [[None if one is None else number_of.get(self.of_lines[one]) for one in line] for line in behind]

    def table(self) -> str:
        """A line for each cell, with links to its runs."""
        if not self.cells:
            return "<p>Nothing was run for it in this preset.</p>"
        shown_keys = [key for key in (*KEYS, "variant") if key != "exhibit" and self._tells(key)]
        values = [self._values(keys) for keys in self.keys]
        valued = any(word for pair in values for word in pair)
        lines = []
        for cell, pair in zip(self.cells, values, strict=True):
            words = [html.escape(_word(cell, key)) for key in shown_keys]
            lines.append([self._runs(cell["runs"]), *(pair if valued else ()), *words])
        head = ["runs", *(("ours", "paper") if valued else ()), *(NAMED.get(key, key) for key in shown_keys)]
        return table(head, lines, [f"cell-{place}" for place in range(len(lines))])

    def _tells(self, key: str) -> bool:
        """Whether a key is a column worth its room: it differs between cells, or says who is meant."""
        values = {cell[key] for cell in self.cells}
        return len(values) > 1 or (key in ("student", "method") and values != {""})

    def _values(self, keys: Keys) -> tuple[str, str]:
        """Ours and the paper's, if the exhibit has one number for this cell."""
        found = [place for place, other in enumerate(self.of_lines) if other == keys]
        if len(found) != 1 or not {"ours", "sd", "paper"} <= set(self.tidy):
            return "", ""
        line = self.tidy.iloc[found[0]]
        return number(line["ours"], line["sd"]), "" if pd.isna(line["paper"]) else number(line["paper"])

    def _runs(self, runs: list[str]) -> str:
        """Links to the runs, of several seeds the folder once."""
        folders = {run.rsplit("/", 1)[0] for run in runs}
        words = [run.rsplit("/", 1)[1] if len(folders) == 1 else run for run in runs]
        front = f"{code(folders.pop())} " if len(folders) == 1 else ""
        return front + " ".join(self._run(run, word) for run, word in zip(runs, words, strict=True))

    def _run(self, run: str, word: str) -> str:
        digest = self.shown.said.get("files", {}).get(f"{self.lineage.preset.root}/{run}/metrics.json")
        page = self.lineage.page_of(run, digest, self.shown.name)
        return link(f"../{page}.html", word) if page else f"{html.escape(word)} (not here)"


def _keys(line: dict) -> Keys:
    return tuple(str(line[key]) for key in (*KEYS, "variant"))


def _word(cell: dict, key: str) -> str:
    return METHOD_TITLES.get(cell[key], cell[key]) if key == "method" else str(cell[key])


def _made(shown: Shown, preset: Preset) -> list[str]:
    links = " · ".join(link(f"../files/{path.name}", path.name) for path in shown.files)
    where = "kept in git" if shown.kept else "made here"
    pieces = [
        f"<p>Files in {code(str(shown.folder))} ({where}): {links}</p>",
        f"<p>This command makes them, and first the runs that they need:</p>"
        f"<pre>{html.escape(command(shown, preset))}</pre>",
    ]
    if not shown.is_figure and shown.said.get("cells"):
        trace = f"python -m lasnn trace {shown.folder}/{shown.name}.csv"
        pieces.append(f"<p>This one traces its numbers:</p><pre>{html.escape(trace)}</pre>")
    return pieces
