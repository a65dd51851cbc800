"""Files that appear at once: a kill or a full disk in between leaves one set or a part of one, never a mix."""

import os
from pathlib import Path

import pytest

from lasnn.storage import files

NAMES = ("model", "metrics", "provenance")


class Killed(BaseException):
    """As a signal that nothing can catch: no handler runs but those that the block itself has."""


def fill(folder, word):
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        (folder / name).write_text(word)


def there(folder):
    return {name: (folder / name).read_text() for name in NAMES if (folder / name).exists()}


def replace_all(folder):
    with files.together(folder, NAMES) as scratch:
        for name in NAMES:
            files.write_text(scratch / name, "new")


def struck(monkeypatch, moment):
    """Let the removal or renaming of this number not happen any more; how many there are in all is counted."""
    count = [0]

    def watched(call):
        def called(*words, **named):
            count[0] += 1
            if count[0] == moment:
                raise Killed
            return call(*words, **named)

        return called

    monkeypatch.setattr(os, "replace", watched(os.replace))
    monkeypatch.setattr(Path, "unlink", watched(Path.unlink))
    return count


def test_new_files_take_the_places_of_all_old_ones(tmp_path):
    """Of one that the new set lacks, too; what else is in the folder stays."""
    fill(tmp_path / "run", "old")
    (tmp_path / "run" / "resume.pt").write_text("a training")
    with files.together(tmp_path / "run", NAMES) as scratch:
        files.write_text(scratch / "metrics", "new")
    assert there(tmp_path / "run") == {"metrics": "new"}
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["metrics", "resume.pt"]


def test_a_kill_at_any_moment_leaves_no_mix(tmp_path, monkeypatch):
    """And a set without its last name unless it is whole."""
    fill(tmp_path / "whole", "old")
    with monkeypatch.context() as context:
        count = struck(context, -1)
        replace_all(tmp_path / "whole")
    assert there(tmp_path / "whole") == dict.fromkeys(NAMES, "new")
    seen = set()
    for moment in range(1, count[0] + 1):
        folder = tmp_path / str(moment)
        fill(folder, "old")
        with monkeypatch.context() as context:
            struck(context, moment)
            with pytest.raises(Killed):
                replace_all(folder)
        found = there(folder)
        assert len(set(found.values())) <= 1, found
        assert NAMES[-1] not in found or len(found) == len(NAMES), found
        seen.add((len(found), *set(found.values())))
    assert {(3, "old"), (2, "old"), (0,), (2, "new")} <= seen
