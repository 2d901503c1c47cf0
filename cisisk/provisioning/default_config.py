"""The config for phones that have none: what is served as ``XMLDefault.cnf.xml``.

Source: docs/phone-protocol/boot.md#default-config
"""

from pathlib import Path
from xml.sax.saxutils import escape

from cisisk.provisioning.library import Library
from cisisk.provisioning.source import Content, NotServed

NAME = "XMLDefault.cnf.xml"
_CACHE_BYTES = 1 << 16

# No loadInformation: a phone that nobody knows keeps the firmware it has. The authenticationURL must not be missing:
# without one the phone obeys anybody.
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
    """The library, and behind it a default config: a file of that name in the library is the one that is served.

    It lies in a directory of its own, so that nobody has to tell generated files from others in the served one.
    """

    def __init__(self, library: Library, folder: Path, content: bytes) -> None:
        """Write ``content`` into ``folder``, which is made when absent. Raises StorageFailed."""
        self._library = library
        self._spare = Library(folder, _CACHE_BYTES)
        known = self._spare.current(NAME)
        if known is None or known.content != content:
            self._spare.replace(NAME, content, known)

    def open(self, name: str) -> Content:
        """As the library's."""
        try:
            return self._library.open(name)
        except NotServed:
            return self._spare.open(name)

    def close(self) -> None:
        """Let go of the directory, not of the library."""
        self._spare.close()
