"""FTP for administrators, on pyftpdlib.

pyftpdlib has no documented way to let a command wait for another thread, to tell a complete upload from a broken one,
or to wake its loop. These modules override its internals for that, and no others touch them:

- ``control``: the control connection (``FTPHandler``);
- ``data``: data connections (``DTPHandler``, ``ActiveDTP``, ``PassiveDTP``);
- ``loop``: the event loop and the listening port (``IOLoop``, ``FTPServer``);
- ``tls``: the same connections over TLS (``TLS_FTPHandler``, ``TLS_DTPHandler``).

``session`` and ``view`` use what pyftpdlib documents: ``ftp_*`` commands, callbacks, and ``AbstractedFS``.
tests/unit/provisioning/ftp/test_pyftpdlib_fits.py compares every override with the installed version.
"""
