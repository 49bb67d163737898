"""The application of the Celery driver: one task, and the settings that it is measured with."""
import mmap
import os
import struct
import time

import celery
from celery.signals import worker_ready

BOARD = os.environ["BOARD"]
JOBS = int(os.environ["JOBS"])

app = celery.Celery("bench", broker=f"redis://{os.environ['SERVER']}/0", set_as_current=True)
app.conf.update(
    task_default_queue="bench",
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=64,
    worker_disable_rate_limits=True,
    broker_connection_retry_on_startup=True,
)


class Board:
    """A file that all processes map: when the worker was ready, a byte for each job's runs, and how long it was waited
    for. Each job writes to places of its own, so that nothing has to be locked."""

    def __init__(self):
        with open(BOARD, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)

    @staticmethod
    def create():
        with open(BOARD, "wb") as file:
            file.truncate(8 + JOBS * 9)

    def ready(self):
        struct.pack_into("<q", self.map, 0, time.monotonic_ns())

    def ready_at(self):
        return struct.unpack_from("<q", self.map, 0)[0]

    def ran(self, number, waited):
        self.map[8 + number] += 1
        struct.pack_into("<q", self.map, 8 + JOBS + 8 * number, waited)

    def all_ran(self):
        return self.map.find(b"\0", 8, 8 + JOBS) == -1

    def runs(self):
        return self.map[8:8 + JOBS]

    def waits(self):
        return sorted(struct.unpack_from(f"<{JOBS}q", self.map, 8 + JOBS))


board = Board() if os.path.exists(BOARD) else None


@worker_ready.connect
def consuming(**_):
    board.ready()


@app.task(name="bench")
def bench(text):
    begun = time.monotonic_ns()  # One clock for all processes of a machine.
    number, sent, _ = text.split(" ", 2)
    board.ran(int(number), begun - int(sent))
