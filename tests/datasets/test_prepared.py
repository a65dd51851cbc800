"""The prepared file: canonical order, digest, equal bytes, and what a damaged file says."""

import hashlib
import json
import zipfile

import numpy as np
import pytest
from made_images import message_of

from lasnn import datasets
from lasnn.datasets import arrays
from lasnn.errors import InputError
from lasnn.plan.vocabulary import KNOWN_DATASETS

# Of the content, not of a file: it changes only if the images, labels, class names or canonical order change.
DIGITS = "cc29516aec2bbc38fb5ef72734dcb822051d017d557c152a34d0c8c3de536572"


def some_contents(classes=("cat", "bird"), count=6, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (2 * count, 3, 4, 4), dtype=np.uint8)
    labels = np.arange(2 * count) % len(classes)
    return arrays.Contents(classes, images[:count], labels[:count], images[count:], labels[count:])


def write(path, contents):
    arrays.write(path, "pets", "Pets", contents, False, {"kind": "folder", "sha256": None, "verified": "none"})
    return path


def test_digits_have_the_recorded_digest(tmp_path):
    datasets.prepare("digits", tmp_path / "digits.npz")
    digits = datasets.load(tmp_path / "digits.npz")
    known = KNOWN_DATASETS["digits"]
    assert digits.digest == DIGITS
    assert digits.train_images.shape == (known.train, 3, known.side, known.side)
    assert digits.test_images.shape == (known.test, 3, known.side, known.side)
    assert digits.classes == tuple("0123456789")
    assert set(digits.test_labels) == set(range(10))
    assert digits.train_images.max() == 255
    assert (digits.title, digits.subset) == ("Digits", False)
    assert list(tmp_path.iterdir()) == [tmp_path / "digits.npz"]


def test_canonical_order_and_ids_by_hand(tmp_path):
    contents = some_contents()
    loaded = datasets.load(write(tmp_path / "pets.npz", contents))
    hashes = [hashlib.sha256(image.tobytes()).digest() for image in contents.train_images]
    order = sorted(range(6), key=lambda index: hashes[index])
    assert loaded.classes == ("bird", "cat")
    assert np.array_equal(loaded.train_images, contents.train_images[order])
    assert loaded.train_labels.tolist() == [1 - contents.train_labels[index] for index in order]  # cat is 1 when sorted
    assert loaded.train_ids.tolist() == [int.from_bytes(hashes[index][:8], "big", signed=True) for index in order]
    assert loaded.train_images.flags["C_CONTIGUOUS"]
    assert (loaded.train_labels.dtype, loaded.train_ids.dtype) == (np.int64, np.int64)


def test_order_of_the_source_does_not_matter(tmp_path):
    """Equal images are ordered by label."""
    contents = some_contents()
    train, test = contents.train_images[::-1], contents.test_images[::-1]
    labels = 1 - contents.train_labels[::-1], 1 - contents.test_labels[::-1]
    turned = arrays.Contents(contents.classes[::-1], train, labels[0], test, labels[1])
    one, two = write(tmp_path / "one.npz", contents), write(tmp_path / "two.npz", turned)
    assert one.read_bytes() == two.read_bytes()
    assert {each.date_time[0] for each in zipfile.ZipFile(one).infolist()} == {1980}
    twins = np.repeat(train[:1], 2, axis=0)
    for labels in ([0, 1], [1, 0]):
        both = arrays.Contents(("a", "b"), twins, np.array(labels), test, contents.test_labels)
        assert datasets.load(write(tmp_path / "pets.npz", both)).train_labels.tolist() == [0, 1]


@pytest.mark.parametrize("change", ["pixel", "label", "class name"])
def test_digest_covers(change, tmp_path):
    contents = some_contents()
    before = datasets.load(write(tmp_path / "a.npz", contents)).digest
    if change == "pixel":
        contents.test_images[0, 0, 0, 0] ^= 1
    elif change == "label":
        contents.test_labels[0] = 1 - contents.test_labels[0]
    else:
        contents = some_contents(classes=("dog", "bird"))
    assert datasets.load(write(tmp_path / "b.npz", contents)).digest != before


def rewritten(path, **changes):
    with np.load(path) as file:
        entries = dict(file) | changes
    np.savez(path, **{key: value for key, value in entries.items() if value is not None})


def test_damaged_files_are_named(tmp_path):
    path = write(tmp_path / "pets.npz", some_contents())
    whole = path.read_bytes()
    with np.load(path) as file:
        images, ids = file["train_images"], file["train_ids"]
        header = np.array(json.dumps(json.loads(str(file["header"])) | {"format": 2}))
    images[2, 1, 0, 3] ^= 255
    for change, text in [
        (lambda: path.write_bytes(whole[: len(whole) // 2]), "truncated or something else"),
        (lambda: path.write_bytes(b"not at all"), "truncated or something else"),
        (lambda: path.write_bytes(b""), "truncated or something else"),
        (lambda: np.save(path.open("wb"), images), "truncated or something else"),
        (lambda: rewritten(path, header=None), "truncated or something else"),
        (lambda: rewritten(path, header=header), "has format 2, expected 1"),
        (lambda: rewritten(path, train_images=images), "is damaged: its content has the digest"),
        (lambda: rewritten(path, train_images=images[:3]), "is damaged: its train images are uint8 [3, 3, 4, 4]"),
        (lambda: rewritten(path, train_ids=ids[::-1]), "ids do not belong"),
        (lambda: rewritten(path, test_labels=None), "lacks a part"),
        (lambda: rewritten(path, train_ids=np.array([{"a": 1}], dtype=object)), "cannot be read"),  # never unpickled
        (path.unlink, "does not exist; prepare it first"),
    ]:
        path.write_bytes(whole)
        change()
        message = message_of(datasets.load, path)
        assert text in message
        assert "pets.npz" in message


def test_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="known are cifar10, cifar100, digits, tinyimagenet; did you mean 'cifar10'"):
        datasets.prepare("cifar", tmp_path / "cifar.npz")
