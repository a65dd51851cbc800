"""Results in a bucket: paths, what is judged, what is refused; with an S3 server on the loopback where there is one.

The second half needs the group `s3-tests`: `uv run --locked --group s3-tests pytest tests/pipeline/test_buckets.py`.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from doubles.kubernetes_api import Cluster
from tiny import ANN, HYBRID, LEAST, TINY, copy_project, done, message_of, rules, snakemake, write_yaml

from lasnn.__main__ import enter
from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.pipeline import buckets
from lasnn.pipeline.stamp import STAMP, Inputs, renew
from lasnn.pipeline.workflow import image
from lasnn.plan.config import Config, whole
from lasnn.report import EXHIBITS
from lasnn.results.fits import RUN_FILES
from lasnn.storage import bucket, commit, files
from lasnn.storage.bucket import Bucket, Stored
from lasnn.training.resume import Remote

SERVED = all(importlib.util.find_spec(name) for name in ("snakemake_storage_plugin_s3", "moto", "flask"))
served = pytest.mark.skipif(not SERVED, reason="needs the group s3-tests")
COPIES = Path(".snakemake", "storage", "s3", "lasnn")
CONTENT = whole(Path(__file__).parents[2] / "config.yaml") | {"preset": "tiny", "presets": {"tiny": TINY}}


def config(**more):
    return Config(CONTENT | more)


def storage(provider="s3", prefix="s3://lasnn/mine/", **settings):
    """As much of Snakemake's workflow as says where results go."""
    names = ("endpoint_url", "region", "access_key", "secret_key", "token", "signature_version", "retries")
    own = SimpleNamespace(
        local_prefix=Path(".snakemake/storage/s3"), settings=SimpleNamespace(**dict.fromkeys(names), **settings)
    )
    return SimpleNamespace(
        storage_settings=SimpleNamespace(default_storage_provider=provider, default_storage_prefix=prefix),
        storage_registry=SimpleNamespace(default_storage_provider=own),
    )


# ---- without a server


def test_where_results_lie_in_the_bucket_and_here(tmp_path, monkeypatch):
    """The object of a path is prefix and path; its copy lies in Snakemake's own folder below the bucket's name."""
    planned = config()
    monkeypatch.chdir(tmp_path)
    assert buckets.bucket_of(storage(provider=None), planned) is None
    found = buckets.bucket_of(storage(), planned)
    assert (found.url, found.place) == ("s3://lasnn/mine", ".snakemake/storage/s3/lasnn/mine")
    assert found.name == "lasnn"
    assert found.key("results/tiny/x") == "mine/results/tiny/x"
    assert Bucket("s3://lasnn", "x").key("results/tiny/x") == "results/tiny/x"
    assert buckets.below(found, ".snakemake/storage/s3/lasnn/mine/data/digits.npz") == "data/digits.npz"
    assert buckets.below(None, "data/digits.npz") == "data/digits.npz"
    with buckets.inside(found):
        assert Path.cwd() == tmp_path / found.place
    with buckets.inside(None):
        assert Path.cwd() == tmp_path


@pytest.mark.parametrize(
    ("asked", "more", "expected"),
    [
        ({"provider": "gcs"}, {}, r"--default-storage-provider gcs: results lie in a folder or in an S3 bucket"),
        ({"prefix": None}, {}, r"--default-storage-prefix is '': expected s3://BUCKET"),
        ({"prefix": "s3://"}, {}, r"--default-storage-prefix is 's3:': expected s3://BUCKET"),
        ({"prefix": "lasnn"}, {}, r"--default-storage-prefix is 'lasnn': expected s3://BUCKET"),
        ({}, {"folders": {"results": "/far/results", "data": "data"}}, r"'/far/results' is no folder of a bucket"),
        ({}, {"folders": {"results": "results", "data": "../data"}}, r"'../data' is no folder of a bucket"),
        ({}, {"adopted": {f"tiny/{ANN}": {"file": "x.pt", "sha256": "0" * 64}}}, r"^adopted.yaml: .* lie in a folder"),
    ],
)
def test_what_is_no_bucket_gets_one_line(asked, more, expected, tmp_path, monkeypatch):
    planned = config(**more)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=expected):
        buckets.bucket_of(storage(**asked), planned)
    assert not list(tmp_path.iterdir())


def test_images_of_the_user_are_found_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {"mirror": "images", "datasets": {"birds": {"folder": "birds", "side": 8}}}
    after = {"mirror": f"{tmp_path}/images", "datasets": {"birds": {"folder": f"{tmp_path}/birds", "side": 8}}}
    assert buckets.from_anywhere(before) == after
    each = {"mirror": {"cifar10": "https://example.org/c", "cifar100": "c"}, "datasets": {}}
    assert buckets.from_anywhere(each)["mirror"] == {"cifar10": "https://example.org/c", "cifar100": f"{tmp_path}/c"}
    assert buckets.from_anywhere({"mirror": None, "datasets": {}}) == {"mirror": None, "datasets": {}}


def test_a_job_works_in_the_place_with_the_usual_paths(tmp_path, monkeypatch):
    """Paths that Snakemake gave lie below the place; a run's folder has none of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / COPIES).mkdir(parents=True)
    options = argparse.Namespace(folder=f"results/tiny/{ANN}", path=f"{COPIES}/results/a.csv", log=COPIES / "a.log")
    enter(Bucket("s3://lasnn", str(COPIES)), options)
    assert Path.cwd() == tmp_path / COPIES
    assert vars(options) == {"folder": f"results/tiny/{ANN}", "path": "results/a.csv", "log": Path("a.log")}


def test_exhibits_in_a_bucket_are_given_training_logs():
    """Elsewhere these lie beside the metrics, and no rule names them."""
    preset, there = config().preset(), Bucket("s3://lasnn", "x")
    name = next(name for name, exhibit in EXHIBITS.items() if exhibit.logged(preset))
    alone, given = (Inputs(config(), list, print, one, judging=False).exhibit(preset, name) for one in (None, there))
    assert {Path(path).name for path in set(given) - set(alone)} == {"log.jsonl"}
    assert not [path for path in alone if path.endswith("log.jsonl")]


def test_the_stamp_is_later_than_a_server_whose_clock_is_fast(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    later = time.time() + 3600
    renew([], later)
    assert STAMP.stat().st_mtime > later
    renew([])
    assert STAMP.stat().st_mtime < later


def test_a_copy_has_the_size_and_the_date_of_its_object(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("{}")
    os.utime(path, (1000, 1000))
    assert Stored(2, 1000.0).is_copied(path)
    assert not Stored(3, 1000.0).is_copied(path)
    assert not Stored(2, 1001.5).is_copied(path)
    assert not Stored(2, 1000.0).is_copied(tmp_path / "other")


def refusing(said):
    def refuses(*arguments):
        raise InputError(said)

    return refuses


def test_a_training_goes_on_where_the_bucket_takes_no_saves(tmp_path, monkeypatch, capsys):
    """One line each time, no exception; and nothing is sent before it is time to."""
    monkeypatch.setattr(Bucket, "put", refusing("the bucket is full"))
    monkeypatch.setattr(Bucket, "stored", refusing("the bucket is gone"))
    now, later = (Remote(Bucket("s3://lasnn", "x"), tmp_path / "resume.pt", wait, Console()) for wait in (0, 10))
    now.fetch()
    now.renew()
    later.renew()
    said = "".join(capsys.readouterr()).splitlines()
    assert [line.split("warning: ")[1] for line in said] == [
        "the bucket is gone",
        "what this run goes on from is saved on this machine alone: the bucket is full",
    ]


def test_a_plugin_or_an_address_that_is_missing_is_named(monkeypatch):
    found = {"snakemake_storage_plugin_s3": None}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found.get(name, "found"))
    with pytest.raises(SystemExit, match=r"snakemake-storage-plugin-s3 is not installed: write `uv run .* --group s3 "):
        bucket.check_tools()
    found.clear()
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", "s3.example.org")
    with pytest.raises(SystemExit, match=r"is 's3.example.org': expected an address such as https"):
        bucket.check_tools()
    found["snakemake_executor_plugin_kubernetes"] = None
    with pytest.raises(SystemExit, match="--group kubernetes "):
        bucket.check_tools("kubernetes")


def test_code_without_its_repository_has_the_commit_that_was_passed_on(tmp_path, monkeypatch):
    monkeypatch.setenv(commit.PASSED, json.dumps({"commit": "abc", "clean": True}))
    monkeypatch.setattr(commit, "FOLDER", tmp_path)
    assert commit.code() == {"commit": "abc", "clean": True}
    (tmp_path / ".git").mkdir()
    assert commit.code()["commit"] is None  # asked here


def test_an_image_that_is_not_there_is_named_before_the_first_job(tmp_path, monkeypatch):
    """Only where jobs are to run in it; an address is asked by apptainer itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASNN_IMAGE", raising=False)
    assert image(needed=False) == "lasnn.sif"
    assert "no image lasnn.sif: build it from the project's Dockerfile" in message_of(image, True)
    (tmp_path / "lasnn.sif").touch()
    assert image(needed=True) == "lasnn.sif"
    monkeypatch.setenv("LASNN_IMAGE", "docker://example.org/lasnn")
    assert image(needed=True) == "docker://example.org/lasnn"


def test_what_finished_runs_went_on_from_is_dropped(tmp_path, monkeypatch):
    """Here and in the bucket, and not of a run that lacks a file."""
    dropped = []
    monkeypatch.setattr(Bucket, "drop", lambda there, path: dropped.append(path))
    names = [f"results/tiny/one/{name}" for name in (*RUN_FILES, "resume.pt")]
    names += [f"results/tiny/two/{name}" for name in (*RUN_FILES[1:], "resume.pt")]
    for run in ("one", "two"):
        files.write_text(tmp_path / "results" / "tiny" / run / "resume.pt", "")
    buckets.drop_saves(Bucket("s3://lasnn", str(tmp_path)), dict.fromkeys(names, Stored(1, 0.0)))
    assert dropped == ["results/tiny/one/resume.pt"]
    assert [path.parent.name for path in tmp_path.rglob("resume.pt")] == ["two"]


# ---- with an S3 server on the loopback


FULL = set()  # paths with one of these parts are not taken, as by MinIO on a full disk
NO_ROOM = """<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive
threshold. Please delete a few objects to proceed.</Message></Error>"""


@pytest.fixture(scope="module")
def server():
    """An S3 server of this process: its address; what it holds lasts as long as the tests of this file."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)

    def answer(environ, start_response):
        if environ["REQUEST_METHOD"] != "PUT" or not any(part in environ["PATH_INFO"] for part in FULL):
            return moto(environ, start_response)
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("507 Insufficient Storage", [("Content-Type", "application/xml")])
        return [NO_ROOM.encode()]

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()


@pytest.fixture
def there(server, tmp_path, monkeypatch):
    """A new bucket of that server, as an empty working folder is its place."""
    monkeypatch.chdir(tmp_path)
    return new_bucket(server, tmp_path)


def new_bucket(server, folder):
    """An empty bucket, named after a test's folder."""
    name = folder.name.replace("_", "-").lower()[-40:]
    found = Bucket(f"s3://of-{name}", ".", server, "us-east-1", "key", "secret")
    found.client.create_bucket(Bucket=found.name)
    return found


@served
def test_objects_are_listed_brought_and_dropped(there):
    """And the mark is later than all of them, by the server's clock, which has whole seconds."""
    path = Path("results/tiny/a/metrics.json")
    files.write_text(path, "{}")
    there.put(str(path))
    latest = buckets.newest(there.listing(["results"]))
    there.mark(latest)
    assert there.client.head_object(Bucket=there.name, Key=bucket.MARK)["LastModified"].timestamp() > latest
    (found,) = there.listing(["results/tiny"]).items()
    assert found[0] == str(path)
    assert found[1].size == 2
    assert there.listing(["data"]) == {}
    path.unlink()
    there.fetch(*found)
    assert path.read_text() == "{}"
    assert found[1].is_copied(path)
    there.drop(str(path))
    assert there.stored(str(path)) is None


@served
def test_the_place_holds_what_is_in_the_bucket_and_nothing_else(there):
    """A file of another state goes and is brought anew, a checkpoint stays in the bucket until a job needs it."""
    asked = [f"results/tiny/{ANN}/{name}" for name in RUN_FILES]
    for path in asked:
        files.write_text(path, f"whole {path}")
        there.put(path)
    stored = there.listing(["results/tiny"])
    for path in asked[:3]:
        Path(path).write_text("another state")
    os.utime(asked[3], (stored[asked[3]].modified,) * 2)
    before = os.stat(asked[3]).st_ino
    buckets.bring(there, config(), asked, stored)
    assert [Path(path).read_text() for path in asked[1:]] == [f"whole {path}" for path in asked[1:]]
    assert not Path(asked[0]).exists()
    assert os.stat(asked[3]).st_ino == before  # a copy is not brought twice
    kept = {path.name: path.read_text() for path in Path("results/.kept/tiny", ANN).rglob("*.*") if path.is_file()}
    assert kept["metrics.json"] == "another state"
    buckets.bring(there, config(), asked, {})
    assert not [path for path in asked if Path(path).exists()]


@served
def test_a_checkpoint_that_snakemake_brought_is_known_by_its_digest(there):
    """It has the date of its arrival; the provenance beside it, a copy, states what it holds."""
    asked = [f"results/tiny/{ANN}/{name}" for name in ("model.pt", "provenance.json")]
    files.write_text(asked[0], "weights")
    files.write_json(asked[1], {"files": {"model.pt": files.sha256(asked[0])}}, seal=True)
    for path in asked:
        there.put(path)
    stored = there.listing(["results/tiny"])
    os.utime(asked[1], (stored[asked[1]].modified,) * 2)
    os.utime(asked[0], (1, 1))
    buckets.bring(there, config(), asked, stored)
    assert stored[asked[0]].is_copied(Path(asked[0]))
    Path(asked[0]).write_text("others!")  # as many bytes, written at another moment than the object
    os.utime(asked[0], (2, 2))
    buckets.bring(there, config(), asked, stored)
    assert not Path(asked[0]).exists()


@served
def test_a_killed_training_goes_on_elsewhere_with_the_same_bytes(there, tmp_path):
    """kill -9 in one folder, the rest in another that shares the bucket alone, beside a third that is not disturbed."""
    epochs = {"ann": LEAST["ann"] | {"epochs": 60}}
    content = CONTENT | {"presets": {"tiny": TINY | epochs}, "save_in_bucket": True, "save_minutes": 0}
    folder = f"results/tiny/{ANN}"

    def lasnn(place, *words, **variables):
        (tmp_path / place).mkdir(exist_ok=True)
        write_yaml(tmp_path / place / "config.yaml", content)
        environment = os.environ | {"PYTHONPATH": str(Path(buckets.__file__).parents[2])} | variables
        command = [sys.executable, "-m", "lasnn", *words, "--log", "said.txt"]
        return subprocess.Popen(command, cwd=tmp_path / place, env=environment)

    assert lasnn("undisturbed", "data", "digits").wait() == 0
    for place in ("first", "second"):
        shutil.copytree(tmp_path / "undisturbed" / "data", tmp_path / place / "data")
    passed = {bucket.PASSED: json.dumps(asdict(there))}
    process, log = lasnn("first", "ann", folder, **passed), tmp_path / "first" / folder / "log.jsonl"
    while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) > 5):
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9
    assert lasnn("second", "ann", folder, **passed).wait() == 0
    assert lasnn("undisturbed", "ann", folder).wait() == 0
    assert "goes on after " in (tmp_path / "second" / "said.txt").read_text()
    second, undisturbed = tmp_path / "second" / folder, tmp_path / "undisturbed" / folder
    for name in RUN_FILES[:3]:
        assert (second / name).read_bytes() == (undisturbed / name).read_bytes()


def downloaded(there, path):
    return there.client.get_object(Bucket=there.name, Key=path)["Body"].read()


PROFILE = ("--workflow-profile", "workflow/profiles/s3", "--default-storage-prefix")


@pytest.fixture
def clones(server, tmp_path, monkeypatch):
    """Two clones that share nothing but the server, and a new bucket's address."""
    for name, value in {"ENDPOINT_URL": server, "ACCESS_KEY": "key", "SECRET_KEY": "secret"}.items():
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", value)
    for name in ("one", "two"):
        shutil.rmtree(copy_project(tmp_path / name) / "config")
        write_yaml(tmp_path / name / "config.yaml", CONTENT)
    return tmp_path / "one", tmp_path / "two", new_bucket(server, tmp_path)


@served
def test_two_clones_make_a_table_with_the_bytes_of_one_folder(clones, finished):
    """One makes the ANN, the other the rest; a run of other settings is then made again, and never shown."""
    one, two, there = clones
    words = (*PROFILE, there.url)
    done(one, "--cores", 1, *words, f"results/tiny/{ANN}/model.pt")
    said = done(two, "--cores", 1, *words, "results/tiny/exhibits/table2.csv")
    assert f"Training the ANN {ANN.split('/')[2]}" not in said.stderr + said.stdout
    made = [path for path in there.listing(["results"]) if path.endswith((*RUN_FILES[:3], ".csv", ".md", ".tex"))]
    assert len(made) == 3 * 6 + 3
    for path in made:
        assert downloaded(there, path) == (finished / path).read_bytes(), path
    assert rules(one, *words, "results/tiny/exhibits/table2.csv") == set()

    longer = "presets={tiny: {student: {epochs: 2}}}"
    said = done(one, "--cores", 1, *words, f"results/tiny/{HYBRID}/model.pt", "--config", longer).stderr
    assert f"to be made again: {HYBRID}: made with other settings (training.epochs: 1 then, 2 now)" in said
    assert rules(two, *words, "results/tiny/exhibits/table2.csv") == {"snn", "table"}
    assert rules(one, *words, f"results/tiny/{HYBRID}/model.pt", "--config", longer) == set()


@served
@pytest.mark.parametrize(
    ("url", "address", "expected"),
    [
        ("s3://nowhere", None, r"^error: the bucket s3://nowhere can't be read: .*NoSuchBucket.*: make the bucket, or"),
        ("s3://x", "http://127.0.0.1:9", r"can't be read: Could not connect .*: check --storage-s3-endpoint-url"),
        ("s3://x", "s3.example.org", r"expected an address such as"),
    ],
)
def test_a_bucket_that_cannot_be_used_gets_one_line_before_the_first_job(clones, url, address, expected, monkeypatch):
    one, _, _ = clones
    if address:
        monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", address)
    words = [*PROFILE, url, "--storage-s3-retries", 1, "--", f"results/tiny/{ANN}/model.pt"]
    refused = snakemake(one, "--cores", 1, *words)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr + refused.stdout
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error:")]
    assert re.search(expected, line)
    assert not list(one.rglob("model.pt"))


@served
def test_what_a_full_bucket_did_not_take_reaches_it_when_there_is_room(clones, finished):
    """Full before the first job: one line. Full later: nothing is trained twice, the run waits where it was made."""
    one, _, there = clones
    words = ["--cores", 1, *PROFILE, there.url, "--storage-s3-retries", 1, "--", f"results/tiny/{ANN}/model.pt"]
    for parts, expected in (
        ({bucket.MARK}, rf"\nerror: the bucket {there.url} can't be written: .*XMinioStorageFull.*: make room in it\n"),
        ({f"/{ANN}/"}, r"Failed to store output in storage .*\n.*XMinioStorageFull"),
    ):
        FULL.update(parts)
        try:
            refused = snakemake(one, *words)
        finally:
            FULL.clear()
        assert refused.returncode == 1
        assert re.search(expected, refused.stderr)
        assert not there.listing(["results"])
    said = done(one, *words)
    assert "done: taken from results/.kept/" in said.stderr + said.stdout
    for name in RUN_FILES[:3]:
        path = f"results/tiny/{ANN}/{name}"
        assert downloaded(there, path) == (finished / path).read_bytes()


HINTS = {
    "An error occurred (NoSuchBucket) when calling ListObjectsV2": "make the bucket",
    "An error occurred (AccessDenied) when calling PutObject": "have the right to list, read, write and delete",
    "Unable to locate credentials": "set SNAKEMAKE_STORAGE_S3_ACCESS_KEY",
    "An error occurred (QuotaExceeded) when calling PutObject": "make room in it",
    "An error occurred (InsufficientStorage)": "make room in it",
    "An error occurred (XMinioStorageFull) when calling PutObject": "make room in it",
}


@served
@pytest.mark.parametrize("said", HINTS)
def test_what_a_server_refuses_is_one_line_with_what_to_do(said):
    from boto3.exceptions import S3UploadFailedError

    def refuses():
        with Bucket("s3://lasnn", "x")._answering("can't be written"):
            raise S3UploadFailedError(f"{said}\nand more")

    line = message_of(refuses)
    assert line.startswith(f"the bucket s3://lasnn can't be written: {said} and more: ")
    assert HINTS[said] in line


@served
@pytest.mark.skipif(not importlib.util.find_spec("snakemake_executor_plugin_kubernetes"), reason="needs its group")
def test_a_job_on_kubernetes_needs_the_bucket_alone(clones, finished, git, tmp_path, monkeypatch):
    """The stand-in runs a pod's command in an empty folder; the job's demands are those that Kubernetes would see."""
    one, _, there = clones
    git(one, "init", "-q")
    git(one, "add", ".")
    git(one, "commit", "-qm", "all")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").write_text("#!/bin/sh\nexit 0\n")  # the image has the plugin that Snakemake asks for
    (tmp_path / "bin" / "pip").chmod(0o755)
    places = [str(tmp_path / "bin"), str(Path(sys.executable).parent), "/usr/bin", "/bin"]
    cluster = Cluster(tmp_path / "cluster", {"PATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"})
    monkeypatch.setenv("KUBECONFIG", str(cluster.configuration()))
    words = ["--workflow-profile", "workflow/profiles/kubernetes", "--container-image", "lasnn:here"]
    words += ["--default-storage-prefix", there.url, "--seconds-between-status-checks", 1]
    words += ["--set-resources", "ann:gpu=0", "ann:mem_mb=3000", "--"]
    try:
        done(one, *words, f"results/tiny/{ANN}/model.pt")
    finally:
        cluster.close()
    (job,) = cluster.jobs.values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "lasnn:here"
    asked = container["resources"]
    assert asked["limits"]["memory"] == asked["requests"]["memory"] == "3000M"
    assert asked["limits"]["nvidia.com/gpu"] == asked["requests"]["nvidia.com/gpu"] == "0"  # no limit is refused
    secrets = {one["name"] for one in container["env"]}
    assert secrets >= {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "SNAKEMAKE_STORAGE_S3_SECRET_KEY", commit.PASSED}
    assert "secret" not in json.dumps(container["args"])
    *same, made = (f"results/tiny/{ANN}/{name}" for name in (*RUN_FILES[:3], "provenance.json"))
    for path in same:
        assert downloaded(there, path) == (finished / path).read_bytes(), path
    assert json.loads(downloaded(there, made))["code"]["commit"] == git(one, "rev-parse", "HEAD")
