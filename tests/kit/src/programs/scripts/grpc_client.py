"""One gRPC call, or a batch of them, told as JSON: ADDRESS AUTHORITY CALL [ARGUMENT].

What comes out is {"code", "details", "initial", "trailing", "messages"}; metadata that is not text
is told as hexadecimal digits. CA in the environment names an authority to trust: then it is TLS.
"""

import json
import os
import queue
import sys

import grpc

LIMIT = 20
ECHO = "/stitch.test.Echo/"


def dial(address, authority):
    options = [
        ("grpc.default_authority", authority),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", -1),
    ]
    if ca := os.environ.get("CA"):
        credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
        return grpc.secure_channel(address, credentials, options)
    return grpc.insecure_channel(address, options)


def readable(metadata):
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in metadata or ()}


def outcome(call, messages=()):
    return {
        "code": call.code().name, "details": call.details(), "messages": list(messages),
        "initial": readable(call.initial_metadata()), "trailing": readable(call.trailing_metadata()),
    }


def unary(channel, method, request=b"hello", timeout=LIMIT, metadata=()):
    try:
        answer, call = channel.unary_unary(method).with_call(request, timeout, metadata)
    except grpc.RpcError as error:
        return outcome(error)
    return outcome(call, [answer.decode()])


def server_stream(channel, count):
    call = channel.unary_stream(ECHO + "ServerStream")(json.dumps(count).encode(), LIMIT)
    return outcome(call, [message.decode() for message in call])


def fail_late(channel, argument):
    """A stream that fails behind its first message."""
    call = channel.unary_stream(ECHO + "FailLate")(json.dumps(argument).encode(), LIMIT)
    messages = []
    try:
        for message in call:
            messages.append(message.decode())
    except grpc.RpcError:
        pass
    return outcome(call, messages)


def client_stream(channel):
    sent = iter([b"", b"a", b"b" * 100_000])
    answer, call = channel.stream_unary(ECHO + "ClientStream").with_call(sent, LIMIT)
    return outcome(call, [answer.decode()])


def bidi(channel):
    """Each request waits for the answer to the one before: nothing may be held back."""
    sent = queue.Queue()
    call = channel.stream_stream(ECHO + "Bidi")(iter(sent.get, None), LIMIT)
    answers = []
    for number in range(10):
        sent.put(str(number).encode())
        answers.append(next(call).decode())
    sent.put(None)
    answers += [message.decode() for message in call]
    return outcome(call, answers)


def cancel(channel):
    """Reads some of an endless stream, then calls it off."""
    call = channel.unary_stream(ECHO + "ServerStream")(b"null", LIMIT)
    messages = [next(call).decode() for _ in range(3)]
    call.cancel()
    return outcome(call, messages)


def metadata(channel):
    sent = (("x-echo", "told"), ("x-some-bin", b"\x00\x01\xff"), ("x-twice", "a"), ("x-twice", "b"))
    return unary(channel, ECHO + "Unary", metadata=sent)


def large(channel):
    request = bytes(range(256)) * (4 << 12)
    answer = channel.unary_unary(ECHO + "Unary")(request, LIMIT)
    return {"length": len(answer), "same": answer == request}


def concurrent(channel, count):
    calls = [channel.unary_unary(ECHO + "Unary").future(str(n).encode(), LIMIT) for n in range(count)]
    return {"messages": [call.result().decode() for call in calls]}


def main():
    address, authority, kind = sys.argv[1:4]
    argument = json.loads(sys.argv[4]) if len(sys.argv) > 4 else None
    with dial(address, authority) as channel:
        told = {
            "unary": lambda: unary(channel, ECHO + "Unary"),
            "method": lambda: unary(channel, argument),
            "fail": lambda: unary(channel, ECHO + "Fail", json.dumps(argument).encode()),
            "fail_late": lambda: fail_late(channel, argument),
            "slow": lambda: unary(channel, ECHO + "Slow", b"0", argument),
            "deadline": lambda: unary(channel, ECHO + "Slow", b"60000", argument),
            "server_stream": lambda: server_stream(channel, argument),
            "client_stream": lambda: client_stream(channel),
            "bidi": lambda: bidi(channel),
            "cancel": lambda: cancel(channel),
            "metadata": lambda: metadata(channel),
            "large": lambda: large(channel),
            "concurrent": lambda: concurrent(channel, argument),
        }[kind]()
    print(json.dumps(told))


main()
