"""A worker process: says every ten seconds that it is there, and ends when asked to."""

import os
import signal
import threading

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
release = os.environ.get("MINI_RELEASE") or os.environ.get("GIT_REV") or "local"
jobs = 0
print(f"worker of release {release} started")
while not stopping.wait(10):
    jobs += 1
    print(f"finished job {jobs}")
print(f"worker stopped after {jobs} jobs")
