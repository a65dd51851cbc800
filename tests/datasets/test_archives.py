"""Archives that lie or are cut short are refused by name."""

import struct
import zipfile

import pytest
from made_images import message_of

from lasnn.datasets import archives


def zip_of(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def read_all(path):
    with archives.opened(path) as tree:
        return {name: tree.read(name) for name in tree.files}


def test_folder_and_zip_give_the_same_tree(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.txt").write_bytes(b"hello")
    zip_of(tmp_path / "a.zip", **{"b/c.txt": b"hello"})
    for place in (tmp_path / "a", tmp_path / "a.zip"):
        with archives.opened(place) as tree:
            assert (tree.files, tree.folders, tree.read("b/c.txt")) == (("b/c.txt",), {"b"}, b"hello")
            assert tree.below("b").read("c.txt") == b"hello"
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")  # to a parent folder: it ends
    with archives.opened(tmp_path / "a") as tree:
        assert len(tree.files) == archives.DEPTH  # levels, of which b is one


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_lies_or_is_damaged_is_named(tmp_path):
    """Cut short, with a damaged member, with a declared size beyond the limit or the truth, with a member twice."""
    path = zip_of(tmp_path / "a.zip", **{"x.png": bytes(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert "archive a.zip cannot be opened: expected a whole zip" in message_of(read_all, path)
    place = whole.rindex(b"PK\x01\x02") + 24  # the size in the central directory
    for size, text in [(2**31, "the limit is 67,108,864"), (10, "damaged at 'x.png'")]:
        path.write_bytes(whole[:place] + struct.pack("<I", size) + whole[place + 4 :])
        assert text in message_of(read_all, path)
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that its bytes can be found
        archive.writestr("x.png", b"abcdefgh")
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abcdefgX"))
    assert "archive a.zip is damaged at 'x.png' (Bad CRC-32" in message_of(read_all, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.png", b"1")
        archive.writestr("x.png", b"2")
    assert "holds 'x.png' twice" in message_of(read_all, path)


@pytest.mark.parametrize("name", [b"trail/a.png", b"tra\x00n/a.png", b"train/\xffa.pn", b"nothing.txt"])
def test_a_damaged_name_is_not_another_file(tmp_path, name):
    """A zip has each name twice: one that was damaged in the directory would be a file that no listing looks at."""
    path = zip_of(tmp_path / "a.zip", **{"train/a.png": b"a", "train/b.png": b"b"})
    whole = path.read_bytes()
    place = whole.rindex(b"train/a.png")
    path.write_bytes(whole[:place] + name + whole[place + len(name) :])
    assert "archive a.zip is damaged at" in message_of(archives.opened(path).__enter__)
