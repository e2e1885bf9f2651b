"""Which addresses a client may make the server connect to."""

from __future__ import annotations

import pytest

from vivavoz.engines.mcp.policy import Policy, Refused


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "192.0.2.1",
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(Refused):
        Policy().check_addresses("https", [address])


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_what_is_public_needs_tls(address: str) -> None:
    assert Policy().check_addresses("https", [address])
    with pytest.raises(Refused, match="https"):
        Policy().check_addresses("http", [address])


def test_one_bad_address_spoils_a_name() -> None:
    with pytest.raises(Refused):
        Policy().check_addresses("https", ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(Refused):
        Policy().check_addresses("https", [])


def test_networks_are_named_by_the_operator() -> None:
    policy = Policy(networks=("10.0.0.0/8", "::1/128"))
    assert policy.check_addresses("http", ["10.1.2.3"]) == "10.1.2.3"
    assert policy.check_addresses("http", ["::1"]) == "::1"
    assert policy.check_addresses("https", ["::ffff:10.1.2.3"])
    with pytest.raises(Refused):
        policy.check_addresses("https", ["192.168.0.1"])


def test_hosts_are_named_whole_or_by_their_domain() -> None:
    policy = Policy(hosts=("mcp.example.com", "*.example.org"))
    for host in ("mcp.example.com", "MCP.example.com.", "a.example.org", "a.b.example.org"):
        policy.check_url("https", host, "")
    for host in ("example.org", "evil-example.org", "mcp.example.com.evil.net", ""):
        with pytest.raises(Refused):
            policy.check_url("https", host, "")
