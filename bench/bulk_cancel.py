#!/usr/bin/env python3
"""Cancel a long statement at random moments, from a connection that is there, and tell how long it takes.

    bulk_cancel.py CANCELS STATEMENT        (the server by PGHOST and so on)

Prints milliseconds: from the call of pg_cancel_backend() until the statement's client is told, and until
it could send the next one.
"""

import os
import random
import select
import sys
import time

import psycopg
from psycopg import pq

cancels, statement = int(sys.argv[1]), sys.argv[2]


def begin(connection: pq.PGconn) -> None:
    connection.send_query(statement.encode())
    connection.flush()


def ends(connection: pq.PGconn) -> tuple[float, float]:
    """When the error has come, and when all has."""
    told = 0.0
    while True:
        select.select([connection.socket], [], [])
        connection.consume_input()
        while not connection.is_busy():
            result = connection.get_result()
            if result is None:
                return told, time.perf_counter()
            if result.error_field(pq.DiagnosticField.SQLSTATE) != b"57014":
                sys.exit(f"not cancelled: {result.error_message.decode()}")
            told = time.perf_counter()


canceller = psycopg.connect(autocommit=True)
worker = pq.PGconn.connect(b"")
rng = random.Random(1)
told, ready = [], []
for _ in range(cancels):
    begin(worker)
    while not canceller.execute("SELECT 1 FROM vamhash_progress WHERE done > 0").fetchone():
        time.sleep(0.01)
    time.sleep(rng.uniform(0.05, 0.6))
    start = time.perf_counter()
    canceller.execute("SELECT pg_cancel_backend(%s)", (worker.backend_pid,))
    end = ends(worker)
    told.append((end[0] - start) * 1000)
    ready.append((end[1] - start) * 1000)


def spread(times: list[float]) -> str:
    times = sorted(times)
    return " ".join(
        f"{times[min(len(times) - 1, int(len(times) * part))]:7.1f}" for part in (0, 0.5, 0.9, 0.99, 1)
    )


print(f"{cancels:4d} {spread(told)}   {spread(ready)}   load {os.getloadavg()[0]:.1f}")
