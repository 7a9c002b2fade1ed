"""A small server on loopback that speaks the Hugging Face Hub's endpoints, for the real client in tests.

Enough for ``snapshot_download``, ``list_repo_files``, ``create_repo`` and ``create_commit`` (all files as regular blobs).
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Repo:
    """Commits of one repository; the newest is ``main``."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    main: str = ""
    gated: bool = False
    sdk: str | None = None

    def commit(self, files: dict[str, bytes]) -> str:
        digest = hashlib.sha1(repr([self.main, sorted(files)]).encode() + b"".join(files.values())).hexdigest()
        self.commits[digest] = files
        self.main = digest
        return digest

    def files(self, revision: str) -> dict[str, bytes] | None:
        return self.commits.get(self.main if revision == "main" else revision)


class HubServer:
    """Context manager; ``url`` is for HF_ENDPOINT, ``repos`` maps ``"org/name"`` or ``"spaces/org/name"`` to Repo."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[str] = []
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> HubServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, name: str, files: dict[str, bytes], **options) -> Repo:
        repo = self.repos.setdefault(name, Repo(**options))
        repo.commit(files)
        return repo

    def downloads(self) -> list[str]:
        """Files whose content was asked for since the last call."""
        seen = [line.split("/resolve/")[1].split("/", 1)[1] for line in self.requests if line.startswith("GET") and "/resolve/" in line]
        self.requests.clear()
        return sorted(seen)


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        pass

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def _get(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server_hub.requests.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            return self._api_get(parts[1:])
        kind = parts.pop(0) if parts[0] == "spaces" else ""
        repo = self._repo(kind, parts)
        if repo is None:
            return None
        files = repo.files(parts[3])
        name = "/".join(parts[4:])
        if files is None:
            return self._fail(404, "RevisionNotFound")
        if name not in files:
            return self._fail(404, "EntryNotFound")
        etag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
        commit = repo.main if parts[3] == "main" else parts[3]
        return self._send(files[name], {"ETag": etag, "X-Repo-Commit": commit, "Accept-Ranges": "bytes"})

    def _api_get(self, parts: list[str]) -> None:
        repo = self._repo("spaces" if parts[0] == "spaces" else "", parts[1:])
        if repo is None:
            return None
        action, revision = (parts[3], parts[4]) if len(parts) > 4 else ("revision", "main")
        files = repo.files(revision)
        if files is None:
            return self._fail(404, "RevisionNotFound")
        if action == "tree":
            tree = [{"type": "file", "path": p, "size": len(c), "oid": hashlib.sha1(c).hexdigest()} for p, c in files.items()]
            return self._json(tree)
        name = "/".join(parts[1:3])
        sha = repo.main if revision == "main" else revision
        return self._json({"id": name, "sha": sha, "private": False, "tags": [], "downloads": 0, "likes": 0,
                           "siblings": [{"rfilename": p} for p in files]})  # fmt: skip

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server_hub.requests.append(f"POST {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = path.strip("/").split("/")[1:]
        if parts == ["validate-yaml"]:
            return self._json({"errors": [], "warnings": []})
        if not (self.headers.get("Authorization") or "").startswith("Bearer hf_"):
            return self._fail(401, None)
        if parts == ["repos", "create"]:
            wanted = json.loads(body)
            prefix = "spaces/" if wanted.get("type") == "space" else ""
            name = f"{prefix}{wanted['organization']}/{wanted['name']}"
            if name not in self.server_hub.repos:  # as on the Hub, a new repository has one commit
                self.server_hub.publish(name, {".gitattributes": b""}, sdk=wanted.get("sdk"))
            return self._json({"url": f"{self.server_hub.url}/{name}"})
        repo = self._repo("spaces" if parts[0] == "spaces" else "", parts[1:])
        if repo is None:
            return None
        if parts[3] == "preupload":
            files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]
            return self._json({"files": files})
        files = dict(repo.commits.get(repo.main, {}))
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                files.pop(value["path"], None)
        oid = repo.commit(files)
        name = "/".join(parts[1:3])
        prefix = "spaces/" if parts[0] == "spaces" else ""
        return self._json({"success": True, "commitOid": oid, "commitUrl": f"{self.server_hub.url}/{prefix}{name}/commit/{oid}"})

    def _repo(self, kind: str, parts: list[str]) -> Repo | None:
        repo = self.server_hub.repos.get("/".join([*([kind] if kind else []), *parts[:2]]))
        if repo is None:
            self._fail(401, "RepoNotFound")
        elif repo.gated:
            self._fail(403, "GatedRepo")
            return None
        return repo

    def _json(self, value) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _fail(self, status: int, code: str | None) -> None:
        self._send(b"{}", {"X-Error-Code": code, "X-Error-Message": code} if code else {}, status)

    def _send(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
