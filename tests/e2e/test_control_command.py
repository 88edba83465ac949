"""The command line of remora-control: what a person or a unit file meets."""

import os
import signal
import stat
import subprocess

import pytest
import yaml

from support_control import Mesh, control_binary, data_plane

pytestmark = pytest.mark.skipif(control_binary() is None, reason="remora-control is not built")

GOOD = """
services:
  web: {sidecar: 127.0.0.1:9100, endpoints: ["127.0.0.1:9001"], allow: [edge]}
gateways:
  edge: {listen: 127.0.0.1:8080, routes: [{service: web}]}
"""


@pytest.fixture
def mesh(tmp_path):
    mesh = Mesh(tmp_path)
    mesh.describe(GOOD)
    yield mesh
    mesh.close()


def serve(mesh, *arguments):
    return mesh.run_control("--services", str(mesh.services), "--state", str(mesh.state),
                            *arguments)


def test_leaves_with_0_on_sigterm_and_takes_its_socket_along(mesh):
    path = mesh.folder / "c.sock"
    control = mesh.start_control("--listen", f"unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert control.stop() == 0
    assert not path.exists()


def test_a_socket_left_by_a_killed_process_is_no_hindrance(mesh):
    path = mesh.folder / "c.sock"
    mesh.start_control("--listen", f"unix:{path}").stop(signal.SIGKILL)
    assert path.exists()
    mesh.start_control("--listen", f"unix:{path}")


def test_says_which_port_is_taken(mesh):
    mesh.start_control()
    address = (mesh.state / "listen").read_text().split()[0]
    second = serve(mesh, "--listen", address)
    assert second.returncode == 1
    assert f"cannot listen on {address}: Address already in use" in second.stderr


def test_does_not_start_on_a_mistake_and_says_its_line(mesh):
    mesh.describe(GOOD.replace("endpoints", "endpoint"))
    started = serve(mesh, "--listen", "127.0.0.1:0")
    assert started.returncode == 1
    assert f"{mesh.services}:3: services.web.endpoint: unknown key" in started.stderr


@pytest.mark.parametrize("arguments, complaint", [
    ((), "--services and --listen are needed"),
    (("--listen", "127.0.0.1:0"), "--services and --listen are needed"),
    (("--services", "/nowhere", "--listen", "127.0.0.1:0"), "cannot read /nowhere"),
    (("--services", ".", "--listen", "nonsense"), "cannot listen on nonsense"),
    (("--services", ".", "--listen", "127.0.0.1:0", "--ttl", "now"), "--ttl"),
    (("--services", ".", "--listen", "127.0.0.1:0", "--trust-domain", "Ä"), "no trust domain"),
    (("token", "../x"), "no name of a service"),
    (("bootstrap", "web"), "say where the control plane listens"),
])
def test_says_what_is_wrong(mesh, arguments, complaint):
    before = os.environ.get("STATE_DIRECTORY")
    os.environ["STATE_DIRECTORY"] = str(mesh.folder / "elsewhere")
    try:
        ran = mesh.run_control(*arguments)
    finally:
        if before is None:
            del os.environ["STATE_DIRECTORY"]
        else:
            os.environ["STATE_DIRECTORY"] = before
    assert ran.returncode == 1
    assert complaint in ran.stderr


def test_help_names_everything(mesh):
    shown = mesh.run_control("--help")
    assert shown.returncode == 0
    for word in ("--services", "--listen", "--state", "--trust-domain", "--ttl", "token",
                 "bootstrap"):
        assert word in shown.stdout
    assert "--instance" in mesh.run_control("bootstrap", "--help").stdout
    assert mesh.run_control("--version").stdout.startswith("remora-control ")


def test_a_token_is_written_for_its_owner_alone(mesh):
    made = mesh.run_control("token", "web", "--state", str(mesh.state))
    path = mesh.state / "join" / "web.token"
    assert made.stdout.strip() == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = path.read_text().strip()
    assert token.startswith("rmt_") and len(token) > 40
    assert token not in (mesh.state / "tokens" / "web").read_text()


def test_a_bootstrap_holds_the_given_token_and_is_its_owners(mesh):
    mesh.start_control()
    token = mesh.folder / "t"
    assert mesh.run_control("token", "web", "--state", str(mesh.state), "--out",
                            str(token)).returncode == 0
    path = mesh.bootstrap("web", "--token", str(token), "--control", "control.example:18000",
                          "--admin", "127.0.0.1:9901")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = yaml.safe_load(path.read_text())
    grpc = text["dynamic_resources"]["ads_config"]["grpc_services"][0]
    assert grpc["initial_metadata"][0]["value"] == "Bearer " + token.read_text().strip()
    assert text["node"] == {"id": "web", "cluster": "web"}
    assert text["admin"]["address"]["socket_address"]["port_value"] == 9901


@pytest.mark.parametrize("plane", ["envoy", "remora"])
@pytest.mark.parametrize("arguments", [(), ("--control", "unix:/run/c.sock"), ("--delta",)],
                         ids=["tls", "unix", "delta"])
def test_proxies_accept_the_bootstrap(mesh, plane, arguments):
    program = data_plane(plane)
    if program is None:
        pytest.skip(f"no {plane} here")
    mesh.start_control()
    path = mesh.bootstrap("web", *arguments)
    checked = subprocess.run([program, "--mode", "validate", "-c", str(path)],
                             capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
