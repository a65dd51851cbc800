"""Tables as HTML that loads nothing from elsewhere: for browsers, the workflow's report and notebooks."""

import html
import re

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px sans-serif; margin: 1.5em; color: #222 }}
table {{ border-collapse: collapse }}
th, td {{ padding: .25em .6em; border-bottom: 1px solid #ddd }}
li {{ max-width: 60em }}
</style></head><body>
"""


def table(markdown: str) -> str:
    """The Markdown that a table's exhibit writes, a title, one pipe table, remarks, as part of a page."""
    lines = markdown.splitlines()
    top, rest = grid(markdown)
    head, *body = ["".join(map(_cell, row)) for row in (top, *rest)]
    remarks = "".join(f"<li>{html.escape(line[2:])}</li>" for line in lines if line.startswith("- "))
    head = re.sub("(</?)td", r"\1th", head)
    content = f"<thead><tr>{head}</tr></thead>" + "".join(f"<tr>{row}</tr>" for row in body)
    title = f"<h3>{html.escape(lines[0].strip('# '))}</h3>"
    return f'{title}<div style="overflow-x: auto"><table>{content}</table></div><ul>{remarks}</ul>'


def grid(markdown: str) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the pipe table of a page."""
    rows = [line.strip("|").split("|") for line in markdown.splitlines() if line[:1] == "|" and line[:2] != "|:"]
    head, *body = [[cell.strip().replace("**", "") for cell in row] for row in rows]
    return head, body


def document(title: str, body: str) -> str:
    """A whole page."""
    return f"{HEAD.format(title=html.escape(title))}{body}\n</body></html>\n"


def _cell(text: str) -> str:
    """A short cell stays in one line; a sentence may be broken."""
    short = "; white-space: nowrap" if len(text) < 30 else ""
    return f'<td style="text-align: left{short}">{html.escape(text)}</td>'
