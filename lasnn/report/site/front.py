"""The first page: what the preset is, six claims with their verdicts, the main numbers, every exhibit and its state."""

import html
from collections import Counter
from pathlib import Path

from lasnn.plan.config import Preset
from lasnn.report.site.html import code, link, raw, table
from lasnn.report.site.lineage import Lineage
from lasnn.report.site.shown import Shown
from lasnn.report.site.write import Behind, missing, picture, shown_table
from lasnn.report.statistics import CONFIRMED, REFUTED, TOO_FEW, UNDECIDED

FRONT = ("claims", "table2", "figure_steps")  # shown on the first page; all others are linked from it
LINES = 6  # of claims: the primary ones, then the mean over networks of others
VERDICTS = (CONFIRMED, REFUTED, UNDECIDED, TOO_FEW)
CLAIM_COLUMNS = ("verdict", "difference", "interval", "unit", "paper", "ours")


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
    runs = {run for one in made for cell in one.said.get("cells", ()) for run in cell["runs"]}
    seeds = ", ".join(map(str, preset.scope.seeds))
    images = dict.fromkeys(line for one in made for line in one.notes if ": n_train " in line)
    top = [
        f"<p>Tables and figures of the preset {code(preset.name)}, ours beside the paper's.{note} Each of our "
        "numbers links to its runs, each run to its settings, data, code and parents.</p>",
        f"<p>Of {len(found)} exhibits: {html.escape(', '.join(filter(None, states)))}.</p>",
    ]
    if runs:
        rest = f"seeds {seeds}. {html.escape(' '.join(images))}"
        top.insert(1, f"<p>Behind them: {link('lineage.html', f'{len(runs)} runs')}; {rest}</p>")
    parts = [f"# LaSNN: results of `{preset.name}`\n\n{raw(*top)}"]
    by_name = {one.name: one for one in found}
    for name in FRONT:
        if shown := by_name.get(name):
            parts.append(f"\n## {shown.title}\n\n{raw(_part(shown, preset, lineage))}")
    listed = [one for one in found if one.folder or one.fault]
    rows = [[link(f"exhibits/{one.name}.html", one.title), _state(one), code(one.name)] for one in listed]
    parts.append("\n## All exhibits\n\n")
    planned = [one for one in found if one not in listed and one.exhibit.runs(preset)]
    others = ", ".join(link(f"exhibits/{one.name}.html", one.title) for one in planned)
    # One paragraph for all exhibits that are planned and were not made; their pages have the commands.
    absent = f"<p>Not made in this preset: {others}.</p>" if others else ""
    parts.append(raw(table(["exhibit", "state", "name"], rows) if rows else "", absent))
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
    claims = [dict(zip(head, line, strict=True)) for line in lines]
    judged = [claim for claim in claims if claim["verdict"] in VERDICTS]
    counts = Counter(claim["verdict"] for claim in judged)
    said = ", ".join(f"{counts[word]} {word}" for word in VERDICTS if counts[word])
    best = sorted(judged, key=_place)[:LINES]
    body = [[_claim(claim), *(_verdict(claim[column]) for column in CLAIM_COLUMNS)] for claim in best]
    rules = link("docs/verdicts.html", "How a verdict is reached")
    others = f"{link(page, 'All comparisons')}. {link('docs/findings.html', 'What the runs show')}."
    top = f"<p>{len(judged)} comparisons: {html.escape(said) or 'none judged'}. {rules}. {others}</p>"
    return top + table(["claim", *CLAIM_COLUMNS], body)


def _place(claim: dict[str, str]) -> tuple[bool, bool]:
    """Sort key: primary claims first, then means over all networks."""
    return claim["family"] != "primary", "all networks" not in claim["network"]


def _claim(claim: dict[str, str]) -> str:
    """The claim, and in small letters what it is judged on."""
    about = f"{claim['network']}; logits: {claim['logits']}; {claim['n']}"
    return f"{html.escape(claim['claim'])}<br><small>{html.escape(about)}</small>"


def _verdict(text: str) -> str:
    """A verdict has its own look, and its word."""
    said = html.escape(text)
    look = said.replace(" ", "-")
    return f'<span class="verdict {look}">{said}</span>' if text in VERDICTS else said
