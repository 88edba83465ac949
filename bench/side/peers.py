"""The proxies of a side-by-side run, each set up for the same work.

A peer is a command with a configuration in the run's folder. Every peer listens
on the ports of PORTS (an offset from its base), where it can do that work, and
sends on to the same nginx. What is equal for all: one worker, keep-alive to the
upstream, x-forwarded-for, x-forwarded-proto and a request id, no access log, no
session resumption. A peer that cannot do a listener leaves its port closed and
is left out of that row.
"""
import dataclasses
import json
import os
import pathlib
import shutil

PORTS = {"http": 0, "tls": 1, "h2": 2, "h2tls": 3, "tcp": 4, "pair": 5, "mtls": 6}


@dataclasses.dataclass
class Run:
    """What the peers of one run share: folder, certificates, upstream."""

    folder: pathlib.Path
    certs: pathlib.Path
    upstream: int

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path


def nginx(run, base):
    def server(listener, flags="", extra="", to="http://upstream"):
        return (
            f"server {{ listen 127.0.0.1:{base + PORTS[listener]}{flags}; {extra}"
            f" location / {{ proxy_pass {to}; }} }}\n"
        )

    module = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    stream = ""
    if module.exists():
        stream = (
            f"stream {{ server {{ listen 127.0.0.1:{base + PORTS['tcp']};"
            f" proxy_pass 127.0.0.1:{run.upstream}; }} }}\n"
        )
    client = (
        f"proxy_ssl_certificate {run.certs}/client.crt;"
        f" proxy_ssl_certificate_key {run.certs}/client.key;"
        f" proxy_ssl_trusted_certificate {run.certs}/ca.crt;"
        " proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_protocols TLSv1.3;"
    )
    text = (
        (f"load_module {module};\n" if stream else "")
        + "worker_processes 1; daemon off;\n"
        + f"pid {run.folder}/nginx-peer.pid; error_log {run.folder}/nginx-peer.err;\n"
        + "events { worker_connections 8192; }\n"
        + stream
        + f"""http {{
access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
ssl_certificate {run.certs}/server.crt; ssl_certificate_key {run.certs}/server.key;
ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; ssl_client_certificate {run.certs}/ca.crt;
upstream upstream {{ server 127.0.0.1:{run.upstream}; keepalive 512; keepalive_requests 1000000000; }}
upstream pair {{ server 127.0.0.1:{base + PORTS["mtls"]}; keepalive 512; keepalive_requests 1000000000; }}
proxy_http_version 1.1; proxy_set_header Connection "";
proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Request-Id $request_id;
"""
        + server("http")
        + server("tls", " ssl")
        + server("mtls", " ssl", "ssl_verify_client on;")
        + server("h2", " http2")
        + server("h2tls", " ssl http2")
        + server("pair", "", client, "https://pair")
        + "}\n"
    )
    return ["nginx", "-c", str(run.write("nginx-peer.conf", text))]


def haproxy(run, base):
    port = {name: base + offset for name, offset in PORTS.items()}
    text = f"""global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend edge
  bind 127.0.0.1:{port["http"]}
  bind 127.0.0.1:{port["tls"]} ssl crt {run.certs}/server.pem no-tls-tickets
  bind 127.0.0.1:{port["mtls"]} ssl crt {run.certs}/server.pem ca-file {run.certs}/ca.crt verify required no-tls-tickets
  bind 127.0.0.1:{port["h2"]} proto h2
  bind 127.0.0.1:{port["h2tls"]} ssl crt {run.certs}/server.pem alpn h2 no-tls-tickets
  option forwardfor
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Proto http
  default_backend upstream
backend upstream
  server one 127.0.0.1:{run.upstream} maxconn 4000 pool-max-conn 1000
frontend first
  bind 127.0.0.1:{port["pair"]}
  option forwardfor
  default_backend second
backend second
  server one 127.0.0.1:{port["mtls"]} ssl crt {run.certs}/client.pem ca-file {run.certs}/ca.crt verify required sni str(localhost) maxconn 4000 pool-max-conn 1000
listen bytes
  mode tcp
  bind 127.0.0.1:{port["tcp"]}
  server one 127.0.0.1:{run.upstream}
"""
    return ["haproxy", "-db", "-f", str(run.write("haproxy.cfg", text))]


def nghttpx(run, base):
    def front(name, tls):
        return f"-f127.0.0.1,{base + PORTS[name]}" + ("" if tls else ";no-tls")

    return [
        "nghttpx",
        "--conf=/dev/null",
        "--workers=1",
        "--single-process",
        f"-b127.0.0.1,{run.upstream}",
        front("http", False),
        front("h2", False),
        front("tls", True),
        front("h2tls", True),
        "--accesslog-file=/dev/null",
        f"--errorlog-file={run.folder}/nghttpx.err",
        "--add-x-forwarded-for",
        "--backend-keep-alive-timeout=600",
        "--frontend-keep-alive-timeout=600",
        f"{run.certs}/server.key",
        f"{run.certs}/server.crt",
    ]


_TYPES = "type.googleapis.com/envoy.extensions."


def _typed(name, kind, **fields):
    return {"name": name, "typed_config": {"@type": _TYPES + kind, **fields}}


def _http(cluster):
    router = _typed("router", "filters.http.router.v3.Router")
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "30s"}}
    host = {"name": "all", "domains": ["*"], "routes": [route]}
    return _typed(
        "http",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="http",
        use_remote_address=True,
        route_config={"name": "all", "virtual_hosts": [host]},
        http_filters=[router],
    )


def _cluster(name, port, **more):
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    limits = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        **more,
    }


def bootstrap(run, base):
    """One bootstrap, read by Remora and by Envoy alike."""

    def pair_of(name):
        return {
            "certificate_chain": {"filename": f"{run.certs}/{name}.crt"},
            "private_key": {"filename": f"{run.certs}/{name}.key"},
        }

    trust = {"trusted_ca": {"filename": f"{run.certs}/ca.crt"}}

    def downstream_tls(alpn, mutual=False):
        common = {"alpn_protocols": [alpn], "tls_certificates": [pair_of("server")]}
        if mutual:
            common["validation_context"] = trust
        return _typed(
            "tls",
            "transport_sockets.tls.v3.DownstreamTlsContext",
            require_client_certificate=mutual,
            disable_stateless_session_resumption=True,
            common_tls_context=common,
        )

    def listener(name, network_filter, transport=None):
        chain = {"filters": [network_filter]}
        if transport:
            chain["transport_socket"] = transport
        address = {"address": "127.0.0.1", "port_value": base + PORTS[name]}
        return {"name": name, "address": {"socket_address": address}, "filter_chains": [chain]}

    upstream_tls = _typed(
        "tls",
        "transport_sockets.tls.v3.UpstreamTlsContext",
        sni="localhost",
        common_tls_context={
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [pair_of("client")],
            "validation_context": {
                **trust,
                "match_typed_subject_alt_names": [
                    {"san_type": "DNS", "matcher": {"exact": "localhost"}}
                ],
            },
        },
    )
    tcp = _typed(
        "tcp", "filters.network.tcp_proxy.v3.TcpProxy", stat_prefix="tcp", cluster="upstream"
    )
    admin = {"address": "127.0.0.1", "port_value": base + len(PORTS)}
    return {
        "admin": {"address": {"socket_address": admin}},
        "static_resources": {
            "listeners": [
                listener("http", _http("upstream")),
                listener("tls", _http("upstream"), downstream_tls("http/1.1")),
                listener("mtls", _http("upstream"), downstream_tls("http/1.1", mutual=True)),
                listener("h2", _http("upstream")),
                listener("h2tls", _http("upstream"), downstream_tls("h2")),
                listener("tcp", tcp),
                listener("pair", _http("pair")),
            ],
            "clusters": [
                _cluster("upstream", run.upstream),
                _cluster("pair", base + PORTS["mtls"], transport_socket=upstream_tls),
            ],
        },
    }


def _by_bootstrap(name, binary, *flags):
    def command(run, base):
        path = run.write(f"{name}.json", json.dumps(bootstrap(run, base), indent=1))
        return [binary(), "-c", str(path), "--concurrency", "1", "-l", "error", *flags]

    return command


def _remora():
    return os.environ.get("REMORA_BINARY", "build/release/remora")


def _envoy():
    return os.environ.get("ENVOY_BINARY", "envoy")


def _floor():
    return os.environ.get("REMORA_FLOOR", "build/release/remora_floor")


def floor(run, base):
    return [_floor(), str(base + PORTS["tcp"]), str(run.upstream)]


COMMANDS = {
    "remora": _by_bootstrap("remora", _remora),
    "nginx": nginx,
    "haproxy": haproxy,
    "nghttpx": nghttpx,
    "envoy": _by_bootstrap("envoy", _envoy, "--disable-hot-restart"),
    "floor": floor,
}


def installed(name):
    binary = {"remora": _remora(), "envoy": _envoy(), "floor": _floor()}.get(name, name)
    return shutil.which(binary) is not None
