"""The config for phones that have no config: served as ``XMLDefault.cnf.xml``.

Source: docs/phone-protocol/boot.md#default-config
"""

from pathlib import Path
from xml.sax.saxutils import escape

from cisisk.provisioning.library import Library
from cisisk.provisioning.source import Content, NotServed

NAME = "XMLDefault.cnf.xml"
_CACHE_BYTES = 1 << 16

# No loadInformation: an unknown phone keeps its firmware. Without an authenticationURL the phone would accept commands
# from any address.
_FORM = """\
<?xml version="1.0" encoding="UTF-8"?>
<Default>
  <callManagerGroup>
    <members>
      <member priority="0">
        <callManager>
          <ports>
            <ethernetPhonePort>2000</ethernetPhonePort>
            <sipPort>5060</sipPort>
          </ports>
          <processNodeName>{call_manager}</processNodeName>
        </callManager>
      </member>
    </members>
  </callManagerGroup>
  <authenticationURL>{authentication_url}</authenticationURL>
</Default>
"""


def render(call_manager: str, authentication_url: str) -> bytes:
    """A default config that sends phones to ``call_manager``, a name or an address."""
    return _FORM.format(call_manager=escape(call_manager), authentication_url=escape(authentication_url)).encode()


class WithDefault:
    """Serves the library, and a default config where the library has no file of that name.

    The default config is stored in its own directory, so that generated files do not mix with others.
    """

    def __init__(self, library: Library, folder: Path, content: bytes) -> None:
        """Write ``content`` into ``folder``, which is created if it is missing. Raises StorageFailed."""
        self._library = library
        self._spare = Library(folder, _CACHE_BYTES)
        known = self._spare.current(NAME)
        if known is None or known.content != content:
            self._spare.replace(NAME, content, known)

    def open(self, name: str) -> Content:
        """See Library."""
        try:
            return self._library.open(name)
        except NotServed:
            return self._spare.open(name)

    def close(self) -> None:
        """Close the directory of the default config. The library stays open."""
        self._spare.close()
