"""The site as a whole: built from what is there, the same twice, nothing from the network, in its box on a phone."""

import contextlib
import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny import done

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.pipeline import notebooks, reference, site
from lasnn.plan.config import read
from lasnn.report import EXHIBITS, exhibits_of
from lasnn.storage import files

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SITE = Path("results/tiny/site")
WRAPPER = """<iframe width="390" height="844" srcdoc="{page}"
onload="const root = this.contentDocument.documentElement;
document.title = root.clientWidth + ' shows ' + root.scrollWidth"></iframe>"""


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """The finished tables of the preset `tiny`, beside documents; its site."""
    folder = tmp_path_factory.mktemp("site") / "project"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns(".git", ".snakemake"))
    with contextlib.chdir(folder):
        site.build(read(), None, Console())
        yield folder


def content():
    return {path.relative_to(SITE): path.read_bytes() for path in SITE.rglob("*") if path.is_file()}


def test_twice_gives_the_same_bytes_and_leaves_nothing_beside(folder):
    first = content()
    site.build(read(), None, Console())
    assert content() == first
    assert not list(Path("results/tiny").glob(".site-*"))


def test_every_exhibit_has_a_page_which_says_whether_it_was_made(folder):
    for name in EXHIBITS:
        page = (SITE / "exhibits" / f"{name}.html").read_text()
        assert ("Not made yet" in page) == (name not in exhibits_of("tables"))
    assert "Not made yet" in (SITE / "notebooks" / "energy.html").read_text()


def test_what_a_notebook_lacks_is_said_as_text(folder, tmp_path, monkeypatch):
    """A path may have signs that mean something in HTML."""
    pages = Path("results/tiny/notebooks")
    for ending in ("ipynb", "html"):
        files.write_text(pages / f"energy.{ending}", "")

    def damaged(path):
        raise InputError("<i>this</i> & that is damaged")

    monkeypatch.setattr(site.notebooks, "markdown", damaged)
    said = site._notebook(read().preset(), "energy", tmp_path, tmp_path, tmp_path, Console())
    shutil.rmtree(pages)
    assert "&lt;i&gt;this&lt;/i&gt; &amp; that is damaged" in said


def test_nothing_is_loaded_from_elsewhere(folder):
    for path in SITE.rglob("*.html"):
        text = re.sub(r"<a [^>]*>", "", path.read_text())  # a link is followed only by who wants to
        assert not re.findall(r'(?:src|href)="(?:https?:)?//[^"]*', text), path
    for path in SITE.rglob("*.css"):
        assert not re.findall(r"@import\s+['\"]?(?:url\()?['\"]?http|url\(['\"]?(?:https?:)?//", path.read_text()), path


def test_every_link_within_the_site_leads_somewhere(folder):
    for path in SITE.rglob("*.html"):
        text = path.read_text()
        for target in re.findall(r'<a [^>]*href="([^"]+)"', text):
            goal, _, anchor = html.unescape(target).partition("#")
            if re.match(r"\w+:", goal):
                continue
            place = path.parent / goal if goal else path
            assert place.exists(), f"{path} links to {target}"
            if anchor and place.suffix == ".html":
                assert f'id="{anchor}"' in place.read_text(), f"{path} links to {target}"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
@pytest.mark.parametrize("name", ["index", "exhibits/table_s1", "docs/choices"])
def test_on_a_phone_only_tables_scroll(folder, name):
    page = SITE / f"{name}.html"
    wrapper = page.with_name(f"{page.stem}-phone.html")
    wrapper.write_text(WRAPPER.format(page=html.escape(page.read_text())))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000", "--dump-dom"]
    shown = subprocess.run([*command, wrapper.resolve().as_uri()], capture_output=True, text=True, timeout=120)
    wrapper.unlink()
    width, needed = map(int, re.search(r"<title>(\d+) shows (\d+)", shown.stdout).groups())
    assert width > 300
    assert needed <= width


def test_a_notebook_is_executed_once_on_results_in_git(folder, tmp_path, monkeypatch, capsys):
    kept = tmp_path / "project"
    shutil.copytree(folder, kept)
    monkeypatch.chdir(kept)
    reference.export(read())
    place, target = Path("results/reference/tiny"), tmp_path / "energy.ipynb"
    notebooks.on_kept("energy", place, target, tmp_path / "none", Console())
    assert "executing" in capsys.readouterr().err
    assert "runs of preset tiny on Digits" in notebooks.markdown(target)
    again = notebooks.on_kept("energy", place, tmp_path / "again.ipynb", target, Console())
    assert "executing" not in capsys.readouterr().err
    assert again.read_bytes() == target.read_bytes()


def test_before_anything_was_run_it_says_what_to_do(copy_of_project):
    done(copy_of_project, "--cores", 1, "site")
    first = (copy_of_project / "results/quick/site/index.html").read_text()
    assert f"Of {len(EXHIBITS)} exhibits: {len(EXHIBITS)} not made yet." in first
    assert "snakemake --cores 1 results/quick/exhibits/table2.md" in first
    assert not (copy_of_project / "results/quick/exhibits").exists()
