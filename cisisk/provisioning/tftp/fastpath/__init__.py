"""The fast path: a boot storm served with one system call for hundreds of datagrams.

Nearly every datagram of a boot storm is the acknowledgement that a transfer awaits, and its answer is the next block of
the file. This package answers those without building packets: recvmmsg(2) reads them, sendmmsg(2) sends blocks from
where they lie in memory, and UDP_SEGMENT sends a window in one call. Everything else goes to the state machine in
``tftp/transfer.py``, as on the plain path. docs/performance.md says what this buys.

``switch.py`` decides whether it is used. It needs CPython on 64-bit little-endian Linux, because it writes kernel
structures and takes addresses of Python objects. No other package does either.
"""
