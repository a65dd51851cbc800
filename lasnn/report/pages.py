"""A table as a page of HTML that loads nothing from elsewhere: for browsers and the workflow's report."""

import html

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px sans-serif; margin: 1.5em; color: #222 }}
table {{ border-collapse: collapse }}
th, td {{ padding: .25em .6em; border-bottom: 1px solid #ddd }}
li {{ max-width: 60em }}
</style></head><body>
"""


def page(markdown: str) -> str:
    """The Markdown that a table's exhibit writes, a title, one pipe table, remarks, as a page."""
    lines = markdown.splitlines()
    title, (head, rows) = html.escape(lines[0].strip("# ")), grid(markdown)
    body = "".join(f"<tr>{_row(row, 'td')}</tr>" for row in rows)
    remarks = "".join(f"<li>{html.escape(line[2:])}</li>" for line in lines if line.startswith("- "))
    table = f"<table><thead><tr>{_row(head, 'th')}</tr></thead>{body}</table>"
    shown = f'<h3>{title}</h3><div style="overflow-x: auto">{table}</div><ul>{remarks}</ul>'
    return f"{HEAD.format(title=title)}{shown}\n</body></html>\n"


def grid(markdown: str) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the pipe table of a page."""
    rows = [line.strip("|").split("|") for line in markdown.splitlines() if line[:1] == "|" and line[:2] != "|:"]
    head, *body = [[cell.strip() for cell in row] for row in rows]
    return head, body


def _row(cells: list[str], kind: str) -> str:
    """Short cells stay in one line; a sentence may be broken."""
    looks = ["; white-space: nowrap" if len(text) < 30 else "" for text in cells]
    pairs = zip(cells, looks, strict=True)
    return "".join(f'<{kind} style="text-align: left{look}">{html.escape(text)}</{kind}>' for text, look in pairs)
