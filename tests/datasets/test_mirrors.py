"""Official archives and mirrors, with small archives in the official layout and a server on this machine."""

import errno
import functools
import hashlib
import http.server
import io
import os
import pickle
import shutil
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from made_images import md5, message_of, prepared
from PIL import Image

from lasnn import datasets
from lasnn.datasets import mirrors, preparation, tinyimagenet
from lasnn.plan.vocabulary import KNOWN_DATASETS, Source

CLASSES = [f"class{index}" for index in range(10)]


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Three tries without a pause, and a second of silence."""
    monkeypatch.setattr(mirrors, "RETRIES", 2)
    monkeypatch.setattr(mirrors, "SILENCE", 1.0)
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


@pytest.fixture(scope="module")
def batches():
    random = np.random.default_rng(0)

    def batch(count):
        labels = [index % 10 for index in range(count)]
        return pickle.dumps({"data": random.integers(0, 256, (count, 3072), dtype=np.uint8), "labels": labels})

    meta = pickle.dumps({"label_names": CLASSES})
    return {"data_batch_1": batch(20), "data_batch_2": batch(10), "test_batch": batch(10), "batches.meta": meta}


@pytest.fixture
def official(batches, tmp_path, monkeypatch):
    """A folder with a small archive in CIFAR-10's format, and torchvision told its checksums."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "official"
    folder.mkdir()
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    class Small(CIFAR10):
        url = "http://127.0.0.1:9/nothing-listens-here"
        tgz_md5 = md5(archive.read_bytes())
        train_list = [[each, md5(batches[each])] for each in ("data_batch_1", "data_batch_2")]  # noqa: RUF012
        test_list = [["test_batch", md5(batches["test_batch"])]]  # noqa: RUF012
        meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(batches["batches.meta"])}  # noqa: RUF012

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Small)
    return archive


CONTENT = bytes(range(256)) * 40


class Scripted(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; first an entry of `server.script` each: a status, silence, or so many bytes of CONTENT."""

    def do_GET(self):
        self.server.asked += 1
        match self.server.script.pop(0) if self.server.script else None:
            case None:
                super().do_GET()
            case "silence":
                threading.Event().wait(2)
            case 403 | 404 | 410 | 429 | 500 | 503 as status:
                self.send_error(status)
            case count:
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[:count])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """server(folder, *script): a server on 127.0.0.1, its `address`, and how often it was `asked`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def serve(folder, *script):
        made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Scripted, directory=folder))
        made.script, made.asked, made.address = list(script), 0, f"http://127.0.0.1:{made.server_port}"
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(made)
        return made

    yield serve
    for made in servers:
        made.shutdown()
        made.server_close()


def image_tree(root, batches):
    """The images of the batches as train/<class>/ and test/<class>/, lossless."""
    for split, names in (("train", ("data_batch_1", "data_batch_2")), ("test", ("test_batch",))):
        for name in names:
            batch = pickle.loads(batches[name])
            for index, (pixels, label) in enumerate(zip(batch["data"], batch["labels"], strict=True)):
                place = root / split / CLASSES[label]
                place.mkdir(parents=True, exist_ok=True)
                image = Image.fromarray(pixels.reshape(3, 32, 32).transpose(1, 2, 0))
                image.save(place / f"{name}_{index}.webp", lossless=True)
    return root


def refusal(tmp_path, name="cifar10", **named):
    """Why a dataset can't be prepared; no file is left of it."""
    message = message_of(datasets.prepare, name, tmp_path / "data" / "x.npz", **named)
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    return message


def test_archive_folder_tree_and_server_give_one_digest(official, batches, server, tmp_path):
    out = tmp_path / "data" / "cifar10.npz"
    found = [
        prepared(out, mirror=str(official)),
        prepared(out, mirror=str(official.parent)),
        prepared(out, mirror=server(official.parent).address),
        prepared(out, mirror=server(official.parent).address + "/cifar-10-python.tar.gz"),
    ]
    extracted = tmp_path / "extracted" / "cifar-10-batches-py"
    extracted.mkdir(parents=True)
    for name, content in batches.items():
        (extracted / name).write_bytes(content)
    found.append(prepared(out, mirror=str(extracted.parent)))
    trees = tmp_path / "trees"
    image_tree(trees / "cifar10", batches)
    found.append(prepared(out, mirror=str(trees)))
    shutil.make_archive(tmp_path / "zips" / "cifar10-subset", "zip", trees / "cifar10")
    found += [prepared(out, mirror=str(tmp_path / "zips")), prepared(out, mirror=server(tmp_path / "zips").address)]

    assert len({each.digest for each in found}) == 1
    verified = "md5 " + md5(official.read_bytes())
    assert [each.source["verified"] for each in found] == [verified] * 4 + ["md5 of each file"] + ["none"] * 3
    assert found[0].source["sha256"] == hashlib.sha256(official.read_bytes()).hexdigest()
    assert all(each.subset for each in found)
    assert (found[0].train_images.shape, found[0].test_images.shape) == ((30, 3, 32, 32), (10, 3, 32, 32))
    content = out.read_bytes()
    assert str(tmp_path).encode() not in content
    assert b"127.0.0.1" not in content
    assert list(out.parent.iterdir()) == [out]


def test_labels_of_cifar100_are_the_fine_ones(tmp_path, monkeypatch):
    """Its batches hold 20 coarse labels too. Image i has the fine class 99 - i, and is told by its first pixel."""
    from torchvision.datasets import CIFAR100

    fine = [f"fine{index:02}" for index in range(100)]
    parts = {"meta": {"fine_label_names": fine, "coarse_label_names": [f"coarse{index}" for index in range(20)]}}
    for name, count in (("train", 100), ("test", 7)):
        numbers = np.arange(count, dtype=np.uint8)
        labels = {"fine_labels": (99 - numbers).tolist(), "coarse_labels": (numbers % 20).tolist()}
        parts[name] = {"data": np.repeat(numbers[:, None], 3072, axis=1), **labels}
    (tmp_path / "cifar-100-python").mkdir()
    for name, part in parts.items():
        (tmp_path / "cifar-100-python" / name).write_bytes(pickle.dumps(part))

    class Small(CIFAR100):
        train_list, test_list = ([[name, md5(pickle.dumps(parts[name]))]] for name in ("train", "test"))
        meta = {"filename": "meta", "key": "fine_label_names", "md5": md5(pickle.dumps(parts["meta"]))}  # noqa: RUF012

    monkeypatch.setattr("torchvision.datasets.CIFAR100", Small)
    found = prepared(tmp_path / "cifar100.npz", "cifar100", mirror=str(tmp_path))
    assert found.classes == tuple(fine)
    assert (found.train_labels + found.train_images[:, 0, 0, 0]).tolist() == [99] * 100
    assert (found.test_labels + found.test_images[:, 0, 0, 0]).tolist() == [99] * 7


def test_download_is_kept_and_used_again(official, server, tmp_path, monkeypatch):
    """A damaged one is fetched again."""
    out = tmp_path / "data" / "cifar10.npz"
    (out.parent / "raw").mkdir(parents=True)
    (out.parent / "raw" / official.name).write_bytes(official.read_bytes()[:-1])
    address = server(official.parent).address + "/cifar-10-python.tar.gz"
    monkeypatch.setattr("torchvision.datasets.CIFAR10.url", address)
    first = prepared(out)
    monkeypatch.setattr("torchvision.datasets.CIFAR10.url", "http://127.0.0.1:9/")
    assert prepared(out).digest == first.digest
    assert sorted(each.name for each in out.parent.rglob("*")) == ["cifar-10-python.tar.gz", "cifar10.npz", "raw"]


def test_no_connection(official, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    message = refusal(tmp_path)
    assert "cannot be downloaded from its publisher (no connection: " in message
    assert "set `mirror` to a folder or address that holds cifar-10-python.tar.gz" in message


def test_wrong_download_is_not_kept(official, server, tmp_path, monkeypatch):
    """Nor fetched once more: the publisher's file would be the same."""
    publisher = server(official.parent)
    monkeypatch.setattr("torchvision.datasets.CIFAR10.url", f"{publisher.address}/cifar-10-python.tar.gz")
    monkeypatch.setattr("torchvision.datasets.CIFAR10.tgz_md5", "0" * 32)
    message = refusal(tmp_path)
    assert f"expected md5 {'0' * 32}, found {md5(official.read_bytes())}" in message
    assert publisher.asked == 1


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_checksums_refuse_other_archives(name, tmp_path):
    file = "cifar-10-python.tar.gz" if name == "cifar10" else "cifar-100-python.tar.gz"
    (tmp_path / file).write_bytes(b"something else")
    message = refusal(tmp_path, name, mirror=str(tmp_path))
    assert f"archive {file} is truncated or not the official one: expected md5" in message


class Trap:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_pickles_with_a_wrong_checksum_stay_closed(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{index}" for index in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "opened")))
    message = message_of(datasets.prepare, "cifar10", tmp_path / "x.npz", mirror=str(tmp_path))
    assert "data_batch_1 has md5" in message
    assert "expected c99cafc152244af753f735de768cd75f" in message
    assert not (tmp_path / "opened").exists()
    (folder / "data_batch_1").unlink()
    message = message_of(datasets.prepare, "cifar10", tmp_path / "x.npz", mirror=str(tmp_path))
    assert "cifar-10-batches-py is not complete: data_batch_1 is missing" in message


def test_subset_needs_consent_and_too_many_images_are_another_dataset(official, batches, tmp_path, monkeypatch):
    out = tmp_path / "x.npz"
    message = message_of(datasets.prepare, "cifar10", out, mirror=str(official))
    assert "holds 30 of 50,000 training images of CIFAR-10; set allow_subset: true to use it" in message
    image_tree(tmp_path / "cifar10", batches)
    message = message_of(datasets.prepare, "cifar10", out, mirror=str(tmp_path))
    assert "cifar10 holds 30 of 50,000 training images of CIFAR-10" in message
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "KNOWN_DATASETS", {"cifar10": Source("CIFAR-10", 10, 32, 29, 10)})
        assert "holds 30 training images, CIFAR-10 has 29" in message_of(prepared, out, mirror=str(tmp_path))
    for split in ("train", "test"):
        shutil.rmtree(tmp_path / "cifar10" / split / "class0")
    assert "holds 9 classes, CIFAR-10 has 10" in message_of(prepared, out, mirror=str(tmp_path))


@pytest.mark.parametrize(
    ("mirror", "text"),
    [
        ("empty", "looked for cifar-10-python.tar.gz, cifar-10-batches-py/, cifar10.zip, cifar10/, cifar10-subset.zip"),
        ("gone", "does not exist: expected a folder, a .zip or .tar.gz file, or an http(s) address"),
        ("ftp://127.0.0.1/x", "expected http(s)://host/path"),
        ("http://me:secret@127.0.0.1/", "without a user name"),
        ("http://[::1/x", "expected http(s)://host/path"),
        ("http://127.0.0.1:9/?key=secret", "gives no cifar-10-python.tar.gz (no connection: "),
    ],
)
def test_useless_mirrors(mirror, text, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "empty").mkdir()
    mirror = mirror if "://" in mirror else str(tmp_path / mirror)
    message = refusal(tmp_path, mirror=mirror)
    assert text in message
    assert "secret" not in message
    assert str(tmp_path) not in message


@pytest.mark.parametrize(
    ("script", "asked", "said"),
    [
        ([10, 0, 10], 3, "gives no cifar10.zip (the connection broke off)"),
        ([503, 429, 500], 3, "gives no cifar10.zip (the server answers 500 "),
        (["silence"] * 3, 3, "gives no cifar10.zip (no answer within 1 s)"),
        ([403], 1, "gives no cifar10.zip (the server answers 403 Forbidden)"),
        ([404], 1, "the mirror does not hold dataset 'cifar10': looked for cifar10.zip"),
        ([410], 1, "the mirror does not hold dataset 'cifar10': looked for cifar10.zip"),
    ],
)
def test_a_download_that_fails_for_good_is_one_line_and_leaves_nothing(tmp_path, server, script, asked, said):
    """Three tries at what may pass, one at what the server refuses; the line holds no address."""
    busy = server(tmp_path, *script)
    message = refusal(tmp_path, mirror=f"{busy.address}/cifar10.zip?key=secret")
    assert said in message
    assert "secret" not in message
    assert busy.asked == asked


@pytest.mark.parametrize("script", [[], [1000, 3000], [503, 429], [0, 500]])
def test_a_download_is_tried_again_until_it_is_whole(tmp_path, server, script):
    """A cut connection, a busy or broken server: the file is fetched again and nothing else is left."""
    busy = server(tmp_path, *script, len(CONTENT))
    assert mirrors.fetch(f"{busy.address}/y", tmp_path / "x").read_bytes() == CONTENT
    assert busy.asked == len(script) + 1
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_full_disk_is_no_fault_of_the_server(tmp_path, server, monkeypatch):
    """A write that the disk refuses is not tried again and keeps its own words."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pooch.core.shutil.move", full)
    with pytest.raises(OSError, match="No space left"):
        mirrors.fetch((whole := server(tmp_path, len(CONTENT))).address, tmp_path / "x")
    assert whole.asked == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif("LASNN_TEST_MIRROR" not in os.environ, reason="needs a real mirror")
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "tinyimagenet"])
def test_real_mirror(name, tmp_path):
    found = prepared(tmp_path / f"{name}.npz", name, mirror=os.environ["LASNN_TEST_MIRROR"])
    known = KNOWN_DATASETS[name]
    assert (len(found.classes), found.side, found.title) == (known.classes, known.side, known.title)
    assert found.subset == ((len(found.train_labels), len(found.test_labels)) != (known.train, known.test))


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
        tinyimagenet, "OFFICIAL", mirrors.Official("tiny-imagenet-200.zip", "tiny-imagenet-200", checksum, "http://x")
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
