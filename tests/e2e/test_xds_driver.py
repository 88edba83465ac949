"""Remora driven by go-control-plane, a control plane that is not ours.

XDS_DRIVER names a management server on go-control-plane's caches: it serves
ADS and a stream for each kind of resource, in state of the world and delta, on
`-listen`; resources are posted to `-control`, which also tells what was
acknowledged and refused. Without it these tests are skipped.
"""

import http.client
import json
import os
import urllib.error
import urllib.request

import pytest
import yaml
from support_control import Process, Upstream, data_plane, free_port, wait_for

DRIVER = os.environ.get("XDS_DRIVER")
TYPE = "type.googleapis.com/"
HTTP = TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = TYPE + "envoy.extensions.filters.http.router.v3.Router"
MUTATION = TYPE + "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
HTTP2 = TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

pytestmark = [
    pytest.mark.skipif(not DRIVER, reason="XDS_DRIVER names no management server"),
    pytest.mark.skipif(not data_plane("remora"), reason="remora is not built"),
]


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Driver:
    """The management server, and Remora as its only node."""

    def __init__(self, folder, spelling, aggregated):
        self.port, self.control, self.admin = free_port(), free_port(), free_port()
        self.spelling = spelling
        api = {"api_type": spelling, "transport_api_version": "V3"}
        if spelling == "REST":
            api |= {"cluster_names": ["xds"], "refresh_delay": "0.2s"}
        else:
            api["grpc_services"] = [{"envoy_grpc": {"cluster_name": "xds"}}]
        self.source = {"resource_api_version": "V3"}
        self.source |= {"ads": {}} if aggregated else {"api_config_source": api}
        dynamic = {"cds_config": self.source, "lds_config": self.source}
        if aggregated:
            dynamic["ads_config"] = api
        at = self.control if spelling == "REST" else self.port
        xds = {"name": "xds", "type": "STATIC", "connect_timeout": "1s",
               "load_assignment": {"cluster_name": "xds", "endpoints": [
                   {"lb_endpoints": [{"endpoint": {"address": address(at)}}]}]}}
        if spelling != "REST":
            xds["typed_extension_protocol_options"] = {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": HTTP2, "explicit_http_config": {"http2_protocol_options": {}}}}
        layers = [{"name": "late", "rtds_layer": {"name": "late", "rtds_config": {
            **self.source, "initial_fetch_timeout": "1s"}}}]
        bootstrap = {"node": {"id": "n1", "cluster": "c1"},
                     "admin": {"address": address(self.admin)},
                     "layered_runtime": {"layers": layers},
                     "dynamic_resources": dynamic, "static_resources": {"clusters": [xds]}}
        self.bootstrap = folder / "bootstrap.yaml"
        self.bootstrap.write_text(yaml.safe_dump(bootstrap))
        self.server = Process([DRIVER, "-listen", f"127.0.0.1:{self.port}",
                               "-control", f"127.0.0.1:{self.control}"], folder / "driver.log")
        wait_for(lambda: self.ask("GET", "/status") is not None, "the driver to listen")
        self.proxy = None
        self.folder = folder

    def start(self):
        self.proxy = Process([data_plane("remora"), "-c", str(self.bootstrap), "--concurrency",
                              "1", "--disable-hot-restart", "-l", "info"],
                             self.folder / "remora.log")

    def stop(self):
        if self.proxy is not None:
            with urllib.request.urlopen(urllib.request.Request(
                    f"http://127.0.0.1:{self.admin}/quitquitquit", method="POST"), timeout=5):
                pass
            # It leaves by itself; a signal on top would cut that short.
            assert self.proxy.process.wait(20) == 0
            self.proxy.stop()
        self.server.stop()

    def ask(self, method, path, body=None):
        """The driver's answer as JSON or text; None when it cannot be reached."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.control}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                text = reply.read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode()
        except OSError:
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text

    def merge(self, **resources):
        self.ask("POST", "/resources?merge=1", resources)

    def replace(self, **resources):
        self.ask("POST", "/resources?replace=all", resources)

    def remove(self, kind, name):
        self.ask("DELETE", f"/resources?type={kind}&name={name}")

    def settled(self, kind):
        return str(self.ask("POST", f"/wait?type={kind}&timeout=8s"))

    def types(self):
        return self.ask("GET", "/status")["nodes"]["n1"]["types"]

    def cluster(self, name, **more):
        return {"name": name, "type": "EDS", "connect_timeout": "1s",
                "eds_cluster_config": {"eds_config": self.source}, **more}

    def endpoints(self, name, *ports):
        hosts = [{"endpoint": {"address": address(port)}} for port in ports]
        return {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}

    def listener(self, name, port, routes, filters=(), **more):
        manager = {"@type": HTTP, "stat_prefix": name,
                   "http_filters": [*filters, {"name": "router",
                                               "typed_config": {"@type": ROUTER}}]}
        if routes is not None:
            manager["rds"] = {"route_config_name": routes, "config_source": self.source}
        manager |= more
        return {"name": name, "address": address(port),
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}

    def routes(self, name, action):
        return {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, **action}]}]}

    def stats(self, pattern):
        url = f"http://127.0.0.1:{self.admin}/stats?filter={pattern}"
        with urllib.request.urlopen(url, timeout=5) as reply:
            lines = reply.read().decode().splitlines()
        return {line.split(": ")[0]: line.split(": ")[1] for line in lines}


def to(cluster):
    return {"route": {"cluster": cluster}}


def ask(port, **headers):
    """Status, body and headers; (0, "", {}) when nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/", headers={k.replace("_", "-"): v
                                                for k, v in headers.items()})
        reply = connection.getresponse()
        return reply.status, reply.read().decode(), dict(reply.headers)
    except OSError:
        return 0, "", {}
    finally:
        connection.close()


def get(port):
    return ask(port)[:2]


def serves(port, status, body=None):
    wait_for(lambda: get(port)[0] == status and body in (None, get(port)[1]),
             f"{status} {body} on {port}")


@pytest.fixture(params=[("GRPC", True), ("GRPC", False), ("DELTA_GRPC", True),
                        ("DELTA_GRPC", False)],
                ids=["sotw-ads", "sotw-split", "delta-ads", "delta-split"])
def driver(request, tmp_path):
    made = Driver(tmp_path, *request.param)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def upstreams():
    made = [Upstream("one"), Upstream("two")]
    yield made
    for upstream in made:
        upstream.stop()


@pytest.fixture
def served(driver, upstreams):
    """One listener, route, cluster and endpoint in force."""
    driver.front = free_port()
    driver.replace(clusters=[driver.cluster("a")],
                   endpoints=[driver.endpoints("a", upstreams[0].port)],
                   listeners=[driver.listener("l", driver.front, "r")],
                   routes=[driver.routes("r", to("a"))])
    driver.start()
    serves(driver.front, 200, "one")
    return driver


def test_the_first_resources_serve_and_are_acknowledged(served):
    for kind in ("clusters", "endpoints", "listeners", "routes"):
        assert "acked" in served.settled(kind), kind
    ready = urllib.request.urlopen(f"http://127.0.0.1:{served.admin}/ready", timeout=5)
    assert ready.read() == b"LIVE\n"


def test_endpoints_and_routes_change_in_place(served, upstreams):
    served.merge(endpoints=[served.endpoints("a", upstreams[1].port)])
    serves(served.front, 200, "two")
    served.merge(routes=[served.routes("r", {"direct_response": {"status": 418}})])
    serves(served.front, 418)


def test_resources_come_and_go(served, upstreams):
    second = free_port()
    served.merge(clusters=[served.cluster("b")],
                 endpoints=[served.endpoints("b", upstreams[1].port)],
                 listeners=[served.listener("l2", second, "r2")],
                 routes=[served.routes("r2", to("b"))])
    serves(second, 200, "two")
    assert get(served.front) == (200, "one")
    served.remove("listeners", "l2")
    wait_for(lambda: get(second)[0] == 0, "the listener to close")
    served.merge(routes=[served.routes("r", to("gone"))])
    serves(served.front, 503)


def test_a_bad_cluster_is_refused_by_name_and_the_rest_goes_on(served):
    bad = {"name": "bad", "type": "STATIC", "connect_timeout": "1s", "lb_policy": "RING_HASH",
           "ring_hash_lb_config": {"minimum_ring_size": 9, "maximum_ring_size": 8}}
    served.merge(clusters=[bad])
    assert "nacked" in served.settled("clusters")
    message = served.types()["clusters"]["nacks"][-1]["message"]
    assert "bad" in message and "ring" in message
    assert get(served.front) == (200, "one")
    assert int(served.stats("cds.update_rejected")["cluster_manager.cds.update_rejected"]) >= 1
    served.remove("clusters", "bad")
    assert "acked" in served.settled("clusters")


def test_a_cut_stream_is_opened_again_and_serving_goes_on(served, upstreams):
    served.ask("POST", "/drop")
    assert get(served.front) == (200, "one")
    served.merge(endpoints=[served.endpoints("a", upstreams[1].port)])
    serves(served.front, 200, "two")


def test_the_control_plane_may_come_after_us(driver, upstreams):
    driver.server.stop()
    driver.start()
    admin = driver.admin
    wait_for(lambda: get(admin)[0] == 200, "the admin page")
    front = free_port()
    driver.server = Process([DRIVER, "-listen", f"127.0.0.1:{driver.port}",
                             "-control", f"127.0.0.1:{driver.control}"],
                            driver.folder / "driver2.log")
    wait_for(lambda: driver.ask("GET", "/status") is not None, "the driver to listen")
    driver.replace(clusters=[driver.cluster("a")],
                   endpoints=[driver.endpoints("a", upstreams[0].port)],
                   listeners=[driver.listener("l", front, "r")],
                   routes=[driver.routes("r", to("a"))])
    wait_for(lambda: get(front) == (200, "one"), "traffic", timeout=40)


def test_updates_are_counted(served):
    counts = served.stats("update_success|update_rejected|connected_state")
    assert int(counts["cluster_manager.cds.update_success"]) >= 1
    assert int(counts["listener_manager.lds.update_success"]) >= 1
    assert int(counts["http.l.rds.r.update_success"]) >= 1
    assert int(counts["cluster.a.update_success"]) >= 1
    assert counts["cluster_manager.cds.update_rejected"] == "0"


def test_scopes_choose_the_routes_of_a_request(served, upstreams):
    port = free_port()
    scoped = {"name": "sc", "rds_config_source": served.source,
              "scope_key_builder": {"fragments": [
                  {"header_value_extractor": {"name": "X-Scope", "index": 0}}]},
              "scoped_rds": {"scoped_rds_config_source": served.source}}

    def scope(name, routes):
        return {"name": name, "route_configuration_name": routes,
                "key": {"fragments": [{"string_key": name}]}}

    served.merge(clusters=[served.cluster("b")],
                 endpoints=[served.endpoints("b", upstreams[1].port)],
                 routes=[served.routes("rb", to("b"))],
                 scoped_routes=[scope("one", "r"), scope("two", "rb")],
                 listeners=[served.listener("scoped", port, None, scoped_routes=scoped)])
    wait_for(lambda: ask(port, x_scope="one")[1] == "one", "the first scope")
    assert ask(port, x_scope="two")[1] == "two"
    assert ask(port, x_scope="three")[0] == 404
    served.remove("scoped_routes", "two")
    wait_for(lambda: ask(port, x_scope="two")[0] == 404, "a scope to go")
    assert ask(port, x_scope="one")[1] == "one"


def test_virtual_hosts_come_one_by_one(served, upstreams):
    if served.spelling != "DELTA_GRPC":
        pytest.skip("virtual hosts come by delta alone")
    port = free_port()

    def host(name, domain, cluster):
        return {"name": f"late/{name}", "domains": [domain],
                "routes": [{"match": {"prefix": "/"}, **to(cluster)}]}

    served.merge(routes=[{"name": "late", "vhds": {"config_source": served.source}}],
                 virtual_hosts=[host("a", "a.example", "a")],
                 listeners=[served.listener("late", port, "late")])
    wait_for(lambda: ask(port, Host="a.example")[1] == "one", "the first virtual host")
    assert ask(port, Host="b.example")[0] == 404
    served.merge(virtual_hosts=[host("b", "b.example", "a")])
    wait_for(lambda: ask(port, Host="b.example")[1] == "one", "the second one")
    served.remove("virtual_hosts", "late/b")
    wait_for(lambda: ask(port, Host="b.example")[0] == 404, "it to go")


def mutation(value):
    return {"name": "late", "typed_config": {
        "@type": MUTATION, "mutations": {"response_mutations": [
            {"append": {"header": {"key": "x-late", "value": value}}}]}}}


def test_a_filter_is_configured_late_and_anew(served):
    port = free_port()
    late = {"name": "late", "config_discovery": {"config_source": served.source,
                                                 "type_urls": [MUTATION]}}
    served.merge(extension_configs=[mutation("first")],
                 listeners=[served.listener("late", port, "r", [late])])
    wait_for(lambda: ask(port)[2].get("x-late") == "first", "the filter")
    served.merge(extension_configs=[mutation("second")])
    wait_for(lambda: ask(port)[2].get("x-late") == "second", "its next configuration")
    # What the chain cannot take leaves the filter as it was.
    served.merge(extension_configs=[{"name": "late", "typed_config": {"@type": ROUTER}}])
    assert "nacked" in served.settled("extension_configs")
    assert ask(port)[2].get("x-late") == "second"


def test_runtime_comes_from_the_control_plane(served):
    share = {"runtime_fraction": {"runtime_key": "go.on", "default_value": {"numerator": 0}}}
    routes = {"name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/", **share}, "direct_response": {"status": 418}},
        {"match": {"prefix": "/"}, **to("a")}]}]}
    served.merge(routes=[routes], runtimes=[{"name": "late", "layer": {"other": 1}}])
    serves(served.front, 200, "one")
    served.merge(runtimes=[{"name": "late", "layer": {"go": {"on": 100}}}])
    serves(served.front, 418)


@pytest.fixture
def polled(tmp_path, upstreams):
    made = Driver(tmp_path, "REST", False)
    try:
        made.front = free_port()
        made.replace(clusters=[made.cluster("a")],
                     endpoints=[made.endpoints("a", upstreams[0].port)],
                     listeners=[made.listener("l", made.front, "r")],
                     routes=[made.routes("r", to("a"))],
                     runtimes=[{"name": "late", "layer": {}}])
        made.start()
        serves(made.front, 200, "one")
        yield made
    finally:
        made.stop()


def test_a_rest_control_plane_is_polled(polled, upstreams):
    polled.merge(endpoints=[polled.endpoints("a", upstreams[1].port)])
    serves(polled.front, 200, "two")
    port = free_port()
    polled.merge(listeners=[polled.listener("more", port, "r")])
    serves(port, 200, "two")
    polled.remove("listeners", "more")
    serves(port, 0)
    serves(polled.front, 200, "two")
