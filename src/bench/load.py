"""A steady load: load.py HOST PORT NAME REQUESTS_PER_SECOND [SOURCE], until its standard input ends. Half of the requests come on
connections that are kept, half each on its own. Prints how many failed, and how."""

import collections
import http.client
import json
import sys
import threading
import time

WORKERS = 8


def main():
    host, port, name, rate = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    source = (sys.argv[5], 0) if len(sys.argv) > 5 else None
    over = threading.Event()
    found = collections.Counter()
    lock = threading.Lock()

    def work(number):
        keeps = number % 2 == 0
        connection = None
        pause = WORKERS / rate
        due = time.monotonic() + pause * number / WORKERS
        while not over.is_set():
            # Always the next due time, so that a slow answer does not make the load smaller.
            time.sleep(max(0.0, due - time.monotonic()))
            due += pause
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(host, port, timeout=10, source_address=source)
                connection.request("GET", "/", headers={"Host": name} | ({} if keeps else {"Connection": "close"}))
                answer = connection.getresponse()
                answer.read()
                what = "answered" if answer.status == 200 else str(answer.status)
                if not keeps or answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                what = type(error).__name__
                connection.close()
                connection = None
            with lock:
                found[what] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    sys.stdin.buffer.read()
    over.set()
    for worker in workers:
        worker.join()
    answered = found.pop("answered", 0)
    failed = sum(found.values())
    failures = ", ".join(f"{count}x {what}" for what, count in found.most_common())
    print(json.dumps({"requests": answered + failed, "failed": failed, "failures": failures}))


main()
