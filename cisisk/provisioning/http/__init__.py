"""The provisioning server over HTTP (RFC 9110, 9112).

It is not built on aiohttp for two reasons: no library tells how much of an answer the client's system has acknowledged
(SIOCOUTQ), which is the evidence that a phone took its config; and 2,048 connections must fit into little memory.
"""
