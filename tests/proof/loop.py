"""
One thread that waits for many sockets and for the time: what the clients and the proxy of a proof run in.

Threads: one, which runs run_until(); all callbacks come from there.
"""

import heapq
import itertools
import selectors
import time

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class Loop:
    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._timers = []
        self._numbers = itertools.count()

    def watch(self, sock, events, callback):
        """From now on callback(events) is called when the socket is ready for one of these; 0: for none."""
        try:
            if events:
                self._selector.modify(sock, events, callback)
            else:
                self._selector.unregister(sock)
        except KeyError:
            if events:
                self._selector.register(sock, events, callback)

    def forget(self, sock):
        self.watch(sock, 0, None)

    def later(self, seconds, callback):
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), callback))

    def turn(self, seconds):
        """Waits for at most so long, and calls whom it concerns."""
        now = time.monotonic()
        if self._timers:
            seconds = min(seconds, max(0, self._timers[0][0] - now))
        for key, events in self._selector.select(seconds):
            # Somebody before may have forgotten or changed it.
            current = self._selector.get_map().get(key.fd)
            if current is not None and current.data is key.data:
                key.data(events)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.turn(left)

    def run_until(self, condition, what, seconds):
        """Runs until condition() holds, which has to be within so many seconds."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            assert left > 0, f"waited {seconds} s for this: {what() if callable(what) else what}"
            self.turn(min(left, 0.05))

    def close(self):
        self._selector.close()
