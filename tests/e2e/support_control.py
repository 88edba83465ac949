"""A mesh on loopback for tests of the control plane: upstreams, remora-control
and the data planes that it drives, stock Envoy and Remora alike."""

import collections
import contextlib
import http.client
import http.server
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary(variable, name):
    """A program of the build under test, or None."""
    given = os.environ.get(variable)
    path = pathlib.Path(given) if given else ROOT / "build" / "release" / name
    return str(path) if path.exists() else None


def control_binary():
    return binary("REMORA_CONTROL", "remora-control")


def data_plane(name):
    """The proxy called "envoy" or "remora", or None if it is not here."""
    if name == "remora":
        return binary("REMORA_BINARY", "remora")
    beside = pathlib.Path(sys.executable).with_name("envoy")
    return os.environ.get("ENVOY") or (str(beside) if beside.exists() else shutil.which("envoy"))


def wait_for(condition, what, timeout=20):
    """Until `condition` gives something true, which is returned."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A program whose output goes to a file; ended with the test."""

    def __init__(self, arguments, log):
        self.log = pathlib.Path(log)
        self._out = open(self.log, "ab")
        self.process = subprocess.Popen(arguments, stdout=self._out, stderr=subprocess.STDOUT)

    def output(self):
        return self.log.read_text(errors="replace")

    def says(self, text, timeout=20):
        def said():
            assert self.process.poll() is None or text in self.output(), self.output()
            return text in self.output()

        wait_for(said, f"{text!r} in {self.log}", timeout)

    def stop(self, number=signal.SIGTERM, timeout=20):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._out.close()
        return self.process.returncode


class Upstream:
    """An HTTP/1.1 server that answers with its name and counts requests."""

    def __init__(self, name, port=0):
        self.name = name
        self.requests = 0
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # head and body leave in one piece, or not at all

            def do_GET(self):
                if self.path != "/healthz":
                    upstream.requests += 1
                self.rfile.read(int(self.headers.get("content-length", 0)))
                body = upstream.name.encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def __init__(self, *arguments):
                self.open = set()
                super().__init__(*arguments)

            def process_request(self, request, address):
                self.open.add(request)
                super().process_request(request, address)

            def shutdown_request(self, request):
                self.open.discard(request)
                super().shutdown_request(request)

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """As a process that dies: listener and connections gone at once."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Mesh:
    """A control plane with what it drives, in one folder."""

    def __init__(self, folder, plane="envoy"):
        self.folder = pathlib.Path(folder)
        self.plane = plane
        self.services = self.folder / "services.yaml"
        self.state = self.folder / "state"
        self.control = None
        self.proxies = {}
        self._started = []

    def describe(self, services):
        """Puts the description into force, whole."""
        new = self.folder / "services.new"
        new.write_text(services if isinstance(services, str) else yaml.safe_dump(services))
        new.rename(self.services)

    def run_control(self, *arguments):
        return subprocess.run([control_binary(), *arguments], capture_output=True, text=True,
                              timeout=20)

    def start_control(self, *arguments):
        """Again on the same port, if it ran before."""
        listen = self.state / "listen"
        address = listen.read_text().split()[0] if listen.exists() else "127.0.0.1:0"
        self.control = Process(
            [control_binary(), "--services", str(self.services), "--listen", address,
             "--state", str(self.state), *arguments], self.folder / f"control{len(self._started)}")
        self._started.append(self.control)
        self.control.says("ready on")
        return self.control

    def bootstrap(self, name, *arguments):
        # Two of one name must not overwrite each other.
        path = self.folder / f"{name}-{len(self._started)}.yaml"
        made = self.run_control("bootstrap", name, "--state", str(self.state), "--out", str(path),
                                *arguments)
        assert made.returncode == 0, made.stderr
        return path

    def start_proxy(self, name, *arguments):
        path = self.bootstrap(name, *arguments)
        proxy = Process(
            [data_plane(self.plane), "-c", str(path), "--concurrency", "1", "-l", "warning",
             "--disable-hot-restart"], path.with_suffix(".log"))
        self._started.append(proxy)
        self.proxies[name] = proxy
        return proxy

    def close(self):
        for process in reversed(self._started):
            with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
                process.stop(signal.SIGKILL)


def get(port, path="/", method="GET", host=None):
    """Status and body of one request on a fresh connection; None if refused."""
    try:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as c:
            c.request(method, path, headers={"host": host} if host else {})
            response = c.getresponse()
            return response.status, response.read().decode()
    except ConnectionError:
        return None


class Load:
    """Requests without pause on several connections, until the block ends."""

    def __init__(self, port, connections=4):
        self.port = port
        self.bodies = collections.Counter()
        self.failures = []
        self.served = 0
        self._lock = threading.Lock()
        self._ending = False
        self._threads = [threading.Thread(target=self._run) for _ in range(connections)]

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self._ending:
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                body = response.read().decode()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    self.failures.append(repr(error))
                continue
            with self._lock:
                self.served += 1
                self.bodies[body] += 1
                if response.status != 200:
                    self.failures.append((response.status, body))
        connection.close()

    def shares(self, requests):
        """How often each upstream answers among the next so many requests."""
        with self._lock:
            self.bodies.clear()
        wait_for(lambda: sum(self.bodies.values()) >= requests, f"{requests} requests")
        with self._lock:
            total = sum(self.bodies.values())
            return {body: count / total for body, count in self.bodies.items()}

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ending = True
        for thread in self._threads:
            thread.join()
