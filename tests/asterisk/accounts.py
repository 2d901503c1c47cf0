"""Accounts of the tests' Asterisk: a whole one, and one for each thing that can be missing."""

from tests.asterisk.configuration import Account

ACCOUNTS = (
    Account(),
    Account("command", write="system,reporting,command"),
    Account("no-reporting", write="system"),
    Account("no-system", write="reporting"),
    Account("no-write", write=""),
    Account("no-events", read=""),
    Account("no-call-events", read="system"),
    Account("no-system-events", read="call"),
    Account("elsewhere", permit="192.0.2.1/255.255.255.255"),
)
