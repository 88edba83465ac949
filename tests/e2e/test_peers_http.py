"""Remora between real peers: curl, wrk, h2load and websockets in front, nginx
and Python servers behind."""

import hashlib
import http.server
import os
import subprocess
import threading

import pytest
import websockets.sync.client
import websockets.sync.server
from support_control import data_plane, free_port
from support_load import h2load, wrk
from support_proxy import Nginx, Proxy, cluster, listener, manager, pki, route_to, server_tls

pytestmark = pytest.mark.skipif(not data_plane("remora"), reason="remora is not built")


class Digest(http.server.ThreadingHTTPServer):
    """Answers an upload, sized or chunked, with its length and SHA-256."""

    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def body(self):
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def do_POST(self):
            body = self.body()
            answer = f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Stage:
    """nginx, a Python server and a WebSocket server behind one proxy."""

    def __init__(self, folder):
        self.folder = folder
        site = folder / "site"
        site.mkdir()
        self.file = os.urandom(300_000)
        (site / "file").write_bytes(self.file)
        self.certs = pki(folder / "pki", "server", "client")
        self.nginx = Nginx(
            folder / "nginx",
            files=f'; location = /small {{ return 200 "small\\n"; }} location / {{ root {site}; }}',
            h2=f' http2; location / {{ root {site}; }}')
        self.digest = Digest()
        self.sockets = websockets.sync.server.serve(self.echo, "127.0.0.1", 0)
        threading.Thread(target=self.sockets.serve_forever, daemon=True).start()
        self.plain, self.secure = free_port(), free_port()
        front = manager([route_to("digest", "/digest"), route_to("sockets", "/sockets"),
                         route_to("h2", "/h2/", prefix_rewrite="/"), route_to("files")],
                        upgrade_configs=[{"upgrade_type": "websocket"}])
        limits = {"circuit_breakers": {"thresholds": [{"max_requests": 10000}]}}
        self.proxy = Proxy(
            folder,
            listeners=[listener("plain", self.plain, front),
                       listener("secure", self.secure, front,
                                server_tls(self.certs, mutual=True))],
            clusters=[cluster("files", self.nginx.ports["files"], **limits),
                      cluster("h2", self.nginx.ports["h2"], http2=True, **limits),
                      cluster("digest", self.digest.server_address[1]),
                      cluster("sockets", self.sockets.socket.getsockname()[1])])

    @staticmethod
    def echo(connection):
        for message in connection:
            connection.send(message)

    def curl(self, path, *flags, secure=False, version="--http1.1"):
        command = ["curl", "-sS", "--noproxy", "*", "--max-time", "20", version, *flags]
        if secure:
            command += ["--cacert", f"{self.certs}/ca.crt", "--cert", f"{self.certs}/client.crt",
                        "--key", f"{self.certs}/client.key"]
        port = self.secure if secure else self.plain
        scheme = "https" if secure else "http"
        done = subprocess.run([*command, f"{scheme}://localhost:{port}{path}"],
                              capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self):
        self.proxy.stop()
        self.nginx.stop()
        self.digest.shutdown()
        self.digest.server_close()
        self.sockets.shutdown()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("peers"))
    yield made
    made.stop()


CLIENTS = [
    pytest.param({"version": "--http1.1"}, id="h1"),
    pytest.param({"version": "--http2-prior-knowledge"}, id="h2c"),
    pytest.param({"version": "--http1.1", "secure": True}, id="h1-mtls"),
    pytest.param({"version": "--http2", "secure": True}, id="h2-mtls"),
]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("path", ["/file", "/h2/file"])
def test_curl_gets_the_file_whole(stage, client, path):
    assert stage.curl(path, **client) == stage.file


@pytest.mark.parametrize("client", CLIENTS)
def test_curl_uploads_whole(stage, client, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(os.urandom(2_000_000))
    expected = f"2000000 {hashlib.sha256(upload.read_bytes()).hexdigest()}".encode()
    assert stage.curl("/digest", "--data-binary", f"@{upload}", **client) == expected
    # Without a length: chunks over HTTP/1.
    assert stage.curl("/digest", "-X", "POST", "-T", "-", **client) == (
        f"0 {hashlib.sha256(b'').hexdigest()}".encode())
    assert stage.curl("/digest", "-H", "Expect: 100-continue", "--data-binary", f"@{upload}",
                      **client) == expected


@pytest.mark.parametrize("client", CLIENTS)
def test_a_head_has_the_length_and_no_body(stage, client):
    head = stage.curl("/file", "-I", **client).decode().lower()
    assert "content-length: 300000" in head
    assert head.startswith(("http/1.1 200", "http/2 200"))


def test_curl_without_a_certificate_is_refused(stage):
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--cacert", f"{stage.certs}/ca.crt",
                           f"https://localhost:{stage.secure}/small"], capture_output=True)
    assert done.returncode != 0
    assert stage.proxy.stat("listener.127.0.0.1_%d.ssl.fail_verify_no_cert" % stage.secure) >= 1


def test_a_websocket_goes_both_ways(stage):
    url = f"ws://127.0.0.1:{stage.plain}/sockets"
    with websockets.sync.client.connect(url, proxy=None) as connection:
        for message in ("hello", b"\x00\xff" * 40_000, ""):
            connection.send(message)
            assert connection.recv(timeout=10) == message
    assert stage.proxy.stat("http.front.downstream_cx_upgrades_total") == 1


@pytest.mark.parametrize("path", ["/small", "/file"])
def test_wrk_is_answered_whole(stage, path):
    before = stage.proxy.stat("http.front.downstream_rq_2xx")
    counted = wrk(f"http://127.0.0.1:{stage.plain}{path}")
    assert counted.bad == 0, counted.text
    assert counted.good > 100
    # What wrk leaves when its time is up was answered or given up.
    assert stage.proxy.stat("http.front.downstream_rq_2xx") - before >= counted.good
    assert stage.proxy.stat("http.front.downstream_rq_5xx") == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("path", ["/small", "/h2/file"])
def test_h2load_is_answered_whole(stage, scheme, path, tmp_path):
    before = stage.proxy.stat("http.front.downstream_rq_2xx")
    port = stage.plain
    if scheme == "https":
        # h2load shows no certificate of its own.
        port = free_port()
        proxy = Proxy(tmp_path, listeners=[listener("secure", port, manager(
            [route_to("h2", "/h2/", prefix_rewrite="/"), route_to("files")]),
            server_tls(stage.certs))],
            clusters=[cluster("files", stage.nginx.ports["files"]),
                      cluster("h2", stage.nginx.ports["h2"], http2=True)])
    else:
        proxy = stage.proxy
    counted = h2load(f"{scheme}://127.0.0.1:{port}{path}", 3000)
    assert counted.bad == 0, counted.text
    seen = proxy.stat("http.front.downstream_rq_2xx") - (before if proxy is stage.proxy else 0)
    if proxy is not stage.proxy:
        proxy.stop()
    assert seen == 3000
