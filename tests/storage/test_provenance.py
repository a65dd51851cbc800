"""What a run says of its code: the commit, whether it is clean, or why none is known."""

import pytest

from lasnn.storage import commit

CALLERS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder inside another one, which takes the place of this project's checkout."""
    folder = tmp_path / "project"
    (folder / "lasnn").mkdir(parents=True)
    (folder / "lasnn" / "code.py").write_text("")
    monkeypatch.setattr(commit, "FOLDER", folder)
    return folder


def test_code_is_the_commit_and_whether_it_is_clean(checkout, git, tmp_path, monkeypatch):
    """A generated file of DVC changes nothing, a new module does, whatever repository a hook's variables name."""
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "all")
    head = git(checkout, "rev-parse", "HEAD")
    (checkout / "dvc.lock").write_text("schema: '2.0'\n")
    for name in CALLERS:
        with monkeypatch.context() as hook:
            hook.setenv(name, str(tmp_path))
            assert commit.code() == {"commit": head, "clean": True}, name
    (checkout / "lasnn" / "extra.py").write_text("")
    assert commit.code() == {"commit": head, "clean": False}


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("no repository", "not a git repository"),
        ("another that doesn't track it", "lies in the repository"),
        ("another that tracks it", "lies in the repository"),
        ("its own without a commit", "has no commit"),
        ("no git", "git can't be asked"),
        ("another user's", "git config --global --add safe.directory"),
    ],
)
def test_an_unknown_commit_says_why(checkout, tmp_path, git, monkeypatch, where, why):
    """An archive inside of another repository is not that one's commit."""
    if where != "no repository":
        git(checkout if "own" in where else tmp_path, "init", "-q")
    if "tracks" in where:
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", "vendored")
    if where in ("no git", "another user's"):
        monkeypatch.setenv("PATH", str(tmp_path))
    if where == "another user's":
        refusal = f"fatal: detected dubious ownership\\n\\tgit config --global --add safe.directory {checkout}"
        (tmp_path / "git").write_text(f"#!/bin/sh\nprintf '{refusal}' >&2\nexit 128\n")
        (tmp_path / "git").chmod(0o755)
    found = commit.code()
    assert (found["commit"], found["clean"]) == (None, None)
    assert why in commit.warning(found)
    assert "\n" not in commit.warning(found)
