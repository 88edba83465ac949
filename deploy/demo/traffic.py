"""A steady stream of requests, counted by who answered."""

import collections
import http.client
import threading
import time

RATE = 400  # requests a second, over all connections
CONNECTIONS = 4


class Traffic:
    """Sends GETs to one address over kept connections until stopped.

    An answer's body is the name of the server that gave it. Whatever is not a
    200 counts as failed, also a connection that breaks in the middle.
    """

    def __init__(self, port):
        self._port = port
        self._lock = threading.Lock()
        self._answers = collections.Counter()
        self._failed = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, daemon=True)
            for _ in range(CONNECTIONS)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def counts(self):
        """Answers by server, and what failed, since the start."""
        with self._lock:
            return collections.Counter(self._answers), list(self._failed)

    def _send(self):
        pause = CONNECTIONS / RATE
        due = time.monotonic()
        connection = None
        while not self._stop.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(
                        "127.0.0.1", self._port, timeout=10)
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read().decode().strip()
                fault = (None if answer.status == 200
                         else f"{answer.status} {body}")
            except (OSError, http.client.HTTPException) as error:
                fault, connection = f"{type(error).__name__}: {error}", None
            with self._lock:
                if fault is None:
                    self._answers[body] += 1
                else:
                    self._failed.append(fault)
            due = max(due + pause, time.monotonic() - pause)
            self._stop.wait(max(0.0, due - time.monotonic()))
        if connection is not None:
            connection.close()
