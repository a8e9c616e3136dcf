"""A hub of one's own on loopback: as much of the Hugging Face hub's protocol as pushing and loading needs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_writes"
OTHER = "hf_of_somebody_else"


class Hub:
    """What it holds.

    Args:
        repositories: by name, the commits from the first to the last: id and files.
        blobs: large files by digest.
        requests: method and path of each.
    """

    def __init__(self):
        self.repositories: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.private: set[str] = set()
        self.blobs: dict[str, bytes] = {}
        self.large: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.address = ""

    def commit(self, repository, files):
        """Add a commit; gives its id."""
        commits = self.repositories.setdefault(repository, [])
        content = {**(commits[-1][1] if commits else {}), **files}
        oid = hashlib.sha1(repr((len(commits), sorted(content.items()))).encode()).hexdigest()
        commits.append((oid, content))
        return oid

    def files(self, repository):
        """Of the newest commit."""
        return self.repositories[repository][-1][1]


@contextlib.contextmanager
def serving():
    """A hub that answers, until the end of the block."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        self._answer("POST")

    def do_PUT(self):
        self._answer("PUT")

    def do_GET(self):
        self._answer("GET")

    def do_HEAD(self):
        self._answer("HEAD")

    def _answer(self, method):
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append((method, path))
        for wanted, pattern, answer in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in wanted:
                answer(self, **found.groupdict())
                return
        self._error(404, "EntryNotFound", f"no such address: {method} {path}")

    def _send(self, content, status=200, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers = {"Content-Length": str(len(content)), "Content-Type": "application/json", **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _error(self, status, code, message):
        self._send({"error": message}, status, X_Error_Code=code, X_Error_Message=message)

    @property
    def _token(self):
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _may_write(self):
        if self._token == TOKEN:
            return True
        status = 403 if self._token == OTHER else 401
        self._error(status, "", "you may not write here")
        return False

    def _found(self, repository, revision="main"):
        commits = self.hub.repositories.get(repository)
        if not commits or (repository in self.hub.private and self._token != TOKEN):
            self._error(404 if self._token else 401, "RepoNotFound", "Repository not found")
            return None
        for oid, files in reversed(commits):
            if revision in ("main", oid):
                return oid, files
        self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return None

    def create(self):
        given = json.loads(self.body)
        name = f"{given['organization']}/{given['name']}"
        if self._may_write():
            new = name not in self.hub.repositories
            self.hub.repositories.setdefault(name, [])
            if given.get("private") or given.get("visibility") == "private":
                self.hub.private.add(name)
            self._send({"url": f"{self.hub.address}/{name}"}, 200 if new else 409)

    def validate(self):
        content = json.loads(self.body)["content"]
        data = yaml.safe_load(content.split("---\n")[1])
        wrong = [{"message": f"{key} is missing"} for key in ("license", "model-index") if key not in data]
        self._send({"errors": wrong, "warnings": []}, 400 if wrong else 200)

    def preupload(self, repository, revision):
        if self._may_write():
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith((".safetensors", ".onnx")) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(self.body)["files"]
            ]
            self._send({"files": files})

    def batch(self, repository):
        objects = [
            {**wanted, "actions": {"upload": {"href": f"{self.hub.address}/blobs/{wanted['oid']}"}}}
            for wanted in json.loads(self.body)["objects"]
        ]
        self._send({"objects": objects, "transfer": "basic"})

    def put(self, oid):
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.blobs[oid] = self.body
        self._send(b"")

    def commit(self, repository, revision):
        if not self._may_write():
            return
        if revision != "main":
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        files = {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
                self.hub.large.add(value["path"])
        oid = self.hub.commit(repository, files)
        self._send({"commitUrl": f"{self.hub.address}/{repository}/commit/{oid}", "commitOid": oid, "success": True})

    def info(self, repository, revision=None):
        if found := self._found(repository, revision or "main"):
            oid, files = found
            self._send({"id": repository, "sha": oid, "siblings": [{"rfilename": name} for name in files]})

    def tree(self, repository, revision):
        if found := self._found(repository, revision):
            lines = []
            for name, content in found[1].items():
                line = {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                if name in self.hub.large:
                    digest = hashlib.sha256(content).hexdigest()
                    line["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
                lines.append(line)
            self._send(lines)

    def resolve(self, repository, revision, name):
        if found := self._found(repository, revision):
            oid, files = found
            if name not in files:
                self._error(404, "EntryNotFound", "Entry not found")
                return
            digest = hashlib.sha256(files[name]).hexdigest() if name in self.hub.large else ""
            etag = digest or hashlib.sha1(files[name]).hexdigest()
            headers = {"X_Linked_Etag": f'"{digest}"', "X_Linked_Size": str(len(files[name]))} if digest else {}
            self._send(files[name], ETag=f'"{etag}"', X_Repo_Commit=oid, Accept_Ranges="bytes", **headers)


_REPO = "(?P<repository>[^/]+/[^/]+)"
_ROUTES = (
    (("POST",), "/api/repos/create", _Handler.create),
    (("POST",), "/api/validate-yaml", _Handler.validate),
    (("POST",), f"/api/models/{_REPO}/preupload/(?P<revision>.+)", _Handler.preupload),
    (("POST",), f"/{_REPO}\\.git/info/lfs/objects/batch", _Handler.batch),
    (("PUT",), "/blobs/(?P<oid>[0-9a-f]{64})", _Handler.put),
    (("POST",), f"/api/models/{_REPO}/commit/(?P<revision>.+)", _Handler.commit),
    (("GET",), f"/api/models/{_REPO}(/revision/(?P<revision>.+))?", _Handler.info),
    (("GET",), f"/api/models/{_REPO}/tree/(?P<revision>[^/]+)", _Handler.tree),
    (("GET", "HEAD"), f"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", _Handler.resolve),
)
