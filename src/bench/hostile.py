"""A hostile client: hostile.py HOST PORT NAME KIND COUNT, until its standard input ends. Prints `ready` once all of it is under way,
and at the end what became of it, as JSON.

  heads       COUNT connections, each with the head of a request that goes on by a byte a second
  bodies      the same with the body of an upload
  readers     COUNT requests for 10 MiB of which nothing is read
  idle        COUNT connections that say nothing
  handshakes  COUNT beginnings of a TLS handshake in all, 1,000 at a time, each broken off when the next one is due
  halves      COUNT halves of the first message of a TLS handshake in all, of which the rest never comes; at once as many as a
              process may have files, but for 2,000
"""

import asyncio
import json
import resource
import select
import socket
import ssl
import struct
import sys

AT_ONCE = 1000


class Hostile:
    def __init__(self, host, port, name, kind, count):
        self.host, self.port, self.name, self.kind, self.count = host, port, name, kind, count
        self.opened = self.refused = self.cut = self.open = self.peak = 0
        # Every program has its own number of ports of each address; 127.0.0.0/8 is all ours.
        self.sources = [f"127.1.0.{number}" for number in range(1, 9)]
        self.gate = asyncio.Semaphore(200)

    async def connect(self, number):
        door = socket.socket()
        door.setblocking(False)
        # Ended by a reset, so that no port waits for stragglers.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self.kind == "readers":
            door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if self.kind != "idle":
            door.bind((self.sources[number % len(self.sources)], 0))
        try:
            async with self.gate:
                await asyncio.get_running_loop().sock_connect(door, (self.host, self.port))
        except OSError:
            door.close()
            self.refused += 1
            return None
        self.opened += 1
        self.open += 1
        self.peak = max(self.peak, self.open)
        return door

    def close(self, door):
        self.open -= 1
        door.close()

    async def drip(self, number, first, more):
        """Sends something, then a little each second, until the other side has enough."""
        if (door := await self.connect(number)) is None:
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(door, first)
            while True:
                if self.kind == "readers":
                    # Looks whether it is still there without taking anything.
                    await asyncio.sleep(1)
                    if door.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        raise ConnectionResetError
                    continue
                try:
                    if not await asyncio.wait_for(loop.sock_recv(door, 4096), 1):
                        raise ConnectionResetError
                    if self.kind != "idle":
                        # It has answered: for us, this is over.
                        raise ConnectionResetError
                except TimeoutError:
                    await loop.sock_sendall(door, more)
        except OSError:
            self.cut += 1
        finally:
            self.close(door)

    async def handshakes(self):
        hello = beginning_of_tls(self.name)
        loop = asyncio.get_running_loop()
        doors = []
        for number in range(self.count):
            if (door := await self.connect(number)) is not None:
                try:
                    await loop.sock_sendall(door, hello[: 1 + number % (len(hello) - 1)])
                except OSError:
                    self.cut += 1
                doors.append(door)
            if len(doors) >= AT_ONCE:
                self.close(doors.pop(0))
        for door in doors:
            self.close(door)

    def halves(self):
        """Not by asyncio: they have to be there faster than the other side gives them up."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        hello = beginning_of_tls(self.name)
        half = hello[: len(hello) // 2]
        print("ready", flush=True)
        doors, heard = {}, select.epoll()
        heard.register(sys.stdin, select.EPOLLIN | select.EPOLLHUP)
        is_over = False
        while not is_over:
            # The other side has files to keep as well, and may have no more of them than we may.
            has_room = len(doors) < most - 2000 and self.opened < self.count
            if has_room and (door := self.half(half)):
                doors[door.fileno()] = door
                heard.register(door, select.EPOLLIN | select.EPOLLRDHUP)
            self.peak = max(self.peak, len(doors))
            for number, _ in heard.poll(0 if has_room else 1, 1000):
                is_over |= number == sys.stdin.fileno()
                if door := doors.pop(number, None):
                    self.cut += 1
                    door.close()
        return len(doors)

    def half(self, hello):
        door = socket.socket()
        door.settimeout(0.2)
        # Ended by a reset, so that no port waits for stragglers.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            door.bind((self.sources[self.opened % len(self.sources)], 0))
            door.connect((self.host, self.port))
            door.send(hello)
        except OSError:
            self.refused += 1
            door.close()
            return None
        self.opened += 1
        return door

    async def run(self):
        head = f"POST /1k HTTP/1.1\r\nHost: {self.name}\r\n".encode()
        what = {
            "heads": (head, b"X: y\r\n"),
            "bodies": (head + b"Content-Length: 1000000\r\n\r\n", b"x"),
            "readers": (f"GET /10m HTTP/1.1\r\nHost: {self.name}\r\n\r\n".encode(), b""),
            "idle": (b"", b""),
        }
        if self.kind == "handshakes":
            print("ready", flush=True)
            tasks = [asyncio.create_task(self.handshakes())]
        else:
            tasks = [asyncio.create_task(self.drip(number, *what[self.kind])) for number in range(self.count)]
            while self.opened + self.refused < self.count:
                await asyncio.sleep(0.01)
            print("ready", flush=True)
        over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
        if self.kind == "handshakes":
            await tasks[0]
        await over
        held = self.open
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.say(held)

    def say(self, held):
        print(json.dumps({"opened": self.opened, "refused": self.refused, "cut": self.cut, "held": held, "peak": self.peak}))


def beginning_of_tls(name):
    sent = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


host, port, name, kind, count = sys.argv[1:6]
hostile = Hostile(host, int(port), name, kind, int(count))
if kind == "halves":
    hostile.say(hostile.halves())
else:
    asyncio.run(hostile.run())
