"""Ports for others to bind: none that the system may give to somebody else before they do.

Each process has a block of its own, below the ports that the system gives out by itself (from 32768), and shows with a
socket on its first port that it is taken.
"""

import contextlib
import itertools
import socket

IP = "127.0.0.1"
BLOCK = 1_500
BLOCKS = range(11_000, 32_000 - BLOCK, BLOCK)


def _block():
    """(guard, ports): a block that no other process has."""
    for first in BLOCKS:
        guard = socket.socket()
        try:
            guard.bind((IP, first))
        except OSError:
            guard.close()
            continue
        return guard, range(first + 2, first + BLOCK)
    raise RuntimeError(f"no block of ports is free from {BLOCKS.start} to {BLOCKS.stop}: are older tests still running?")


_guard, _ports = _block()
_next = _ports.start


def _are_free(ports):
    with contextlib.ExitStack() as stack:
        try:
            for port, kind in itertools.product(ports, (socket.SOCK_DGRAM, socket.SOCK_STREAM)):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind((IP, port))
        except OSError:
            return False
        return True


def take(count, needed):
    """The first, an even one, of `count` ports in a row, for whoever passes over those that are taken: all but the
    first `needed`, which are free. When the block is used up, its first ones come again."""
    global _next
    for _ in range(BLOCK // count):
        if _next + count > _ports.stop:
            _next = _ports.start
        first, _next = _next, _next + count + count % 2
        if _are_free(range(first, first + needed)):
            return first
    raise RuntimeError(f"no {needed} ports in a row are free from {_ports.start} to {_ports.stop}")
