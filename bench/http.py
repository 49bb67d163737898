#!/usr/bin/env python3
"""A crowd in front of the HTTP server of a master. Used by http.sh.

http.py HOST:PORT STREAMS REQUESTS

Opens event streams and reads them; sends bad requests over and over, REQUESTS of them a round of ten seconds: a third
wrong, a third heads that end in the middle, and a third a byte a second. Says `ready` once the streams are there, goes on
until its stdin ends, and then says what it did.
"""
import resource
import selectors
import socket
import sys
import time

WRONG = [
    b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/jobs?limit=x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{\"a\":",
    b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
]
HALF = b"GET /api/v1/stats HTTP/1.1\r\nHost: loc"
STREAM = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
OPEN_MAX = 12_000
PATIENCE_S = 10


class Crowd:
    def __init__(self, address, streams, per_round):
        self.address, self.per_s = address, per_round / 10
        self.selector = selectors.DefaultSelector()
        self.streams, self.open, self.slow = [], {}, []
        self.made = self.refused = self.ended = self.stream_bytes = 0
        for _ in range(streams):
            sock = socket.create_connection(address, 10)
            sock.sendall(STREAM)
            head = sock.recv(4096)
            assert b" 200 " in head, head
            sock.setblocking(False)
            self.streams.append(sock)
            self.selector.register(sock, selectors.EVENT_READ, True)

    def begin(self):
        if len(self.open) >= OPEN_MAX:
            return
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(self.address)
        self.made += 1
        kind = self.made % 3
        text = WRONG[self.made // 3 % len(WRONG)] if kind == 0 else HALF
        self.open[sock] = [time.monotonic(), kind, text]
        self.selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, False)

    def end(self, sock):
        self.selector.unregister(sock)
        sock.close()
        self.open.pop(sock, None)
        self.ended += 1

    def act(self, sock, mask):
        begun, kind, text = self.open[sock]
        try:
            if mask & selectors.EVENT_WRITE:
                part = text if kind < 2 else text[:1]
                sent = sock.send(part)
                self.open[sock][2] = text[sent:]
                if kind == 2 and text[sent:]:
                    self.slow.append(sock)
                self.selector.modify(sock, selectors.EVENT_READ, False)
            if mask & selectors.EVENT_READ and not sock.recv(4096):
                self.end(sock)
        except OSError:
            self.refused += 1
            self.end(sock)

    def later(self, now):
        for sock in self.slow:
            if sock in self.open:
                self.selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, False)
        self.slow = []
        for sock in [sock for sock, (begun, _, _) in self.open.items() if now - begun > PATIENCE_S]:
            self.end(sock)

    def turn(self):
        for key, mask in self.selector.select(0.05):
            if key.data is None:
                return False
            if key.data:
                read = key.fileobj.recv(1 << 16)
                assert read, "a stream ended"
                self.stream_bytes += len(read)
            else:
                self.act(key.fileobj, mask)
        return True


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    crowd = Crowd((host, int(port)), int(sys.argv[2]), int(sys.argv[3]))
    crowd.selector.register(sys.stdin, selectors.EVENT_READ, None)
    print("ready", flush=True)
    begun = second = time.monotonic()
    sent = 0
    while crowd.turn():
        now = time.monotonic()
        while sent < (now - begun) * crowd.per_s:
            crowd.begin()
            sent += 1
        if now - second > 1:
            second = now
            crowd.later(now)
    print(f"{crowd.made} requests, {crowd.ended} ended, {crowd.refused} reset; {len(crowd.streams)} streams read "
          f"{crowd.stream_bytes} bytes", flush=True)


main()
