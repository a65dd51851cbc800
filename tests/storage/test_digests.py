"""The index of digests: true of a file only while it is the same, and silent of what changed a moment ago."""

import hashlib
import os

from lasnn.storage import digests
from lasnn.storage.digests import Digests


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_edit_that_keeps_size_and_date_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "FRESH", -60.0)  # as if the file had lain there for long
    path, index = tmp_path / "model.pt", tmp_path / "digests.json"

    def written(text):
        path.write_text(text)
        os.utime(path, (1e9, 1e9))
        return path.stat().st_ctime_ns

    first = written("one")
    for read in (1, 0):  # the second look takes the first one's word
        looked = Digests(index)
        assert (looked.sha256(path), looked.read) == (digest("one"), read)
        looked.save()
    while written("two") == first:  # within one tick of the file system's clock
        pass
    assert Digests(index).sha256(path) == digest("two")


def test_a_file_that_changed_a_moment_ago_is_not_remembered(tmp_path):
    """It may change again within the same tick: known for this look, unknown to the next."""
    path, index = tmp_path / "model.pt", tmp_path / "digests.json"
    path.write_text("one")
    looked = Digests(index)
    assert [looked.sha256(path), looked.sha256(path), looked.read] == [digest("one")] * 2 + [1]
    looked.save()
    assert not index.exists()


def test_a_damaged_index_is_no_index(tmp_path):
    (tmp_path / "model.pt").write_text("one")
    for content in ("", "{", "[]", '{"version": 1}', '{"version": 1, "facts": {"x": 1}}', "null"):
        (tmp_path / "digests.json").write_text(content)
        assert Digests(tmp_path / "digests.json").sha256(tmp_path / "model.pt") == digest("one")
