"""Endpoints, routes and certificates change all the time; no request is lost."""

import concurrent.futures
import contextlib
import json
import os
import random
import ssl
import threading
import time
import urllib.request

import pytest
from support_control import data_plane, free_port
from support_load import h2load, wrk
from support_proxy import (Nginx, Proxy, certificate, endpoints, listener, manager, pki, route_to)

pytestmark = pytest.mark.skipif(not data_plane("remora"), reason="remora is not built")

REQUESTS = 100_000
RESOURCE = "type.googleapis.com/envoy."
PAUSE = 0.02  # between two changes
LONGEST = 90  # seconds of load


class Stage:
    """One TLS listener, whose routes, endpoints and certificate are files."""

    def __init__(self, folder):
        self.folder = folder
        self.dynamic = folder / "dynamic"
        self.dynamic.mkdir()
        self.certs = pki(folder / "pki", "one", "two")
        answer = '; location / {{ return 200 "{0}\\n"; }}'
        self.nginx = Nginx(folder / "nginx", **{
            name: answer.format(name) for name in ("a1", "a2", "a3", "b1")})
        self.version = 0
        self.random = random.Random(3)
        self.move_endpoints()
        self.move_routes()
        self.move_certificate()
        self.port = free_port()
        tls = {"common_tls_context": {"alpn_protocols": ["h2", "http/1.1"],
                                      "tls_certificate_sds_secret_configs": [
                                          {"name": "pair", "sds_config": self.source("sds")}]}}
        front = manager({"route_config_name": "routes", "config_source": self.source("rds")})
        limits = {"circuit_breakers": {"thresholds": [{"max_requests": 10000}]}}
        clusters = [{"name": name, "type": "EDS", "connect_timeout": "5s", **limits,
                     "eds_cluster_config": {"eds_config": self.source(f"eds-{name}")}}
                    for name in ("a", "b")]
        self.proxy = Proxy(folder, workers=2, clusters=clusters,
                           listeners=[listener("front", self.port, front, tls)])
        self.url = f"https://127.0.0.1:{self.port}/"

    def source(self, name):
        return {"resource_api_version": "V3", "path_config_source": {
            "path": str(self.dynamic / f"{name}.json")}}

    def put(self, name, kind, resource):
        """As a file is to be changed: written beside, moved over."""
        self.version += 1
        beside = self.dynamic / f"{name}.new"
        beside.write_text(json.dumps({"version_info": str(self.version), "resources": [
            {"@type": RESOURCE + kind, **resource}]}))
        os.replace(beside, self.dynamic / f"{name}.json")

    def move_endpoints(self):
        ports = self.nginx.ports
        chosen = self.random.sample(["a1", "a2", "a3"], self.random.randint(1, 3))
        kind = "config.endpoint.v3.ClusterLoadAssignment"
        assignment = endpoints("a", *(ports[name] for name in chosen))
        for host in assignment["endpoints"][0]["lb_endpoints"]:
            host["load_balancing_weight"] = self.random.randint(1, 5)
        self.put("eds-a", kind, assignment)
        self.put("eds-b", kind, endpoints("b", ports["b1"]))

    def move_routes(self):
        share = self.random.randint(0, 100)
        clusters = [{"name": "a", "weight": share}, {"name": "b", "weight": 100 - share}]
        header = {"header": {"key": "x-version", "value": str(self.version)}}
        route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}}}
        other = route_to("b", f"/{self.version}")
        self.put("rds", "config.route.v3.RouteConfiguration", {
            "name": "routes", "response_headers_to_add": [header],
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [other, route]}]})

    def move_certificate(self):
        name = self.random.choice(["one", "two"])
        self.put("sds", "extensions.transport_sockets.tls.v3.Secret",
                 {"name": "pair", "tls_certificate": certificate(self.certs, name)})

    def stop(self):
        self.proxy.stop()
        self.nginx.stop()


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    made.stop()


@contextlib.contextmanager
def changing(stage):
    """Changes go on, and fresh connections are made, until the block ends."""
    over = threading.Event()
    seen = {"changes": 0, "handshakes": 0}
    moves = [stage.move_endpoints, stage.move_routes, stage.move_certificate]

    def change():
        while not over.wait(PAUSE):
            stage.random.choice(moves)()
            seen["changes"] += 1

    def shake_hands():
        trust = ssl.create_default_context(cafile=f"{stage.certs}/ca.crt")
        while not over.is_set():
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
            with opener.open(f"https://localhost:{stage.port}/", timeout=10) as reply:
                assert reply.status == 200
                reply.read()
            seen["handshakes"] += 1

    with concurrent.futures.ThreadPoolExecutor() as pool:
        tasks = [pool.submit(change), pool.submit(shake_hands)]
        try:
            yield seen
        finally:
            over.set()
        for task in tasks:
            task.result()


def enough(stage, seen):
    """Whether every kind of change arrived often enough to mean something."""
    stat = stage.proxy.stat
    updated = "listener.127.0.0.1_%d.server_ssl_socket_factory.ssl_context_update_by_sds"
    return (seen["changes"] > 100 and seen["handshakes"] > 20
            and stat("cluster.a.update_success") > 20
            and stat("http.front.rds.routes.update_success") > 20
            and stat(updated % stage.port) > 10)


def load_until_enough(stage, seen, run):
    """Loads until the requests and the changes both suffice; the last run's end bounds it."""
    good, until = 0, time.monotonic() + LONGEST
    while good < REQUESTS or not enough(stage, seen):
        assert time.monotonic() < until, f"{good} requests, {seen}"
        counted = run()
        assert counted.bad == 0, counted.text
        good += counted.good


def check_nothing_lost(stage):
    stat = stage.proxy.stat
    assert stat("cluster.a.update_rejected") == 0
    assert stat("http.front.rds.routes.update_rejected") == 0
    assert stat("http.front.downstream_rq_5xx") == stat("http.front.downstream_rq_4xx") == 0
    assert stat("http.front.downstream_rq_2xx") > REQUESTS
    for name in "ab":
        assert stat(f"cluster.{name}.upstream_cx_destroy_with_active_rq") == 0


def test_wrk_loses_nothing(stage):
    with changing(stage) as seen:
        load_until_enough(stage, seen, lambda: wrk(stage.url, 5, 32))
    check_nothing_lost(stage)


def test_h2load_loses_nothing(stage):
    with changing(stage) as seen:
        load_until_enough(stage, seen, lambda: h2load(stage.url, REQUESTS // 4, 8, 16))
    check_nothing_lost(stage)
