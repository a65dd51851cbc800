"""A user's own images: folders and zips of train/<class>/<image>, and what is said about those that do not fit."""

import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from made_images import message_of, refused
from PIL import Image
from tiny import image_tree

from lasnn import datasets
from lasnn.datasets import archives


def zipped(folder, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(folder.rglob("*")):
            archive.write(each, prefix + str(each.relative_to(folder)))
    return path


def test_resize_scales_the_shorter_edge_and_keeps_the_middle(tmp_path):
    """A 16 x 8 image of three bars keeps the middle one; a uniform 24 x 24 image stays uniform; without it one line."""
    tree = image_tree(tmp_path / "pets")
    bars = np.zeros((8, 16, 3), np.uint8)
    bars[:, :4, 0], bars[:, 4:12, 1], bars[:, 12:, 2] = 255, 255, 255  # red, green, blue
    Image.fromarray(bars).save(tree / "train/cat/0.png")
    Image.new("RGB", (24, 24), (9, 99, 199)).save(tree / "train/dog/0.png")
    assert "set resize: true" in message_of(datasets.prepare, "pets", tmp_path / "x.npz", folder=str(tree), side=8)
    datasets.prepare("pets", tmp_path / "pets.npz", folder=str(tree), side=8, resize=True)
    found = datasets.load(tmp_path / "pets.npz")
    assert found.source["resized"] is True
    expected = [np.full((8, 8), 1) * np.array(color)[:, None, None] for color in ((0, 255, 0), (9, 99, 199))]
    for image in expected:
        assert any(np.array_equal(image, other) for other in found.train_images)


def test_folder_zip_wrapped_zip_and_webp_agree(tmp_path):
    tree = image_tree(tmp_path / "pets")
    webp = image_tree(tmp_path / "webp", ending="webp", splits=("train", "val"))
    (tree / "train" / "cat" / ".DS_Store").write_bytes(b"x")
    (tree / "train" / "cat" / "Thumbs.db").write_bytes(b"x")
    (tree / "README").write_bytes(b"x")
    places = [tree, zipped(tree, tmp_path / "a.zip"), zipped(tree, tmp_path / "b.zip", prefix="pets/"), webp]
    found = []
    for place in places:
        datasets.prepare("pets", tmp_path / "pets.npz", folder=str(place), side=8)
        found.append(datasets.load(tmp_path / "pets.npz"))
    assert len({each.digest for each in found}) == 1
    assert [each.source["kind"] for each in found] == ["folder", "archive", "archive", "folder"]
    assert (found[0].name, found[0].classes, found[0].side) == ("pets", ("cat", "dog"), 8)
    assert str(tmp_path) not in json.dumps([each.source for each in found])
    first = np.asarray(Image.open(tree / "train/cat/0.png")).transpose(2, 0, 1)
    assert any(np.array_equal(first, image) for image in found[0].train_images)


def test_grey_and_transparent_images_become_rgb_and_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    tree = image_tree(tmp_path / "pets")
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(grey).save(tree / "test/cat/0.png")
    Image.fromarray(np.full((8, 8, 4), 7, np.uint8)).save(tree / "test/cat/1.png")
    datasets.prepare("pets", tmp_path / "pets.npz", folder=str(tree), side=8)
    images = datasets.load(tmp_path / "pets.npz").test_images
    assert any(np.array_equal(image, np.stack([grey] * 3)) for image in images)
    assert any((image == 7).all() for image in images)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # an 8x8 image is now between one and two times the limit
    assert "DecompressionBombWarning" in refused(tree)


def png16(path, channels, side=8):
    """A PNG with 16 bits per channel, by hand: Pillow writes none in colour."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    pixels = np.random.default_rng(0).integers(0, 65536, (side, side, channels), dtype=np.uint16).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head, data = struct.pack(">IIBBBBB", side, side, 16, colour, 0, 0, 0), zlib.compress(raw)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def decomposed(tree):
    """As of folders that were made on a Mac and elsewhere: in Unicode's composed and decomposed form."""
    image_tree(tree, classes=("caf\u00e9",))
    (tree / "test" / "caf\u00e9").rename(tree / "test" / "cafe\u0301")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda t: Image.new("RGB", (9, 8)).save(t / "test/dog/1.png"), "test/dog/1.png of pets has 9x8 pixels, expec"),
        (lambda t: (t / "test/dog/1.png").write_bytes(b"x"), "test/dog/1.png of pets cannot be read"),
        (lambda t: (t / "test/dog/1.png").write_bytes((t / "test/dog/0.png").read_bytes()[:90]), "cannot be read"),
        (lambda t: png16(t / "train/cat/0.png", 1), "16 bits per channel, expected 8 bits per channel; convert it"),
        (lambda t: png16(t / "train/cat/0.png", 2), "expected 8 bits per channel; convert it"),
        (lambda t: png16(t / "train/cat/0.png", 3), "expected 8 bits per channel; convert it"),
        (lambda t: png16(t / "train/cat/0.png", 4), "expected 8 bits per channel; convert it"),
        (lambda t: [each.unlink() for each in (t / "train/cat").iterdir()], "train/cat holds no image"),
        (lambda t: (t / "train/cow").mkdir(), "train/cow holds no image"),
        (lambda t: image_tree(t, splits=("train",), classes=("cow",)), "only in train/: cow, only in test/: none"),
        (lambda t: image_tree(t, splits=("test",), classes=("cow",)), "only in train/: none, only in test/: cow"),
        (decomposed, r"only in train/: caf\xe9, only in test/: cafe\u0301;"),
        (lambda t: (t / "train/cat/notes.txt").write_bytes(b"x"), "train/cat/notes.txt does not belong there"),
        (lambda t: image_tree(t / "train/cat", splits=("a",)), "does not belong there"),
        (lambda t: (t / "test").rename(t / "exam"), "expected the folders train/ and test/ (or val/), found exam, tr"),
        (lambda t: (t / "train/cat/big.png").open("wb").truncate(2**27), "'train/cat/big.png' has 134,217,728 bytes"),
    ],
)
def test_bad_trees(spoil, text, tmp_path):
    tree = image_tree(tmp_path / "pets")
    spoil(tree)
    assert text in refused(tree)


@pytest.mark.parametrize(
    ("name", "side", "exists", "text"),
    [
        ("cifar10", 8, True, "is a known one and cannot also have a `folder`"),
        ("pets", None, True, "has side None, expected the width"),
        ("pets", 8, False, "/gone' does not exist; correct `folder`"),
    ],
)
def test_bad_requests(name, side, exists, text, tmp_path):
    place = image_tree(tmp_path / "pets") if exists else tmp_path / "gone"
    assert text in refused(place, name, side)


@pytest.mark.parametrize(("kind", "count"), [("png", 2), ("webp", 3), ("mpo", 3)])
def test_several_pictures_in_a_file_are_refused(kind, count, tmp_path):
    """An animation, or a photograph with its depth or preview: which of them is meant, only their owner knows."""
    tree = image_tree(tmp_path / "pets")
    pictures = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "red")[:count]]
    name = f"7.{kind.replace('mpo', 'jpg')}"
    pictures[0].save(tree / "train" / "cat" / name, format=kind, save_all=True, append_images=pictures[1:])
    assert f"image train/cat/{name} of pets holds {count} pictures, expected one" in refused(tree)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_one_class_is_refused(packed, tmp_path):
    tree = image_tree(tmp_path / "pets", classes=("cat",))
    place = zipped(tree, tmp_path / "pets.zip") if packed else tree
    assert "holds one class, 'cat': there is nothing to tell apart" in refused(place)


# ---- archives that lie or are cut short ------------------------------------------------------------------------------


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
