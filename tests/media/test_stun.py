"""STUN: the test vectors of RFC 5769, round trips, and damage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vivavoz.media import stun

# RFC 5769 section 2.1 and 2.2.
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff"
    "80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249"
    "c1b571a280280004e57a3bcf"
)
RESPONSE_IPV4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)


def test_the_standard_request_is_read_and_verified() -> None:
    message = stun.parse(REQUEST)
    assert message is not None
    assert message.kind == stun.BINDING_REQUEST
    assert message.username == "evtj:h6vY"
    assert message.controlled
    assert not message.use_candidate
    assert stun.authentic(REQUEST, message, PASSWORD)
    assert not stun.authentic(REQUEST, message, b"wrong")


def test_the_standard_response_is_verified() -> None:
    message = stun.parse(RESPONSE_IPV4)
    assert message is not None
    assert message.kind == stun.BINDING_SUCCESS
    assert stun.authentic(RESPONSE_IPV4, message, PASSWORD)


def test_our_response_carries_the_mapped_address() -> None:
    transaction = bytes.fromhex("b7e7a701bc34d686fa87dfae")
    for address, expected in [
        (("192.0.2.1", 32853), "0001a147e112a643"),
        (("::ffff:192.0.2.1", 32853), "0001a147e112a643"),
        (("2001:db8:1234:5678:11:2233:4455:6677", 32853), "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
    ]:
        data = stun.binding_success(transaction, address, PASSWORD)
        message = stun.parse(data)
        assert message is not None
        assert stun.authentic(data, message, PASSWORD)
        assert bytes.fromhex(expected) in data


def test_our_request_is_one_that_we_would_answer() -> None:
    data = stun.binding_request(bytes(12), "them:us", PASSWORD, 7)
    message = stun.parse(data)
    assert message is not None
    assert message.username == "them:us"
    assert message.controlled
    assert stun.authentic(data, message, PASSWORD)


def test_a_role_conflict_is_signed() -> None:
    data = stun.role_conflict(bytes(12), PASSWORD)
    message = stun.parse(data)
    assert message is not None
    assert message.kind == stun.BINDING_ERROR
    assert stun.authentic(data, message, PASSWORD)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    message = stun.parse(data)
    assert message is None or not stun.authentic(data, message, PASSWORD)


@given(st.integers(0, len(REQUEST) - 1), st.integers(1, 255))
def test_no_damaged_request_is_accepted(at: int, flip: int) -> None:
    data = bytearray(REQUEST)
    data[at] ^= flip
    message = stun.parse(bytes(data))
    assert message is None or not stun.authentic(bytes(data), message, PASSWORD)
    assert stun.parse(REQUEST[:at]) is None
