"""Reads two streams of events, the second from where the first ended: URL and Host.

Each event is asked for when the one before has arrived, so that one which is held back on the way
stops everything. Prints what came as JSON.
"""

import json
import sys

import httpx

url, host = sys.argv[1:]
ids, last = [], None
with httpx.Client(timeout=20, trust_env=False, headers={"host": host}) as client:
    for _ in range(2):
        resume = {"last-event-id": last} if last else {}
        with client.stream("GET", f"{url}/events", headers=resume) as answer:
            assert answer.headers["content-type"] == "text/event-stream", answer.headers
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    last = line.removeprefix("id: ")
                    ids.append(last)
                    client.post(f"{url}/next").raise_for_status()
print(json.dumps(ids))
