"""A SIPp scenario of a server that challenges requests without credentials."""

_ANSWER = """SIP/2.0 {}
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
{}Content-Length: 0
"""
_CHALLENGE = 'WWW-Authenticate: Digest realm="{}", nonce="47364c23432d2e131a5fb210812c", qop="auth", algorithm=MD5\n'


def scenario(
    name: str, request: str, *, realm: str, username: str, password: str, header: str, regexp: str, accepted: str = ""
) -> str:
    """Return the XML of the scenario.

    Args:
        request: the method; its first request gets a challenge, its second the outcome.
        header: a header of the second request; SIPp logs the match of ``regexp`` in it.
        accepted: additional lines of the last response.
    """
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="{name}">
  <recv request="{request}"/>
  <send><![CDATA[{_ANSWER.format("401 Unauthorized", _CHALLENGE.format(realm))}
]]></send>
  <recv request="{request}">
    <action>
      <ereg regexp="{regexp}" search_in="hdr" header="{header}:" check_it="true" assign_to="found"/>
      <verifyauth assign_to="good" username="{username}" password="{password}"/>
      <log message="[$found]"/>
    </action>
  </recv>
  <nop hide="true" test="good" next="1"/>
  <send next="2"><![CDATA[{_ANSWER.format("403 Forbidden", "")}
]]></send>
  <label id="1"/>
  <send><![CDATA[{_ANSWER.format("200 OK", accepted)}
]]></send>
  <label id="2"/>
</scenario>
"""
