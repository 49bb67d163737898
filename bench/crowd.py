#!/usr/bin/env python3
"""A crowd in front of a master: idle clients, slow senders, strangers. Used by crowd.sh.

crowd.py HOST:PORT IDLE SLOW STRANGERS_PER_SECOND

Says `ready` once all are connected, and goes on until its stdin ends.
"""
import os
import resource
import select
import socket
import struct
import sys
import time

MAGIC, HELLO, SUBMIT = 0x4E434C46, 1, 2


def frame(kind, body):
    return struct.pack("<IHHQ", len(body), kind, 0, 1) + body


HELLO_FRAME = frame(HELLO, struct.pack("<IHHH", MAGIC, 1, 1, 5) + b"crowd" + struct.pack("<IQB", 0, 0, 0))


def connect(address):
    return socket.create_connection(address, 10)


def greeted(address):
    sock = connect(address)
    sock.sendall(HELLO_FRAME)
    head = sock.recv(16, socket.MSG_WAITALL)
    body_bytes, kind, _, _ = struct.unpack("<IHHQ", head)
    assert kind == 0x8001, f"no HelloOk but {kind:#x}"
    sock.recv(body_bytes, socket.MSG_WAITALL)
    return sock


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    address = (host, int(port))
    idle_count, slow_count, strangers_per_s = map(int, sys.argv[2:5])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    idle = [greeted(address) for _ in range(idle_count)]
    slow = [greeted(address) for _ in range(slow_count)]
    for sock in slow:
        sock.sendall(struct.pack("<IHHQ", 1 << 20, SUBMIT, 0, 2))
    print("ready", len(idle), len(slow), flush=True)
    made = sent = 0
    begun_at = time.monotonic()
    while True:
        passed = time.monotonic() - begun_at
        # Ten slices a second of each.
        while sent < passed * slow_count and slow:
            slow[sent % slow_count].sendall(b"x")
            sent += 1
        while made < passed * strangers_per_s:
            stranger = connect(address)
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            stranger.close()
            made += 1
        if select.select([sys.stdin], [], [], 0.01)[0] and not os.read(0, 1):
            print(f"{made} strangers, {sent} bytes in {passed:.1f} s", flush=True)
            return


main()
