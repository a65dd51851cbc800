"""Tiny ImageNet's official layout, with small archives."""

import io
import zipfile

import numpy as np
from made_images import md5, message_of, prepared
from PIL import Image

from lasnn.datasets import tinyimagenet
from lasnn.datasets.mirrors import Official


def tiny_archive(path, val_images=200, wrong=None):
    """200 classes, one 64x64 training image each; the first `val_images` of the annotated 200 test images."""
    wnids, prefix = [f"n{index:08d}" for index in range(200)], "tiny-imagenet-200/"

    def jpeg(value, mode="RGB"):
        file = io.BytesIO()
        Image.new(mode, (64, 64), value if mode == "L" else (value, value, value)).save(file, "JPEG")
        return file.getvalue()

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{prefix}wnids.txt", "\n".join(reversed(wnids)) + "\n")
        lines = [f"val_{index}.JPEG\t{wnid}\t0\t0\t63\t63\n" for index, wnid in enumerate(wnids)]
        archive.writestr(f"{prefix}val/val_annotations.txt", "".join(wrong or lines))
        archive.writestr(f"{prefix}test/images/test_0.JPEG", jpeg(1))
        for index, wnid in enumerate(wnids):
            archive.writestr(f"{prefix}train/{wnid}/{wnid}_boxes.txt", "")
            archive.writestr(f"{prefix}train/{wnid}/images/{wnid}_0.JPEG", jpeg(index, "L" if index % 2 else "RGB"))
            if index < val_images:
                archive.writestr(f"{prefix}val/images/val_{index}.JPEG", jpeg(index))
    return path


def test_tinyimagenet_layout(tmp_path, monkeypatch):
    out = tmp_path / "out.npz"
    (tmp_path / "a").mkdir()
    archive = tiny_archive(tmp_path / "a" / "tiny-imagenet-200-subset.zip")
    tiny = prepared(out, "tinyimagenet", mirror=str(tmp_path / "a"))
    assert (tiny.classes[0], tiny.classes[-1], len(tiny.classes)) == ("n00000000", "n00000199", 200)
    assert tiny.train_images.shape == tiny.test_images.shape == (200, 3, 64, 64)
    assert np.array_equal(tiny.train_images[:, 0, 0, 0], tiny.train_labels)  # image i of class i has the grey value i
    assert np.array_equal(tiny.test_images[:, 0, 0, 0], tiny.test_labels)
    assert tiny.source["verified"] == "none"

    zipfile.ZipFile(archive).extractall(tmp_path / "b")
    assert prepared(out, "tinyimagenet", mirror=str(tmp_path / "b")).digest == tiny.digest

    official = archive.rename(archive.with_name("tiny-imagenet-200.zip"))
    message = message_of(prepared, out, "tinyimagenet", mirror=str(official))
    assert "expected md5 90528d7ca1a48142e341f4ef8d21d0de" in message
    checksum = md5(official.read_bytes())
    monkeypatch.setattr(
        tinyimagenet, "OFFICIAL", Official("tiny-imagenet-200.zip", "tiny-imagenet-200", checksum, "http://x")
    )
    assert prepared(out, "tinyimagenet", mirror=str(official)).source["verified"] == f"md5 {checksum}"


def test_tinyimagenet_that_does_not_fit(tmp_path):
    for changed, told in (
        ({"val_images": 199}, "val/ holds no image of class n00000199"),
        (
            {"wrong": ["val_0.JPEG\tn99999999\t0\t0\t1\t1\n"]},
            "val/images/val_0.JPEG has the class n99999999, expected one of the 200",
        ),
    ):
        path = tiny_archive(tmp_path / "tiny.zip", **changed)
        assert told in message_of(prepared, tmp_path / "x.npz", "tinyimagenet", mirror=str(path))
