"""The driver for Celery on Redis: `celery_driver.py SCENARIO JOBS`, the server's address in SERVER.

Starts a worker as `celery worker` does, and a producer as a process of its own; prints one line of JSON."""
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import redis

POOL = ["--pool", "prefork", "--concurrency", "2"]
QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]
SETTINGS = ("appendfsync everysec, apply_async one by one on one connection, prefork of 2, task_acks_late, "
            "worker_prefetch_multiplier 64, results ignored, without gossip, mingle and heartbeat")
PAYLOAD = 256
SECONDS_BETWEEN = 0.005


def produce(scenario, jobs):
    """Celery has no call for many jobs: each is an LPUSH that Redis has answered when apply_async returns."""
    from celery_tasks import app, bench

    with app.producer_pool.acquire(block=True) as producer:
        producer.connection.ensure_connection()
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.monotonic_ns()
        for number in range(jobs):
            if scenario == "delivery":
                time.sleep(max(0, began / 1e9 + number * SECONDS_BETWEEN - time.monotonic()))
            text = f"{number} {time.monotonic_ns()} ".ljust(PAYLOAD, ".")
            bench.apply_async((text,), producer=producer)
    print(began, flush=True)


def start_producer(scenario, jobs):
    """Gives a function that lets it go, and returns when it began."""
    command = [sys.executable, __file__, scenario, str(jobs), "produce"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdout.readline()

    def go():
        began = child.communicate("go\n")[0]
        if child.returncode != 0:
            sys.exit(f"the producer ended with {child.returncode}")
        return int(began)

    return go


def start_worker():
    command = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", *POOL, *QUIET]
    here = os.path.dirname(__file__) or "."
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, cwd=here)


def until_it_works(worker, board):
    while board.ready_at() == 0:
        if worker.poll() is not None:
            sys.exit(f"the worker ended with {worker.returncode}")
        time.sleep(0.01)


def last_ack(board, server):
    """All have run, and Redis has no delivery left that was not acked. Redis is only asked when all have run."""
    while not board.all_ran() or server.hlen("unacked"):
        time.sleep(0.002)
    return time.monotonic_ns()


def give_up(*_):
    # `timeout` tells it twice; the second time must not keep this from ending the worker.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def stop(worker):
    worker.terminate()
    try:
        worker.wait(3)
    except subprocess.TimeoutExpired:
        worker.kill()


def measure(scenario, jobs, board, server):
    signal.signal(signal.SIGTERM, give_up)
    go = start_producer(scenario, jobs)
    if scenario == "prefilled":
        go()
    worker = start_worker()
    try:
        until_it_works(worker, board)
        began = board.ready_at() if scenario == "prefilled" else go()
        ended = last_ack(board, server)
        time.sleep(0.3)  # A job that comes twice would come now.
    finally:
        stop(worker)
    left = server.llen("bench") + server.hlen("unacked")
    if left or board.runs() != b"\1" * jobs:
        sys.exit(f"{sum(board.runs())} runs of {jobs} jobs, left: {left}")
    return (ended - began) / 1e9


def main():
    scenario, jobs = sys.argv[1], int(sys.argv[2])
    if sys.argv[3:] == ["produce"]:
        produce(scenario, jobs)
        return
    host, port = os.environ["SERVER"].split(":")
    server = redis.Redis(host, int(port))
    server.flushall()
    with tempfile.TemporaryDirectory() as place:
        os.environ.update(BOARD=f"{place}/board", JOBS=str(jobs))
        import celery_tasks

        celery_tasks.Board.create()
        board = celery_tasks.Board()
        seconds = measure(scenario, jobs, board, server)
        waits = board.waits()
    line = {"framework": "celery",
            "version": f"Celery {importlib.metadata.version('celery')}, Redis {server.info('server')['redis_version']}",
            "settings": SETTINGS, "scenario": scenario, "jobs": jobs, "seconds": round(seconds, 3)}
    if scenario == "delivery":
        line |= {"p50_us": waits[jobs // 2] // 1000, "p99_us": waits[jobs * 99 // 100] // 1000}
    else:
        line["jobs_per_second"] = round(jobs / seconds)
    print(json.dumps(line))


main()
