"""One call of gRPC-Web with sonora, told as JSON: URL CALL [ARGUMENT].

What comes out is {"code", "details", "initial", "trailing", "messages"}, metadata as it was on the
wire. Every message is JSON. sonora shows no metadata of a call of one message that failed.
"""

import json
import sys

import grpc
import sonora.client

LIMIT = 20
ECHO = "/stitch.test.Echo/"


def same(message):
    return message


def outcome(error, call, messages):
    return {
        "code": error.code().value[0] if error else 0,
        "details": error.details() if error else "",
        "initial": dict(call.initial_metadata()) if call else None,
        "trailing": dict(call.trailing_metadata() or ()) if call else None,
        "messages": [message.decode() for message in messages],
    }


def unary(channel, method, request, metadata=()):
    try:
        answer, call = channel.unary_unary(ECHO + method, same, same).with_call(request, LIMIT, metadata)
    except grpc.RpcError as error:
        return outcome(error, None, [])
    return outcome(None, call, [answer])


def stream(channel, method, request, metadata=()):
    # Without a limit of its own, which would stand in the header where a deadline of ours does.
    limit = None if metadata else LIMIT
    call = channel.unary_stream(ECHO + method, same, same)(request, limit, metadata)
    messages = []
    try:
        messages.extend(call)
    except grpc.RpcError as error:
        return outcome(error, call, messages)
    return outcome(None, call, messages)


def large(channel):
    request = bytes(range(256)) * (4 << 10)
    answer = channel.unary_unary(ECHO + "Unary", same, same)(request, LIMIT)
    return {"length": len(answer), "same": answer == request}


def main():
    url, kind, argument = (sys.argv[1:] + [""])[:3]
    argument = argument.encode()
    sent = (("x-echo", "told"), ("x-some-bin", b"\x00\x01\xff"))
    with sonora.client.insecure_web_channel(url) as channel:
        told = {
            "unary": lambda: unary(channel, "Unary", argument, sent),
            "large": lambda: large(channel),
            "fail": lambda: unary(channel, "Fail", argument),
            "server_stream": lambda: stream(channel, "ServerStream", argument),
            "fail_late": lambda: stream(channel, "FailLate", argument),
            "deadline": lambda: stream(channel, "Hold", b"0", (("grpc-timeout", argument.decode()),)),
        }[kind]()
    print(json.dumps(told))


main()
