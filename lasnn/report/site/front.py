"""The first page: what this is, how the claims stand, the main numbers, and every exhibit with its state."""

import html
from pathlib import Path

from lasnn.plan.config import Preset
from lasnn.report.site.html import code, link, raw, table
from lasnn.report.site.lineage import Lineage
from lasnn.report.site.shown import Shown
from lasnn.report.site.write import Behind, missing, picture, shown_table
from lasnn.report.statistics import CONFIRMED, REFUTED, TOO_FEW, UNDECIDED

FRONT = ("claims", "table2", "figure_steps")  # what a visitor sees first; everything else is a link away
VERDICTS = (CONFIRMED, REFUTED, UNDECIDED, TOO_FEW)
CLAIM_COLUMNS = (
    "claim",
    "verdict",
    "network",
    "logits",
    "difference",
    "interval",
    "unit",
    "p after Holm",
    "n",
    "ours",
    "paper",
)


def front(found: list[Shown], preset: Preset, lineage: Lineage, kept: Path) -> str:
    """Markdown of the first page."""
    made = [one for one in found if one.folder]
    own = sum(not one.kept for one in made)
    states = [
        f"{own} made here" if own else "",
        f"{len(made) - own} kept in git ({kept}/exhibits)" if len(made) > own else "",
        f"{len(found) - len(made)} not made yet" if len(made) < len(found) else "",
    ]
    note = f" {html.escape(preset.scope.note)}" if preset.scope.note else ""
    top = [
        f"<p>Tables and figures of the preset {code(preset.name)}, ours beside the paper's.{note} Each number "
        "of ours leads to the runs behind it, each run to its settings, data, code and what it started from.</p>",
        f"<p>Of {len(found)} exhibits: {html.escape(', '.join(filter(None, states)))}.</p>",
    ]
    parts = [f"# LaSNN: results of `{preset.name}`\n\n{raw(*top)}"]
    by_name = {one.name: one for one in found}
    for name in FRONT:
        if shown := by_name.get(name):
            parts.append(f"\n## {shown.title}\n\n{raw(_part(shown, preset, lineage))}")
    rows = [[link(f"exhibits/{one.name}.html", one.title), _state(one), code(one.name)] for one in found]
    parts.append("\n## All exhibits\n\n" + raw(table(["exhibit", "state", "name"], rows)))
    return "".join(parts)


def _state(shown: Shown) -> str:
    state = "not made yet" if shown.folder is None else "kept in git" if shown.kept else "made here"
    return f"{state}; {html.escape(shown.fault)}" if shown.fault else state


def _part(shown: Shown, preset: Preset, lineage: Lineage) -> str:
    page = f"exhibits/{shown.name}.html"
    more = f"<p>{link(page, 'Caption, data, and the runs behind each number')}</p>"
    if shown.folder is None:
        return missing(shown, preset)
    if shown.is_figure:
        return picture(shown, preset, root="") + more
    head, lines = shown.table()
    if not set(CLAIM_COLUMNS) <= set(head):
        return shown_table(shown, Behind(shown, lineage), root=page) + more
    places = [head.index(column) for column in CLAIM_COLUMNS]
    judged = [line for line in lines if "not judged" not in line[head.index("verdict")]]
    body = [[_verdict(line[place]) for place in places] for line in judged]
    for line, before in reversed(list(zip(body[1:], body, strict=False))):
        line[0] = "" if line[0] == before[0] else line[0]  # a claim is said once, above the networks it is judged on
    return table(CLAIM_COLUMNS, body) + more


def _verdict(text: str) -> str:
    """A verdict has its own look, and its word."""
    said = html.escape(text)
    look = said.replace(" ", "-")
    return f'<span class="verdict {look}">{said}</span>' if text in VERDICTS else said
