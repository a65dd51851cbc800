"""A copy of the finished project to work in."""

import shutil

import pytest


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    """The working folder; times and notes as Snakemake left them, without git, DVC and what was kept."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, symlinks=True, ignore=shutil.ignore_patterns(".git", ".dvc", ".kept"))
    monkeypatch.chdir(folder)
    return folder
