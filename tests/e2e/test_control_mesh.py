"""remora-control drives a mesh of real proxies: gateway → mTLS, HTTP/2 →
sidecar → application. Each test runs with stock Envoy, which proves what the
control plane says to be right, and with Remora."""

import collections
import contextlib
import http.client
import socket
import ssl

import pytest

from support_control import (Load, Mesh, Upstream, control_binary, data_plane, free_port, get,
                             wait_for)

pytestmark = pytest.mark.skipif(control_binary() is None, reason="remora-control is not built")


@pytest.fixture(params=["envoy", "remora"])
def plane(request):
    if data_plane(request.param) is None:
        pytest.skip(f"no {request.param} here")
    return request.param


class Web:
    """A mesh of `web`, three upstreams of weights 1, 2, 3, behind `edge`."""

    def __init__(self, folder, plane):
        self.mesh = Mesh(folder, plane)
        self.upstreams = [Upstream(f"web-{weight}") for weight in (1, 2, 3)]
        self.gateway = free_port()
        self.sidecar = free_port()
        self.services = {
            "services": {
                "web": {
                    "sidecar": f"127.0.0.1:{self.sidecar}",
                    "endpoints": [{"address": f"127.0.0.1:{upstream.port}", "weight": weight}
                                  for weight, upstream in enumerate(self.upstreams, 1)],
                    "health_check": {"path": "/healthz", "interval": "100ms"},
                    "allow": ["edge"],
                },
            },
            "gateways": {
                "edge": {"listen": f"127.0.0.1:{self.gateway}", "routes": [{"service": "web"}]},
            },
        }

    def describe(self):
        self.mesh.describe(self.services)

    def start(self, *control, spelling=()):
        self.describe()
        self.mesh.start_control(*control)
        self.mesh.start_proxy("web", *spelling)
        self.mesh.start_proxy("edge", *spelling)
        wait_for(lambda: get(self.gateway) is not None and get(self.gateway)[0] == 200, "traffic")

    def close(self):
        self.mesh.close()
        for upstream in self.upstreams:
            upstream.stop()


@pytest.fixture
def web(tmp_path, plane):
    mesh = Web(tmp_path, plane)
    yield mesh
    mesh.close()


@pytest.mark.parametrize("spelling", [(), ("--delta",)], ids=["sotw", "delta"])
def test_traffic_is_balanced_by_weight(web, spelling):
    web.start(spelling=spelling)

    def shares():
        """Ten rounds of six picks, wherever in a round they begin."""
        answers = [get(web.gateway) for _ in range(60)]
        assert {status for status, _ in answers} == {200}
        return collections.Counter(body for _, body in answers)

    # On a busy machine a health check may run late; then a round is not whole.
    wait_for(lambda: shares() == {"web-1": 10, "web-2": 20, "web-3": 30}, "shares by weight")
    for proxy in web.mesh.proxies.values():
        assert "rejected" not in proxy.output()
    assert "rejects" not in web.mesh.control.output()


def test_an_upstream_that_dies_fails_no_request_and_returns(web):
    web.start()
    with Load(web.gateway) as load:
        load.shares(100)
        web.upstreams[2].stop()
        wait_for(lambda: "web-3" not in load.shares(60), "its share has gone to the others")
        assert load.shares(120)["web-2"] == pytest.approx(2 / 3, abs=0.05)
        web.upstreams[2] = Upstream("web-3", web.upstreams[2].port)
        wait_for(lambda: load.shares(60).get("web-3", 0) > 0.45, "it takes its share again")
    assert load.failures == []


def test_changes_of_endpoints_weights_and_routes_lose_no_request(web):
    web.start()
    endpoints = web.services["services"]["web"]["endpoints"]
    routes = web.services["gateways"]["edge"]["routes"]
    with Load(web.gateway) as load:
        load.shares(100)
        for _ in range(3):
            endpoints[0]["weight"] = 20
            last = endpoints.pop()
            web.describe()
            wait_for(lambda: load.shares(44).get("web-1", 0) > 0.8, "new weights")
            endpoints[0]["weight"] = 1
            endpoints.append(last)
            routes.insert(0, {"path": "/only", "service": "web"})
            web.describe()
            wait_for(lambda: load.shares(60).get("web-3", 0) > 0.45, "old weights")
    assert load.failures == []


def test_services_come_and_go_without_a_restart(web):
    web.start()
    other = Upstream("other")
    web.services["services"]["plain"] = {"endpoints": [f"127.0.0.1:{other.port}"]}
    web.services["gateways"]["edge"]["routes"].insert(0, {"prefix": "/plain", "service": "plain"})
    web.describe()
    wait_for(lambda: get(web.gateway, "/plain") == (200, "other"), "the new service")
    del web.services["services"]["plain"]
    del web.services["gateways"]["edge"]["routes"][0]
    with Load(web.gateway) as load:
        load.shares(20)
        web.describe()
        wait_for(lambda: get(web.gateway, "/plain")[1].startswith("web-"), "the old route")
    assert load.failures == []
    other.stop()


def test_a_caller_that_is_not_allowed_gets_nothing(web):
    stranger = free_port()
    web.services["gateways"]["stranger"] = {
        "listen": f"127.0.0.1:{stranger}", "routes": [{"service": "web"}]}
    web.start()
    assert "'web' does not allow 'stranger'" in web.mesh.control.output()
    web.mesh.start_proxy("stranger")
    wait_for(lambda: get(stranger) is not None, "the stranger listens")
    before = [upstream.requests for upstream in web.upstreams]
    for _ in range(5):
        assert get(stranger)[0] == 503
    assert [upstream.requests for upstream in web.upstreams] == before
    web.services["services"]["web"]["allow"].append("stranger")
    web.describe()
    wait_for(lambda: get(stranger)[0] == 200, "it is allowed now")


def test_a_caller_that_loses_its_leave_is_refused_on_open_connections(web):
    web.start()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", web.gateway)) as connection:
        def status():
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            return response.status

        assert status() == 200
        web.services["services"]["web"]["allow"] = []
        web.describe()
        wait_for(lambda: status() in (403, 503), "it is refused")
        web.services["services"]["web"]["allow"] = ["edge"]
        web.describe()
        wait_for(lambda: status() == 200, "it may call again")


def serial_shown(port):
    """The certificate that the sidecar shows; without one of our own."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        with context.wrap_socket(plain, server_hostname="web") as tls:
            shown = tls.getpeercert(binary_form=True)
            # The handshake is over for us; the sidecar refuses us all the same.
            with pytest.raises((ssl.SSLError, ConnectionError)):
                tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
                if not tls.recv(1):
                    raise ConnectionResetError
                while tls.recv(4096):
                    pass
                raise ConnectionResetError
            return shown


def test_a_client_without_a_certificate_gets_nothing(web):
    web.start()
    before = [upstream.requests for upstream in web.upstreams]
    serial_shown(web.sidecar)
    assert get(web.sidecar) is None or get(web.sidecar)[0] != 200
    assert [upstream.requests for upstream in web.upstreams] == before


def test_certificates_are_renewed_under_load(web):
    web.start("--ttl", "4s")
    with Load(web.gateway) as load:
        seen = {serial_shown(web.sidecar)}
        for _ in range(3):
            wait_for(lambda: serial_shown(web.sidecar) not in seen, "a new certificate")
            seen.add(serial_shown(web.sidecar))
            # A fresh gateway connection uses the fresh certificates.
            assert get(web.gateway)[0] == 200
    assert load.failures == []


def test_traffic_survives_the_control_plane_and_follows_the_next_one(web):
    web.start()
    with Load(web.gateway) as load:
        assert web.mesh.control.stop() == 0
        load.shares(100)
        web.services["services"]["web"]["endpoints"][0]["weight"] = 20
        web.describe()
        web.mesh.start_control()
        wait_for(lambda: load.shares(50).get("web-1", 0) > 0.7, "the new weights", 40)
    assert load.failures == []


def test_a_mistake_in_the_file_changes_nothing(web):
    web.start()
    web.mesh.describe("services:\n  web: {sidecar: nowhere}\n")
    web.mesh.control.says("services.yaml:2: services.web.sidecar: expected an address")
    web.mesh.control.says("the last good state stays in force")
    assert get(web.gateway)[0] == 200
    web.services["gateways"]["edge"]["routes"] = [{"path": "/new", "service": "web"}]
    web.describe()
    wait_for(lambda: get(web.gateway)[0] == 404, "the mended file")


def test_a_service_calls_another_through_its_sidecar(web):
    app = free_port()
    api = Upstream("api")
    web.services["services"]["api"] = {
        "sidecar": f"127.0.0.1:{free_port()}",
        "endpoints": [f"127.0.0.1:{api.port}"],
        "upstreams": {"web": f"127.0.0.1:{app}"},
        "allow": "edge",
    }
    web.services["services"]["web"]["allow"].append("api")
    web.services["gateways"]["edge"]["routes"].insert(0, {"prefix": "/api", "service": "api"})
    web.start()
    web.mesh.start_proxy("api")
    wait_for(lambda: get(app) is not None and get(app)[0] == 200, "api reaches web")
    wait_for(lambda: get(web.gateway, "/api") == (200, "api"), "the gateway reaches api")
    api.stop()


def test_endpoints_with_sidecars_of_their_own(tmp_path, plane):
    mesh = Mesh(tmp_path, plane)
    upstreams = [Upstream("one"), Upstream("two")]
    ports = [free_port(), free_port()]
    gateway = free_port()
    mesh.describe({
        "services": {"web": {
            "endpoints": [{"address": f"127.0.0.1:{u.port}", "sidecar": f"127.0.0.1:{p}",
                           "name": u.name} for u, p in zip(upstreams, ports)],
            "health_check": {"path": "/healthz", "interval": "100ms"},
            "allow": ["edge"]}},
        "gateways": {"edge": {"listen": f"127.0.0.1:{gateway}", "routes": [{"service": "web"}]}},
    })
    try:
        mesh.start_control()
        one = mesh.start_proxy("web", "--instance", "one")
        mesh.start_proxy("web", "--instance", f"127.0.0.1:{ports[1]}")
        mesh.start_proxy("edge")
        wait_for(lambda: {body for _ in range(4) for status, body in [get(gateway) or (0, "")]
                          if status == 200} == {"one", "two"}, "both answer")
        with Load(gateway) as load:
            load.shares(40)
            upstreams[0].stop()
            wait_for(lambda: set(load.shares(40)) == {"two"}, "only two is left")
            upstreams[0] = Upstream("one", upstreams[0].port)
            wait_for(lambda: load.shares(40).get("one", 0) > 0.4, "one is back")
            one.stop(9)
            wait_for(lambda: set(load.shares(40)) == {"two"}, "its sidecar has died")
        assert load.failures == []
    finally:
        mesh.close()
        for upstream in upstreams:
            upstream.stop()


def test_tcp_services_are_carried_as_bytes(tmp_path, plane):
    mesh = Mesh(tmp_path, plane)
    upstream = Upstream("bytes")
    gateway = free_port()
    mesh.describe({
        "services": {"db": {"protocol": "tcp", "sidecar": f"127.0.0.1:{free_port()}",
                            "endpoints": [f"127.0.0.1:{upstream.port}"], "allow": "edge"}},
        "gateways": {"edge": {"listen": f"127.0.0.1:{gateway}", "tcp": "db"}},
    })
    try:
        mesh.start_control()
        mesh.start_proxy("db")
        mesh.start_proxy("edge")
        wait_for(lambda: get(gateway) == (200, "bytes"), "bytes both ways")
    finally:
        mesh.close()
        upstream.stop()
