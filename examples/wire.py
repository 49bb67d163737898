#!/usr/bin/env python3
"""Submits a job, takes it, and acks it, in the bytes of protocol.md: python3 wire.py HOST:PORT

One request at a time: a real client has many open, and finds each reply by its correlation.
"""

import socket
import struct
import sys

HELLO, SUBMIT, POLL, ACK = 1, 2, 3, 4
ERROR = 0x80FF
NO_EXTRAS = b"\0"


def text(value):
    data = value.encode()
    return struct.pack("<H", len(data)) + data


def data(value):
    return struct.pack("<I", len(value)) + value


class Reader:
    """Takes fields off the front of a body."""

    def __init__(self, body):
        self.body = body

    def take(self, size):
        taken, self.body = self.body[:size], self.body[size:]
        return taken

    def numbers(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def text(self):
        return self.take(*self.numbers("H")).decode()

    def data(self):
        return self.take(*self.numbers("I"))

    def skip_extras(self):
        # Those below 128 may be passed over by who does not know them.
        for _ in range(*self.numbers("B")):
            tag, size = self.numbers("BH")
            if tag >= 128:
                raise SystemExit(f"extra {tag} has to be understood")
            self.take(size)


class Connection:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.stream = socket.create_connection((host, int(port)))
        self.correlation = 0

    def read(self, size):
        read = b""
        while len(read) < size:
            piece = self.stream.recv(size - len(read))
            if not piece:
                raise SystemExit("the master has closed the connection")
            read += piece
        return read

    def call(self, kind, body):
        self.correlation += 1
        self.stream.sendall(struct.pack("<IHHQ", len(body), kind, 0, self.correlation) + body)
        size, answered, _, _ = struct.unpack("<IHHQ", self.read(16))
        reply = Reader(self.read(size))
        if answered == ERROR:
            code, retry = reply.numbers("HB")
            raise SystemExit(f"error {code}: {reply.text()}{' (try again)' if retry else ''}")
        return reply


def main():
    master = Connection(sys.argv[1])

    # Hello: magic, oldest and newest version, a name, no token, no instance.
    hello = struct.pack("<IHH", 0x4E434C46, 1, 1) + text("wire.py") + data(b"") + struct.pack("<Q", 0) + NO_EXTRAS
    version, session = master.call(HELLO, hello).numbers("HQ")
    print(f"version {version}, session {session}")

    # Submit: a list of one job: queue, no key, priority 128, the master's attempts, no time-out, no delay.
    job = text("wire") + text("") + struct.pack("<BHIQ", 128, 0, 0, 0) + NO_EXTRAS + data(b"hello")
    reply = master.call(SUBMIT, struct.pack("<H", 1) + job + NO_EXTRAS)
    _, job_id, is_duplicate = reply.numbers("HQB")
    print(f"job {job_id} is on disk{', and was before' if is_duplicate else ''}")

    # Poll: one queue, one free slot, up to 5 s of waiting, a lease of 10 s.
    reply = master.call(POLL, struct.pack("<H", 1) + text("wire") + struct.pack("<HII", 1, 5_000, 10_000) + NO_EXTRAS)
    count, job_id, lease = reply.numbers("HQQ")
    queue, key = reply.text(), reply.text()
    _priority, _max_attempts, _timeout, attempt, _lease_ms, _waited = reply.numbers("BHIHII")
    reply.skip_extras()
    payload = reply.data()
    print(f"{count} job: {job_id} of {queue}, attempt {attempt}, under lease {lease}: {payload.decode()}")

    # Ack: a list of one: job, lease, and the result last. The reply has a status for each; 0 is done.
    ack = struct.pack("<QQ", job_id, lease) + NO_EXTRAS + data(payload.upper())
    _, job_id, status = master.call(ACK, struct.pack("<H", 1) + ack + NO_EXTRAS).numbers("HQH")
    print(f"job {job_id} is done" if status == 0 else f"job {job_id} was refused: {status}")


main()
