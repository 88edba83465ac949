"""gRPC's own client and server with Remora between them, in the clear and over
mTLS: every kind of call, deadlines, errors without a body."""

import concurrent.futures
import threading

import grpc
import pytest
from support_control import data_plane, free_port, wait_for
from support_proxy import Proxy, cluster, listener, manager, pki, route_to, server_tls

pytestmark = pytest.mark.skipif(not data_plane("remora"), reason="remora is not built")

SERVICE = "remora.test.Echo"


class Echo(grpc.GenericRpcHandler):
    """Bytes in, bytes out; no generated code."""

    def service(self, details):
        method = details.method.rsplit("/", 1)[1]
        kinds = {
            "Unary": grpc.unary_unary_rpc_method_handler,
            "Refuse": grpc.unary_unary_rpc_method_handler,
            "Early": grpc.unary_unary_rpc_method_handler,
            "Hang": grpc.unary_unary_rpc_method_handler,
            "Count": grpc.unary_stream_rpc_method_handler,
            "Sum": grpc.stream_unary_rpc_method_handler,
            "Talk": grpc.stream_stream_rpc_method_handler,
        }
        return kinds[method](getattr(self, {"Early": "hang"}.get(method, method.lower()))) if method in kinds else None

    @staticmethod
    def unary(request, context):
        sent = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-initial", sent.get("x-ask", "none"))])
        context.set_trailing_metadata([("x-trailing", "end"), ("x-bytes-bin", b"\x00\xff")])
        return request

    @staticmethod
    def refuse(request, context):
        context.set_trailing_metadata([("x-why", "test")])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 % sure")

    @staticmethod
    def hang(request, context):
        # Until the client or the proxy gives up.
        over = threading.Event()
        if context.add_callback(over.set):
            over.wait()
        return request

    @staticmethod
    def count(request, context):
        for number in range(int(request)):
            yield str(number).encode()

    @staticmethod
    def sum(requests, context):
        return str(sum(map(len, requests))).encode()

    @staticmethod
    def talk(requests, context):
        for request in requests:
            yield request[::-1]


class Stage:
    def __init__(self, folder):
        # A message of 8 MB passes in both directions.
        self.options = [("grpc.max_receive_message_length", -1),
                        ("grpc.max_send_message_length", -1),
                        ("grpc.enable_http_proxy", 0)]
        pool = concurrent.futures.ThreadPoolExecutor(max_workers=16)
        self.server = grpc.server(pool, options=self.options)
        self.server.add_generic_rpc_handlers((Echo(),))
        upstream = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.certs = pki(folder / "pki", "server", "client")
        self.plain, self.secure = free_port(), free_port()
        # The deadline that a call carries is the proxy's too; for "Early" it is 0.3 s less.
        kept = {"timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"}}
        early = {"timeout": "0s", "max_stream_duration": {
            "grpc_timeout_header_max": "0s", "grpc_timeout_header_offset": "0.3s"}}
        # There the server does not hear of it, or it might be the one that ends the call.
        hidden = route_to("echo", f"/{SERVICE}/Early", **early)
        hidden["request_headers_to_remove"] = ["grpc-timeout"]
        front = manager([hidden, route_to("echo", **kept)])
        self.proxy = Proxy(folder, listeners=[
            listener("plain", self.plain, front),
            listener("secure", self.secure, front, server_tls(self.certs, mutual=True))],
            clusters=[cluster("echo", upstream, http2=True)])

    def channel(self, secure):
        if not secure:
            return grpc.insecure_channel(f"127.0.0.1:{self.plain}", options=self.options)
        read = {name: (self.certs / name).read_bytes()
                for name in ("ca.crt", "client.key", "client.crt")}
        credentials = grpc.ssl_channel_credentials(read["ca.crt"], read["client.key"],
                                                   read["client.crt"])
        return grpc.secure_channel(f"localhost:{self.secure}", credentials, options=self.options)

    def stop(self):
        self.proxy.stop()
        self.server.stop(None).wait()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("grpc"))
    yield made
    made.stop()


@pytest.fixture(params=[False, True], ids=["h2c", "mtls"])
def channel(stage, request):
    with stage.channel(request.param) as made:
        yield made
    # Nothing of a call stays behind.
    wait_for(lambda: stage.proxy.stat("cluster.echo.upstream_rq_active") == 0
             and stage.proxy.stat("http.front.downstream_rq_active") == 0, "no call to be left")


def path(method):
    return f"/{SERVICE}/{method}"


def test_unary_with_metadata_both_ways(channel):
    answer, call = channel.unary_unary(path("Unary")).with_call(
        b"question", metadata=[("x-ask", "me")], timeout=10)
    assert answer == b"question"
    assert dict(call.initial_metadata())["x-initial"] == "me"
    trailing = dict(call.trailing_metadata())
    assert trailing["x-trailing"] == "end"
    assert trailing["x-bytes-bin"] == b"\x00\xff"


@pytest.mark.parametrize("size", [0, 1, 70_000, 8_000_000])
def test_messages_of_any_size(channel, size):
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert channel.unary_unary(path("Unary"))(message, timeout=30) == message


def test_the_server_streams(channel):
    answers = list(channel.unary_stream(path("Count"))(b"2000", timeout=30))
    assert answers == [str(number).encode() for number in range(2000)]


def test_the_client_streams(channel):
    messages = (b"x" * 1000 for _ in range(500))
    assert channel.stream_unary(path("Sum"))(messages, timeout=30) == b"500000"


def test_both_stream_in_turns(channel):
    """Each message is sent only once the answer to the one before is here."""
    answers = []

    def ask():
        for number in range(50):
            wait_for(lambda n=number: len(answers) == n, "the answer before")
            yield f"message {number}".encode()

    for answer in channel.stream_stream(path("Talk"))(ask(), timeout=30):
        answers.append(answer)
    assert answers == [f"message {number}".encode()[::-1] for number in range(50)]


def test_an_error_without_a_body(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(path("Refuse"))(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details() == "not now: 100 % sure"
    assert dict(error.value.trailing_metadata())["x-why"] == "test"


def test_a_method_that_is_not_there(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(path("Nothing"))(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_the_proxy_holds_the_deadline_that_the_call_carries(channel, stage):
    before = stage.proxy.stat("http.front.downstream_rq_max_duration_reached")
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(path("Early"))(b"", timeout=0.6)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.value.details() == "downstream duration timeout"
    wait_for(lambda: stage.proxy.stat("http.front.downstream_rq_max_duration_reached")
             == before + 1, "the proxy to have ended it")


def test_the_clients_deadline_ends_the_call_everywhere(channel, stage):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(path("Hang"))(b"", timeout=0.2)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_cancelled_call_reaches_the_server(channel, stage):
    call = channel.unary_unary(path("Hang")).future(b"", timeout=30)
    wait_for(lambda: stage.proxy.stat("cluster.echo.upstream_rq_active") == 1, "the call")
    call.cancel()
    wait_for(lambda: stage.proxy.stat("cluster.echo.upstream_rq_active") == 0, "its end")


def test_many_at_once(channel):
    calls = [channel.unary_unary(path("Unary")).future(str(n).encode(), timeout=30)
             for n in range(500)]
    assert [call.result() for call in calls] == [str(n).encode() for n in range(500)]
