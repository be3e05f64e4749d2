"""A gRPC server without generated code: bytes in, bytes out, and the health service.

Says {"event": "listening", "port": …} when it listens, and {"event": "ended", "method": …,
"cancelled": …} when a call is over. Arguments: a certificate and its key, for TLS.
"""

import json
import sys
import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

CODES = {code.value[0]: code for code in grpc.StatusCode}


def say(**event):
    print(json.dumps(event), flush=True)


def noted(method, handler):
    """Sends metadata back as it came, and says how the call ended."""

    def call(request, context):
        state = {"cancelled": True}
        context.add_callback(lambda: say(event="ended", method=method, **state))
        sent = dict(context.invocation_metadata())
        if "x-echo" in sent:
            context.send_initial_metadata((("x-echo", sent["x-echo"]), ("x-seen", told(context))))
        context.set_trailing_metadata((("x-trailer", method), ("x-trailer-bin", b"\x00\xff")))
        return handler(request, context, state)

    return call


def told(context):
    """The metadata that a proxy may have changed, for the client to look at."""
    return json.dumps([
        [key, value.hex() if isinstance(value, bytes) else value]
        for key, value in context.invocation_metadata()
    ])


def unary(request, context, state):
    state["cancelled"] = False
    return request


def server_stream(request, context, state):
    """So many messages, or messages for ever."""
    count = json.loads(request)
    number = 0
    while count is None or number < count:
        if not context.is_active():
            return
        yield str(number).encode()
        number += 1
    state["cancelled"] = False


def client_stream(requests, context, state):
    sizes = [len(request) for request in requests]
    state["cancelled"] = False
    return json.dumps(sizes).encode()


def bidi(requests, context, state):
    for request in requests:
        yield request
    state["cancelled"] = False


def fail(request, context, state):
    state["cancelled"] = False
    code, message = json.loads(request)
    context.abort(CODES[code], message)


def fail_late(request, context, state):
    """Fails when its first message is on its way."""
    yield b"0"
    fail(request, context, state)


def hold(request, context, state):
    """Sends its first message, and then nothing for as long as it is let."""
    over = threading.Event()
    context.add_callback(over.set)
    yield request
    over.wait()


def slow(request, context, state):
    """Answers after so many milliseconds, or is cancelled before."""
    left = context.time_remaining()
    context.set_trailing_metadata((("x-time-left", str(left)),))
    over = threading.Event()
    context.add_callback(over.set)
    if not over.wait(json.loads(request) / 1000):
        state["cancelled"] = False
    return b"done"


def main():
    server = grpc.server(futures.ThreadPoolExecutor(128), options=[
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", -1),
    ])
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(noted("Unary", unary)),
        "ServerStream": grpc.unary_stream_rpc_method_handler(noted("ServerStream", server_stream)),
        "ClientStream": grpc.stream_unary_rpc_method_handler(noted("ClientStream", client_stream)),
        "Bidi": grpc.stream_stream_rpc_method_handler(noted("Bidi", bidi)),
        "Fail": grpc.unary_unary_rpc_method_handler(noted("Fail", fail)),
        "FailLate": grpc.unary_stream_rpc_method_handler(noted("FailLate", fail_late)),
        "Hold": grpc.unary_stream_rpc_method_handler(noted("Hold", hold)),
        "Slow": grpc.unary_unary_rpc_method_handler(noted("Slow", slow)),
    }
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("stitch.test.Echo", handlers),
    ))
    health_servicer = health.HealthServicer()
    health_servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_servicer.set("stitch.test.Echo", health_pb2.HealthCheckResponse.SERVING)
    health_servicer.set("stitch.test.Ill", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if len(sys.argv) > 1:
        cert, key = (open(path, "rb").read() for path in sys.argv[1:3])
        credentials = grpc.ssl_server_credentials([(key, cert)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    say(event="listening", port=port)
    server.wait_for_termination()


main()
