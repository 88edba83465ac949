"""`remora healthcheck` and `remora exec`."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest
import yaml
from support_control import Process, data_plane, free_port, wait_for
from support_proxy import address, cluster, listener, manager, route_to

pytestmark = pytest.mark.skipif(not data_plane("remora"), reason="remora is not built")

# Answers `hello`, or only once the file `go` is there; tells its end, and HUP.
SERVICE = """
import http.server, os, signal, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("asked", self.path, flush=True)
        while self.path == "/slow" and not os.path.exists(sys.argv[2]):
            time.sleep(0.01)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *_):
        pass

def leave(*_):
    print("told to leave", flush=True)
    os._exit(7)

signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGHUP, lambda *_: print("hung up", flush=True))
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("serving", flush=True)
server.serve_forever()
"""


class Container:
    """A sidecar and its service, as one process."""

    def __init__(self, folder, *flags, service=None):
        self.folder = pathlib.Path(folder)
        self.port, self.admin, self.inner = free_port(), free_port(), free_port()
        program = self.folder / "service.py"
        program.write_text(SERVICE)
        bootstrap = self.folder / "bootstrap.yaml"
        bootstrap.write_text(yaml.safe_dump({
            "admin": {"address": address(self.admin)},
            "static_resources": {
                "listeners": [listener("front", self.port, manager([route_to("service")]))],
                "clusters": [cluster("service", self.inner)]}}))
        service = service or [sys.executable, str(program), str(self.inner),
                              str(self.folder / "go")]
        command = [data_plane("remora"), "exec", *flags, "-c", str(bootstrap),
                   "--concurrency", "1", "--", *service]
        self.program = Process(command, self.folder / "container.log")

    def ask(self, path="/"):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as reply:
            return reply.read().decode()

    def ready(self, path="/ready"):
        try:
            url = f"http://127.0.0.1:{self.admin}{path}"
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def signal(self, number):
        self.program.process.send_signal(number)

    def code(self):
        return self.program.process.wait(20)

    def sidecar(self):
        """The process id of the data plane."""
        parent = self.program.process.pid
        for child in pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            if b"-c" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[:2]:
                return int(child)
        return None


@pytest.fixture
def container(tmp_path):
    made = []

    def start(*flags, **more):
        made.append(Container(tmp_path, *flags, **more))
        return made[-1]

    yield start
    for each in made:
        each.program.stop(signal.SIGKILL)


def test_the_service_starts_behind_a_ready_sidecar_and_is_reached_through_it(container):
    one = container()
    one.program.says("serving")
    assert one.ready()
    assert one.ask() == "hello"
    one.signal(signal.SIGHUP)
    one.program.says("hung up")


def test_sigterm_drains_before_the_service_is_stopped(container, tmp_path):
    one = container("--drain-time-s", "20")
    one.program.says("serving")
    got = []
    asking = threading.Thread(target=lambda: got.append(one.ask("/slow")))
    asking.start()
    one.program.says("asked /slow")
    one.signal(signal.SIGTERM)
    wait_for(lambda: not one.ready(), "the sidecar to leave")
    assert "told to leave" not in one.program.output()
    (tmp_path / "go").touch()
    asking.join(20)
    assert got == ["hello"]
    assert one.code() == 7
    assert "told to leave" in one.program.output()


def test_a_second_sigterm_stops_both_at_once(container):
    one = container("--drain-time-s", "600")
    one.program.says("serving")
    asking = threading.Thread(target=lambda: pytest.raises(OSError, one.ask, "/slow"))
    asking.start()
    one.program.says("asked /slow")
    one.signal(signal.SIGTERM)
    wait_for(lambda: not one.ready(), "the sidecar to leave")
    one.signal(signal.SIGTERM)
    assert one.code() == 7
    asking.join(20)


@pytest.mark.parametrize("script, code", [("exit 3", 3), ("kill -KILL $$", 137), ("exit 0", 0)])
def test_the_code_is_the_services(container, script, code):
    one = container(service=["sh", "-c", script])
    assert one.code() == code
    assert not one.ready("/server_info")


def test_a_service_that_cannot_be_started_ends_it(container):
    one = container(service=["/no/such/program"])
    assert one.code() == 127
    assert "cannot run /no/such/program" in one.program.output()


def test_without_its_sidecar_the_service_is_stopped(container):
    one = container()
    one.program.says("serving")
    os.kill(one.sidecar(), signal.SIGKILL)
    assert one.code() == 137
    assert "told to leave" in one.program.output()
    assert "the sidecar ended" in one.program.output()


def test_a_bootstrap_that_is_wrong_ends_it(container):
    one = container("--config-yaml", "{no_such_field: 1}")
    assert one.code() == 1
    assert "serving" not in one.program.output()


def check(*flags, **more):
    return subprocess.run([data_plane("remora"), "healthcheck", *flags], capture_output=True,
                          text=True, timeout=30, check=False, **more)


def test_healthcheck_finds_the_admin_server_in_each_way(container, tmp_path):
    one = container("--admin-address-path", str(tmp_path / "admin"))
    one.program.says("serving")
    admin = f"127.0.0.1:{one.admin}"
    for flags in (["--admin", admin], ["-c", str(tmp_path / "bootstrap.yaml")],
                  ["--admin-address-path", str(tmp_path / "admin")]):
        done = check(*flags)
        assert (done.returncode, done.stderr) == (0, "")
    assert check(env={**os.environ, "REMORA_ADMIN": admin}).returncode == 0
    assert check("--admin", admin, "--path", "/no").returncode == 1


def test_healthcheck_says_what_is_wrong(container):
    one = container()
    one.program.says("serving")
    admin = f"127.0.0.1:{one.admin}"
    urllib.request.urlopen(f"http://{admin}/healthcheck/fail", data=b"", timeout=5).close()
    done = check("--admin", admin)
    assert done.returncode == 1 and "/ready says: HTTP/1.1 503" in done.stderr
    done = check("--admin", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1 and "cannot connect" in done.stderr
    assert check("--admin", "nonsense").returncode == 1
    assert check("--no-such-flag").returncode == 1
    done = check()
    assert done.returncode == 1 and "where is the admin server?" in done.stderr


def test_healthcheck_can_wait(container, tmp_path):
    where = tmp_path / "admin"
    waiting = subprocess.Popen([data_plane("remora"), "healthcheck", "--admin-address-path",
                                str(where), "--wait", "20"])
    one = container("--admin-address-path", str(where))
    assert waiting.wait(20) == 0
    assert one.ready()


def test_healthcheck_asks_over_a_unix_socket(tmp_path):
    path = tmp_path / "admin.sock"
    config = yaml.safe_dump({"admin": {"address": {"pipe": {"path": str(path)}}}})
    proxy = Process([data_plane("remora"), "--config-yaml", config], tmp_path / "log")
    try:
        assert check("--admin", str(path), "--wait", "10").returncode == 0
        assert check("--config-yaml", config).returncode == 0
    finally:
        proxy.stop(signal.SIGKILL)
