"""An upstream dies under load: only what was on its way there fails, it leaves,
and it returns. No retries; each attempt is counted where it arrives."""

import concurrent.futures
import pathlib
import signal
import socket
import struct
import sys

import pytest
from support_control import Process, data_plane, free_port, wait_for
from support_load import wrk
from support_proxy import Proxy, cluster, listener, manager, route_to

pytestmark = pytest.mark.skipif(not data_plane("remora"), reason="remora is not built")

PROGRAM = pathlib.Path(__file__).with_name("upstream_process.py")
CONNECTIONS = 16


class Mortal:
    """An upstream that can be killed and started again on its port."""

    def __init__(self, folder, number):
        self.port = free_port()
        self._counter = folder / f"count-{number}"
        self._counter.write_bytes(bytes(8))
        self._log = folder / f"upstream-{number}.log"
        self.start()

    def start(self):
        self._process = Process(
            [sys.executable, str(PROGRAM), str(self.port), str(self._counter)], self._log)
        wait_for(self._listens, "the upstream to listen")

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def kill(self):
        self._process.stop(signal.SIGKILL)

    @property
    def requests(self):
        return struct.unpack("<Q", self._counter.read_bytes())[0]


class Stage:
    def __init__(self, folder):
        self.upstreams = [Mortal(folder, number) for number in range(3)]
        self.front = free_port()
        check = {"timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s",
                 "unhealthy_threshold": 1,
                 "healthy_threshold": 1, "http_health_check": {"path": "/healthz"}}
        self.proxy = Proxy(
            folder,
            listeners=[listener("front", self.front, manager([route_to("web")]))],
            clusters=[cluster("web", *(each.port for each in self.upstreams),
                              health_checks=[check],
                              common_lb_config={"healthy_panic_threshold": {"value": 0}})])
        for each in self.upstreams:
            wait_for(lambda port=each.port: self.health(port) == "healthy", "a passed check")

    def health(self, port):
        return self.proxy.host("web", port).get("health_flags")

    def host(self, upstream):
        told = self.proxy.host("web", upstream.port)
        return {name: int(told[name]) for name in ("rq_total", "rq_success", "rq_error",
                                                   "cx_connect_fail")}

    def stop(self):
        self.proxy.stop()
        for each in self.upstreams:
            each.kill()


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    made.stop()


def test_the_death_of_one_harms_no_request_of_the_others(stage):
    mortal, *others = stage.upstreams
    with concurrent.futures.ThreadPoolExecutor() as pool:
        load = pool.submit(wrk, f"http://127.0.0.1:{stage.front}/", 8, CONNECTIONS)
        wait_for(lambda: mortal.requests > 500, "traffic to all")
        mortal.kill()
        at_death = mortal.requests
        wait_for(lambda: stage.health(mortal.port) != "healthy", "the endpoint to leave")
        then = [each.requests for each in others]
        wait_for(lambda: all(each.requests > before + 500
                             for each, before in zip(others, then, strict=True)),
                 "its share to go to the others")
        assert mortal.requests == at_death
        mortal.start()
        wait_for(lambda: stage.health(mortal.port) == "healthy", "the endpoint to return")
        wait_for(lambda: mortal.requests > at_death + 200, "traffic to it again")
        counted = load.result()

    for each in others:
        told = stage.host(each)
        assert told["rq_error"] == told["cx_connect_fail"] == 0
        # Every request that was sent there arrived, once.
        wait_for(lambda e=each: stage.host(e)["rq_total"] == e.requests, "counts to agree")
    told = stage.host(mortal)
    # What failed failed there: cut as it died, or refused until the next check saw it.
    lost_there = told["rq_error"] + told["cx_connect_fail"]
    assert counted.bad <= lost_there, counted.text
    assert stage.proxy.stat("cluster.web.upstream_rq_retry") == 0
    attempts = sum(each.requests for each in stage.upstreams)
    assert counted.good <= attempts <= counted.good + counted.bad + CONNECTIONS
