"""A static site of a preset's results, built by Sphinx from pages that `lasnn.report.site` writes. It makes no result.

Pages, looks and scripts lie in the site's folder: nothing is loaded from the network. What is not there yet is said
where it would be; results that are kept in git are shown in place of those that were not made here.
"""

import io
import shutil
import tempfile
from html import escape
from pathlib import Path

from lasnn import __version__
from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.pipeline import documents, notebooks, reference
from lasnn.pipeline.freshness import Judge
from lasnn.pipeline.trace import described
from lasnn.plan.config import Config, Preset
from lasnn.report.site import Lineage, Shown, exhibit_page, front, look
from lasnn.report.site.html import box, code, raw
from lasnn.storage import files
from lasnn.storage.digests import Digests
from lasnn.storage.locks import only_writer

STYLE = Path(__file__).with_name("site.css")
SETTINGS = {
    "project": "LaSNN",
    "html_theme": "furo",
    "extensions": ["myst_parser"],
    "myst_heading_anchors": 4,
    "html_css_files": ["site.css"],
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_show_copyright": False,
    "html_use_index": False,
    "html_theme_options": {"navigation_with_keys": True},
    "highlight_language": "none",
    "suppress_warnings": ["misc.highlighting_failure"],  # a fence of mermaid or of Snakemake is shown as it is
}


def build(config: Config, name: str | None, console: Console) -> Path:
    """Write `results/<preset>/site/`, whole or not at all; its first page."""
    preset = config.preset(name)
    root, kept = Path(preset.root), reference.folder_of(preset)
    root.mkdir(parents=True, exist_ok=True)
    with only_writer(root / ".site.lock", f"the site of preset {preset.name!r}"):
        digests = Digests()
        found = look(preset, kept, Judge(preset, digests).exhibit)
        with tempfile.TemporaryDirectory(prefix=".site-", dir=root) as scratch:
            pages, site = Path(scratch, "pages"), Path(scratch, "site")
            _write(preset, found, kept, pages, root / "site", console)
            for warning in _sphinx(pages, site, Path(scratch, "read"), preset):
                console.say(f"warning: {warning}")
            files.replace_folder(site, root / "site", Path(scratch, "before"))
        digests.save()
    return root / "site" / "index.html"


def _write(preset: Preset, found: list[Shown], kept: Path, pages: Path, before: Path, console: Console) -> None:
    """All pages, and the files that they show or hand out."""
    lineage = Lineage(preset, (Path(preset.root), kept), described)
    for shown in found:
        files.write_text(pages / "exhibits" / f"{shown.name}.md", exhibit_page(shown, preset, lineage))
        for path in shown.files:
            files.write_bytes(pages / "extra" / "files" / path.name, path.read_bytes())
    start = front(found, preset, lineage, kept)
    lineage.write(pages)
    files.write_text(pages / "lineage.md", lineage.listing())
    for notebook in notebooks.NOTEBOOKS:
        text = _notebook(preset, notebook, kept, pages, before, console)
        files.write_text(pages / "notebooks" / f"{notebook}.md", text)
    documents.write(preset, pages, found)
    trees = {
        "Tables": [f"exhibits/{one.name}" for one in found if one.folder and not one.is_figure],
        "Figures": [f"exhibits/{one.name}" for one in found if one.folder and one.is_figure],
        "Notebooks": [f"notebooks/{notebook}" for notebook in reversed(notebooks.NOTEBOOKS)],
        "Documents": documents.names(),
        "Lineage": ["lineage"],
    }
    trees = {caption: names for caption, names in trees.items() if names}
    blocks = "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n"
        for caption, names in trees.items()
    )
    files.write_text(pages / "index.md", start + blocks)
    files.write_bytes(pages / "static" / STYLE.name, STYLE.read_bytes())


def _notebook(preset: Preset, name: str, kept: Path, pages: Path, before: Path, console: Console) -> str:
    """The page of a notebook: as it was executed here, else executed on results kept in git, else what makes it."""
    own, target = Path(preset.root, "notebooks", f"{name}.ipynb"), pages / "extra" / "files" / f"{name}.ipynb"
    try:
        if own.with_suffix(".html").exists() and own.exists():
            files.write_bytes(target, own.read_bytes())
            return notebooks.markdown(own)
        if any(kept.glob("*/**/metrics.json")) and not any(Path(preset.root).glob("*/**/metrics.json")):
            return notebooks.markdown(notebooks.on_kept(name, kept, target, before / "files" / target.name, console))
    except InputError as error:
        return f"# {name.replace('_', ' ')}\n\n{raw(f'<p>{escape(str(error))}</p>')}"
    again = f"snakemake --cores 1 {preset.root}/notebooks/{name}.html"
    said = f"<p>Not made yet in the preset {code(preset.name)}:</p><pre>{again}</pre>"
    return f"# {name.replace('_', ' ')}\n\n{raw(box(said))}"


def _sphinx(pages: Path, site: Path, read: Path, preset: Preset) -> list[str]:
    """Have Sphinx build the pages; what it warned of."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    said = io.StringIO()
    own = {
        "html_title": f"LaSNN, {preset.name}",
        "version": __version__,
        "html_static_path": [str((pages / "static").resolve())],
        "html_extra_path": [str((pages / "extra").resolve())] if (pages / "extra").exists() else [],
        "exclude_patterns": ["static", "extra"],
    }
    with docutils_namespace():
        app = Sphinx(str(pages), None, str(site), str(read), "html", SETTINGS | own, status=None, warning=said)
        app.build()
    shutil.rmtree(site / ".doctrees", ignore_errors=True)
    (site / ".buildinfo").unlink(missing_ok=True)  # where it was built
    return said.getvalue().replace(f"{pages.resolve()}/", "").splitlines()
