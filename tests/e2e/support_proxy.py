"""Remora by itself on loopback, with the peers that stand on both sides of it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import urllib.request

import yaml
from support_control import Process, data_plane, free_port, wait_for

TYPE = "type.googleapis.com/envoy.extensions."
HTTP = TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager"
HTTP2 = TYPE + "upstreams.http.v3.HttpProtocolOptions"

NGINX = """\
daemon off;
{user}worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  keepalive_requests 10000000;
  default_type text/plain;
  client_body_temp_path {folder}/nginx.tmp;
  proxy_temp_path {folder}/nginx.tmp;
  fastcgi_temp_path {folder}/nginx.tmp;
  uwsgi_temp_path {folder}/nginx.tmp;
  scgi_temp_path {folder}/nginx.tmp;
{servers}
}}
"""


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def endpoints(name, *ports):
    hosts = [{"endpoint": {"address": address(port)}} for port in ports]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}


def cluster(name, *ports, http2=False, **more):
    out = {"name": name, "type": "STATIC", "connect_timeout": "5s",
           "load_assignment": endpoints(name, *ports), **more}
    if http2:
        out["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": HTTP2, "explicit_http_config": {"http2_protocol_options": {}}}}
    return out


def manager(routes, **more):
    """The filter of an HTTP listener; `routes` as of one virtual host for all."""
    if isinstance(routes, list):
        host = {"name": "all", "domains": ["*"], "routes": routes}
        more["route_config"] = {"name": "all", "virtual_hosts": [host]}
    else:
        more["rds"] = routes
    router = {"name": "router", "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}
    return {"name": "http", "typed_config": {
        "@type": HTTP, "stat_prefix": "front", "http_filters": [router], **more}}


def route_to(name, prefix="/", **more):
    return {"match": {"prefix": prefix}, "route": {"cluster": name, **more}}


def listener(name, port, network_filter, tls=None):
    chain = {"filters": [network_filter]}
    if tls:
        chain["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": TYPE + "transport_sockets.tls.v3.DownstreamTlsContext", **tls}}
    return {"name": name, "address": address(port), "filter_chains": [chain]}


class Nginx:
    """A real nginx; each server is a port and what stands in its block."""

    def __init__(self, folder, **servers):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.ports = {name: free_port() for name in servers}
        blocks = [f"  server {{ listen 127.0.0.1:{self.ports[name]}{text} }}"
                  for name, text in servers.items()]
        conf = folder / "nginx.conf"
        # Started by root, its worker would be nobody, who may not read the test's folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        conf.write_text(NGINX.format(folder=folder, user=user, servers="\n".join(blocks)))
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self._process = Process([program, "-c", str(conf), "-p", str(folder)],
                                folder / "nginx.log")

    def stop(self):
        self._process.stop()


class Proxy:
    """A Remora with this bootstrap, ready when constructed."""

    def __init__(self, folder, *, listeners=(), clusters=(), workers=1, **more):
        self.folder = pathlib.Path(folder)
        self.admin = free_port()
        bootstrap = {"node": {"id": "node", "cluster": "test"},
                     "admin": {"address": address(self.admin)},
                     "static_resources": {"listeners": list(listeners),
                                          "clusters": list(clusters)}, **more}
        path = self.folder / "bootstrap.yaml"
        path.write_text(yaml.safe_dump(bootstrap))
        self.process = Process([data_plane("remora"), "-c", str(path), "--concurrency",
                                str(workers), "-l", "info"], self.folder / "remora.log")
        try:
            wait_for(self._ready, "remora to be ready")
        except AssertionError as error:
            self.process.stop(signal.SIGKILL)
            raise AssertionError(f"{error}\n{self.process.output()}") from error

    def _ready(self):
        assert self.process.process.poll() is None, "it ended"
        try:
            return self.ask("/ready") == "LIVE\n"
        except OSError:
            return False

    def ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as reply:
            return reply.read().decode()

    def stat(self, name):
        """The value of a counter or gauge; 0 while there is none of the name."""
        found = json.loads(self.ask("/stats?format=json"))["stats"]
        return next((each["value"] for each in found if each.get("name") == name), 0)

    def host(self, name, port):
        """What /clusters tells of one endpoint."""
        lines = self.ask("/clusters").splitlines()
        start = f"{name}::127.0.0.1:{port}::"
        return dict(line[len(start):].split("::", 1) for line in lines if line.startswith(start))

    def stop(self):
        """As an operator ends it, to be done when all is quiet."""
        with urllib.request.urlopen(urllib.request.Request(
                f"http://127.0.0.1:{self.admin}/quitquitquit", method="POST"), timeout=5):
            pass
        assert self.process.process.wait(20) == 0, self.process.output()
        self.process.stop()


def pki(folder, *names):
    """A CA and a pair of PEM files for each name, valid for localhost."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def key(name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                folder / f"{name}.key")

    key("ca")
    openssl("req", "-x509", "-new", "-key", folder / "ca.key", "-days", 2, "-subj", "/CN=test ca",
            "-out", folder / "ca.crt")
    for name in names:
        key(name)
        openssl("req", "-new", "-key", folder / f"{name}.key", "-subj", f"/CN={name}", "-out",
                folder / f"{name}.csr")
        extensions = folder / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.crt", "-CAkey",
                folder / "ca.key", "-CAcreateserial", "-days", 2, "-extfile", extensions, "-out",
                folder / f"{name}.crt")
    return folder


def certificate(folder, name):
    return {"certificate_chain": {"filename": f"{folder}/{name}.crt"},
            "private_key": {"filename": f"{folder}/{name}.key"}}


def server_tls(folder, name="server", alpn=("h2", "http/1.1"), mutual=False):
    common = {"alpn_protocols": list(alpn), "tls_certificates": [certificate(folder, name)]}
    if mutual:
        common["validation_context"] = {"trusted_ca": {"filename": f"{folder}/ca.crt"}}
    return {"require_client_certificate": mutual, "common_tls_context": common}
