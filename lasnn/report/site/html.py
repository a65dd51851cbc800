"""Pieces of HTML for pages of the site. Callers escape words, unless said otherwise."""

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

SHORT = 24  # letters of a cell that is not broken: numbers with their spread, names


def raw(*pieces: str) -> str:
    """HTML inside a Markdown page, as it is."""
    return "```{raw} html\n" + "\n".join(pieces) + "\n```\n"


def code(text: str | Path) -> str:
    """A name or digest, escaped here."""
    return f"<code>{html.escape(str(text))}</code>"


def box(content: str, kind: str = "note") -> str:
    """A `note` or a `warning` that catches the eye."""
    return f'<div class="admonition {kind}">{content}</div>'


def prose(text: str) -> str:
    """A sentence of a caption, escaped here; text between backquotes is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))


def link(target: str, words: str) -> str:
    """A link; its words are escaped here."""
    return f'<a class="reference internal" href="{html.escape(target)}">{html.escape(words)}</a>'


def table(head: Sequence[str], lines: Iterable[Sequence[str]], ids: Iterable[str] = ()) -> str:
    """A table in a box of its own, which scrolls where the page is too narrow. `ids`: an anchor for each line."""
    names = iter(ids)
    rows = []
    for line in lines:
        name = next(names, "")
        anchor = f' id="{name}"' if name else ""
        rows.append(f"<tr{anchor}>{''.join(map(_cell, line))}</tr>")
    top = "".join(f"<th>{html.escape(word)}</th>" for word in head)
    return (
        '<div class="table-wrapper docutils container" tabindex="0"><table class="docutils align-default">'
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(content: str) -> str:
    """Numbers and names are not broken, sentences are."""
    text = html.unescape(re.sub("<[^>]+>", "", content))
    return f'<td class="{"short" if len(text) <= SHORT else "words"}">{content}</td>'
