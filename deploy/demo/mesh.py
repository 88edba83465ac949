"""The processes of the demonstration, every one a real one.

Three nginx as service `web`, one as service `api`, the control plane, a sidecar
for each service and the gateway `edge`. All files are in one folder, all ports
on loopback.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

NGINX = """\
daemon off;
worker_processes 1;
error_log {folder}/{name}.error.log warn;
pid {folder}/{name}.pid;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/{name}.tmp;
  proxy_temp_path {folder}/{name}.tmp;
  fastcgi_temp_path {folder}/{name}.tmp;
  uwsgi_temp_path {folder}/{name}.tmp;
  scgi_temp_path {folder}/{name}.tmp;
  server {{
    listen 127.0.0.1:{port};
    default_type text/plain;
    location / {{ return 200 "{name}\\n"; }}
    location /health {{ return 200 "ok\\n"; }}
  }}
}}
"""

SERVICES = """\
# What the control plane of this demonstration reads. Change a weight, save, and
# watch the shares move.
services:
  web:
    endpoints:
    - {{name: web-1, address: 127.0.0.1:{web-1}, weight: 1}}
    - {{name: web-2, address: 127.0.0.1:{web-2}, weight: 2}}
    - {{name: web-3, address: 127.0.0.1:{web-3}, weight: 3}}
    sidecar: 127.0.0.1:{web-sidecar}
    health_check: {{path: /health, interval: 0.5s}}
    allow: [edge]
    upstreams: {{api: 127.0.0.1:{web-to-api}}}
  api:
    endpoints: [127.0.0.1:{api}]
    sidecar: 127.0.0.1:{api-sidecar}
    allow: [edge, web]
gateways:
  edge:
    listen: 127.0.0.1:{edge}
    routes:
    - {{prefix: /api, service: api}}
    - {{prefix: /, service: web}}
"""

# Ports that a person will type are the same in every run, if they are free.
PREFERRED = {"edge": 10000, "edge-admin": 9901, "web-admin": 9902,
             "api-admin": 9903}
OTHERS = ["web-1", "web-2", "web-3", "api", "web-sidecar", "api-sidecar",
          "web-to-api", "control"]
WEB = ["web-1", "web-2", "web-3"]
WEIGHTS = {"web-1": 1, "web-2": 2, "web-3": 3}


class Failed(Exception):
    """Something of the demonstration did not happen."""


def free_ports():
    """A port for each name; all are held until all are chosen."""
    held, ports = [], {}
    for name in [*PREFERRED, *OTHERS]:
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", PREFERRED.get(name, 0)))
        except OSError:
            taken.bind(("127.0.0.1", 0))
        held.append(taken)
        ports[name] = taken.getsockname()[1]
    for taken in held:
        taken.close()
    return ports


def get(url, timeout=2.0):
    """The status and body of a GET; 0 and "" where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Mesh:
    """Starts, stops and finds the processes. Use as a context manager."""

    def __init__(self, binary, proxy, folder):
        self.binary = binary  # remora, for its control plane
        self.proxy = proxy  # what carries the traffic
        self.folder = pathlib.Path(folder).resolve()
        self.ports = free_ports()
        self.running = {}
        self._stopped = []

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o755)
        return self

    def __exit__(self, kind, *_):
        # The sidecars first, so that they need not see their servers vanish.
        for name in reversed(list(self.running)):
            self.stop(name)
        for process in self._stopped:
            process.wait()
        # Logs are for finding out what went wrong; the CA's key is for nobody.
        shutil.rmtree(self.folder / "state" if kind is Failed else self.folder,
                      ignore_errors=True)

    def url(self, name, path="/"):
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    @property
    def services_file(self):
        return self.folder / "services.yaml"

    def start(self):
        self.services_file.write_text(SERVICES.format_map(self.ports))
        for name in [*WEB, "api"]:
            self.start_nginx(name)
        state = ["--state", str(self.folder / "state")]
        self._run("control", [
            self.binary, "control", "--services", str(self.services_file),
            "--listen", f"127.0.0.1:{self.ports['control']}", *state])
        self.wait(lambda: self._listens("control"), "the control plane listens")
        for node in ["api", "web", "edge"]:
            self._start_proxy(node, state)
        for node in ["api", "web", "edge"]:
            self.wait(lambda: get(self.url(f"{node}-admin", "/ready"))[0] == 200,
                      f"{node} is ready")

    def start_nginx(self, name):
        (self.folder / f"{name}.tmp").mkdir(exist_ok=True)
        config = self.folder / f"{name}.conf"
        config.write_text(NGINX.format(folder=self.folder, name=name,
                                       port=self.ports[name]))
        # Debian has nginx in /usr/sbin, which is not on everybody's path.
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        if nginx is None:
            raise Failed("nginx is not installed")
        self._run(name, [nginx, "-e", str(self.folder / f"{name}.error.log"),
                         "-p", str(self.folder), "-c", str(config)])
        self.wait(lambda: self._listens(name), f"nginx {name} listens")

    def _start_proxy(self, node, state):
        bootstrap = self.folder / f"{node}.yaml"
        command = [self.binary, "control", "bootstrap", node, *state,
                   "--control", f"127.0.0.1:{self.ports['control']}",
                   "--admin", f"127.0.0.1:{self.ports[node + '-admin']}",
                   "--out", str(bootstrap)]
        made = subprocess.run(command, capture_output=True, text=True,
                              check=False)
        if made.returncode != 0:
            raise Failed(f"{' '.join(command)}: {made.stderr.strip()}")
        self._run(f"{node}-proxy", [
            self.proxy, "-c", str(bootstrap), "--concurrency", "1",
            "--drain-time-s", "1", "--disable-hot-restart", "--log-path",
            str(self.folder / f"{node}.log")])

    def _run(self, name, command):
        assert name not in self.running, name
        with open(self.folder / f"{name}.out", "ab") as out:
            # A session of its own: Ctrl-C reaches this script alone, which
            # then ends the processes in order.
            self.running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True)

    def stop(self, name):
        process = self.running.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        self._stopped.append(process)

    def dead(self):
        """The names of processes that ended though nobody stopped them."""
        return [n for n, p in self.running.items() if p.poll() is not None]

    def wait(self, condition, what, seconds=10.0):
        deadline = time.monotonic() + seconds
        while not condition():
            for name in self.dead():
                raise Failed(f"{name} ended with "
                             f"{self.running[name].returncode}: see "
                             f"{self.folder / name}.out")
            if time.monotonic() > deadline:
                raise Failed(f"not within {seconds:g} s: {what}")
            time.sleep(0.02)

    def _listens(self, name):
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex(("127.0.0.1", self.ports[name])) == 0
