"""Typical configs, composed for these tests."""

import pytest

SIP = b"""<?xml version="1.0" encoding="UTF-8"?>
<device>
  <fullConfig>true</fullConfig>
  <deviceProtocol>SIP</deviceProtocol>
  <sshUserId></sshUserId>
  <sshPassword></sshPassword>
  <devicePool>
    <dateTimeSetting><dateTemplate>D/M/Y</dateTemplate><timeZone>GMT Standard/Daylight Time</timeZone></dateTimeSetting>
    <callManagerGroup><members>
      <member priority="0"><callManager>
        <ports><ethernetPhonePort>2000</ethernetPhonePort><sipPort>5060</sipPort></ports>
        <processNodeName>192.0.2.10</processNodeName>
      </callManager></member>
      <member priority="1"><callManager>
        <ports><sipPort>5060</sipPort></ports>
        <processNodeName>backup.example.org</processNodeName>
      </callManager></member>
    </members></callManagerGroup>
  </devicePool>
  <commonProfile><phonePassword></phonePassword></commonProfile>
  <sipProfile>
    <sipProxies><registerWithProxy>true</registerWithProxy></sipProxies>
    <phoneLabel>Reception</phoneLabel>
    <sipLines>
      <line button="1" lineIndex="1">
        <featureID>9</featureID><featureLabel>1001</featureLabel><proxy>USECALLMANAGER</proxy><port>5060</port>
        <name>1001</name><displayName>Zo\xc3\xab &amp; Co</displayName><authName>1001</authName>
        <authPassword>authSentinel</authPassword>
        <contact>1001</contact><maxNumCalls>4</maxNumCalls><busyTrigger>2</busyTrigger>
      </line>
      <line button="2"><featureID>20</featureID><featureLabel>Login</featureLabel>
        <serviceURI>http://192.0.2.5:8080/login?name=#DEVICENAME#</serviceURI></line>
    </sipLines>
    <dialTemplate>dialplan.xml</dialTemplate>
    <softKeyFile>SoftKeys.xml</softKeyFile>
  </sipProfile>
  <featurePolicyFile>FeaturePolicy.xml</featurePolicyFile>
  <loadInformation>SIP45.9-4-2SR3-1S</loadInformation>
  <vendorConfig><webAccess>0</webAccess><settingsAccess>1</settingsAccess><sshAccess>1</sshAccess></vendorConfig>
  <versionStamp>{Jan 01 2003 00:00:00}</versionStamp>
  <userLocale><name>English_United_Kingdom</name><langCode>en</langCode></userLocale>
  <networkLocale>United_Kingdom</networkLocale>
  <deviceSecurityMode>1</deviceSecurityMode>
  <authenticationURL>http://192.0.2.5:8080/authentication</authenticationURL>
  <servicesURL>http://192.0.2.5:8080/services?name=#DEVICENAME#&amp;lang=en</servicesURL>
  <directoryURL></directoryURL>
  <messagesURL></messagesURL>
  <idleURL>http://192.0.2.5:8080/idle</idleURL>
  <idleTimeout>60</idleTimeout>
  <transportLayerProtocol>1</transportLayerProtocol>
  <encrConfig>false</encrConfig>
</device>
"""

SCCP = b"""<device xsi:type="axl:XIPPhone" ctiid="94" uuid="{e7c8b1f0-0000-0000-0000-000000000000}">\r
<deviceProtocol>SCCP</deviceProtocol>\r
<devicePool><callManagerGroup><members><member priority="0"><callManager>\r
<ports><ethernetPhonePort>2000</ethernetPhonePort></ports><processNodeName>192.0.2.10</processNodeName>\r
</callManager></member></members></callManagerGroup>\r
<srstInfo><srstOption>Disable</srstOption></srstInfo></devicePool>\r
<loadInformation>SCCP42.9-4-2SR3-1S</loadInformation>\r
<versionStamp>1284570837-bbc096ed-7392-427c-9694-5ce49d5c3acb</versionStamp>\r
<vendorConfig><webAccess>0</webAccess></vendorConfig>\r
<authenticationURL>http://192.0.2.5:8080/authentication</authenticationURL>\r
</device>\r
"""


@pytest.fixture(scope="session")
def sip() -> bytes:
    """A SIP config without findings."""
    return SIP


@pytest.fixture(scope="session")
def sccp() -> bytes:
    """An SCCP config in the form of a call-manager export: CRLF, no declaration, an undeclared prefix."""
    return SCCP
