"""A stand-in for Kubernetes' API server: it takes secrets and jobs, and runs each job's command in a folder of its own.

A job sees its environment's variables, those of its secrets, and an empty folder: nothing of the caller's. Neither
images nor nodes, limits or evictions are played; what a job asks for can be looked at in `Cluster.jobs`.
"""

import base64
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml


class Cluster:
    """One server on the loopback; `environment`: variables that the image would set."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = folder, environment
        folder.mkdir(exist_ok=True)
        self.secrets: dict[str, dict] = {}
        self.jobs: dict[str, dict] = {}  # specifications, as they were sent
        self.running: dict[str, subprocess.Popen] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"cluster": self}))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def configuration(self) -> Path:
        """A kubeconfig that leads here."""
        place = f"http://127.0.0.1:{self.server.server_address[1]}"
        content = {"apiVersion": "v1", "kind": "Config", "current-context": "here"}
        content |= {"users": [{"name": "me", "user": {"token": "none"}}]}
        content |= {"clusters": [{"name": "here", "cluster": {"server": place}}]}
        content |= {"contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}]}
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(content))
        return path

    def start(self, job: dict) -> None:
        """Run a job's command in a new folder."""
        name, pod = job["metadata"]["name"], job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        self.jobs[name] = job
        work = self.folder / name
        work.mkdir()
        variables = dict(self.environment) | {"HOME": str(work)}
        for variable in container.get("env", ()):
            asked = variable["valueFrom"]["secretKeyRef"]
            variables[variable["name"]] = base64.b64decode(self.secrets[asked["name"]][asked["key"]]).decode()
        with open(self.folder / f"{name}.log", "wb") as log:
            command = [*container["command"], *container["args"]]
            self.running[name] = subprocess.Popen(
                command, cwd=work, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def close(self) -> None:
        """End what is at work."""
        self.server.shutdown()
        for process in self.running.values():
            process.kill()


class Handler(BaseHTTPRequestHandler):
    """The few requests that Snakemake's executor makes."""

    cluster: Cluster

    def answer(self, content: dict | str, status: int = 200) -> None:
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def content(self) -> dict:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def do_POST(self) -> None:
        content = self.content()
        if self.path.endswith("/secrets"):
            self.cluster.secrets[content["metadata"]["name"]] = content["data"]
        else:
            self.cluster.start(content)
        self.answer(content, 201)

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path.endswith("/pods"):
            (selector,) = parse_qs(path.query)["labelSelector"]
            self.answer({"kind": "PodList", "apiVersion": "v1", "items": [self.pod(selector.split("=")[1])]})
        elif path.path.endswith("/log"):
            name = path.path.split("/")[-2]
            self.answer((self.cluster.folder / f"{name}.log").read_text())
        else:
            job = self.cluster.jobs[path.path.split("/")[-2]]
            self.answer(job | {"status": {}})

    def pod(self, name: str) -> dict:
        status = self.cluster.running[name].poll()
        state = {"running": {}} if status is None else {"terminated": {"exitCode": abs(status)}}
        container = {"name": "snakemake", "image": "", "imageID": "", "ready": True, "restartCount": 0, "state": state}
        return {"metadata": {"name": name}, "status": {"containerStatuses": [container]}}

    def do_DELETE(self) -> None:
        self.content()
        name = urlsplit(self.path).path.split("/")[-1]
        if (process := self.cluster.running.get(name)) and process.poll() is None:
            process.kill()
        self.answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def log_message(self, *words: object) -> None:
        """Nothing."""
