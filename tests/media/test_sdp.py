"""Offers are read strictly, answers mirror them."""

from __future__ import annotations

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.media.answer import Candidate, Local, write_answer
from vivavoz.media.ports import MediaError
from vivavoz.media.sdp import parse_offer

FINGERPRINT = ":".join(["AB"] * 32)

# As Chromium 156 writes it, shortened.
CHROMIUM = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 4a9b.local 51234 typ host generation 0
a=ice-ufrag:ab+/
a=ice-pwd:0123456789abcdef+/012345
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:- 9b6d
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1;maxaveragebitrate=20000
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=ice-ufrag:ab+/
a=ice-pwd:0123456789abcdef+/012345
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:ab+/
a=ice-pwd:0123456789abcdef+/012345
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:2
a=sctp-port:5000
a=max-message-size:262144
"""

LOCAL = Local(
    session_id=1,
    ufrag="localufrag",
    password="p" * 32,
    fingerprint=FINGERPRINT,
    setup="active",
    candidates=[Candidate("192.0.2.1", 3478), Candidate("127.0.0.1", 3478)],
    ssrc=1234,
    cname="realtimeapi",
    max_message_size=1 << 20,
)


def test_an_offer_is_understood() -> None:
    offer = parse_offer(CHROMIUM)
    assert (offer.audio, offer.events, offer.bundled) == (0, 2, True)
    assert [(codec.payload_type, codec.name) for codec in offer.codecs] == [
        (111, "opus"), (0, "pcmu"), (8, "pcma"),
    ]  # fmt: skip
    assert offer.codecs[0].parameters["maxaveragebitrate"] == "20000"
    assert (offer.ufrag, offer.password) == ("ab+/", "0123456789abcdef+/012345")
    assert offer.fingerprints == [("sha-256", FINGERPRINT)]
    assert (offer.direction, offer.setup, offer.sctp_port) == ("sendrecv", "actpass", 5000)


def test_the_answer_mirrors_the_offer() -> None:
    answer = write_answer(parse_offer(CHROMIUM.replace("\n", "\r\n")), LOCAL)
    lines = answer.split("\r\n")
    assert answer.endswith("\r\n")
    assert [line for line in lines if line.startswith("m=")] == [
        "m=audio 3478 UDP/TLS/RTP/SAVPF 111 0 8",
        "m=video 0 UDP/TLS/RTP/SAVPF 96 97",
        "m=application 3478 UDP/DTLS/SCTP webrtc-datachannel",
    ]
    for line in [
        "a=ice-lite",
        "a=group:BUNDLE 0 2",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 3478 typ host",
        "a=candidate:2 1 udp 2130706175 127.0.0.1 3478 typ host",
        "a=end-of-candidates",
        "a=setup:active",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=msid:realtimeapi audio",
        "a=ssrc:1234 cname:realtimeapi",
        "a=sctp-port:5000",
        "a=max-message-size:1048576",
        "a=sendrecv",
    ]:
        assert line in lines
    assert "extmap" not in answer
    assert "telephone-event" not in answer


def test_others_can_read_the_answer() -> None:
    parsed = SessionDescription.parse(write_answer(parse_offer(CHROMIUM), LOCAL))
    audio, _, application = parsed.media
    assert audio.ice.iceLite
    assert audio.dtls.role == "client"
    assert [codec.mimeType for codec in audio.rtp.codecs] == ["audio/opus", "audio/PCMU", "audio/PCMA"]
    assert application.sctpCapabilities.maxMessageSize == 1 << 20


@pytest.mark.parametrize(
    ("offered", "answered", "sends"),
    [
        ("sendrecv", "sendrecv", True),
        ("sendonly", "recvonly", False),
        ("recvonly", "sendonly", True),
        ("inactive", "inactive", False),
    ],
)
def test_directions_are_mirrored(offered: str, answered: str, sends: bool) -> None:
    answer = write_answer(parse_offer(CHROMIUM.replace("a=sendrecv", f"a={offered}")), LOCAL)
    audio = answer.split("m=video")[0].split("\r\n")
    assert f"a={answered}" in audio
    assert any(line.startswith("a=msid:") for line in audio) is sends


def test_candidates_may_be_missing_and_credentials_may_be_the_sessions() -> None:
    lines = [
        line for line in CHROMIUM.split("\n") if not line.startswith(("a=candidate", "a=ice-", "a=finger"))
    ]
    session = [
        "a=ice-ufrag:sess",
        "a=ice-pwd:0123456789abcdef012345",
        f"a=fingerprint:SHA-256 {FINGERPRINT.lower()}",
    ]
    offer = parse_offer("\n".join(lines[:4] + session + lines[4:]))
    assert (offer.ufrag, offer.fingerprints) == ("sess", [("sha-256", FINGERPRINT)])


def test_firefoxes_way_of_writing_is_understood() -> None:
    text = f"""v=0
o=mozilla...THIS_IS_SDPARTA-99.0 8434 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {FINGERPRINT}
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
a=sendrecv
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=sendrecv
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:0123456789abcdef0123456789abcdef
a=ice-ufrag:12345678
a=mid:0
a=msid:- {{9b6d}}
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000/1
a=setup:actpass
a=ssrc:1 cname:{{x}}
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=sendrecv
a=ice-pwd:0123456789abcdef0123456789abcdef
a=ice-ufrag:12345678
a=mid:1
a=setup:actpass
a=sctp-port:5000
a=max-message-size:1073741823
"""
    offer = parse_offer(text)
    assert [codec.payload_type for codec in offer.codecs] == [109, 0, 8]
    assert offer.events == 1
    answer = write_answer(offer, LOCAL)
    assert answer.count("a=fingerprint:sha-256") == 2
    assert "a=group:BUNDLE 0 1" in answer


def test_a_data_channel_outside_the_bundle_is_rejected() -> None:
    offer = parse_offer(CHROMIUM.replace("BUNDLE 0 1 2", "BUNDLE 0 1"))
    assert offer.events is None
    assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel" in write_answer(offer, LOCAL)


def test_audio_alone_without_bundle_or_mid_is_fine() -> None:
    text = CHROMIUM.split("m=video")[0].replace("a=group:BUNDLE 0 1 2\n", "").replace("a=mid:0\n", "")
    answer = write_answer(parse_offer(text), LOCAL)
    assert "BUNDLE" not in answer
    assert "a=mid" not in answer


def test_static_payload_types_need_no_rtpmap() -> None:
    text = CHROMIUM.replace("a=rtpmap:0 PCMU/8000\n", "").replace("a=rtpmap:111 opus/48000/2\n", "")
    assert [codec.name for codec in parse_offer(text).codecs] == ["pcmu", "pcma"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "does not begin with v=0"),
        (lambda text: "hello", "does not begin with v=0"),
        (lambda text: "v=0\nnonsense", "line 2 is not"),
        (lambda text: "v=0\r\n" + "a=x\r\n" * 3000, "more than 2000 lines"),
        (lambda text: text + "a=x:" + "y" * 70000, "longer than"),
        (lambda text: text + "m=audio 9 x 0\n" * 40, "more than 32 m-lines"),
        (lambda text: text.replace("m=audio 9 ", "m=audio nine "), "m-line at line 8 is malformed"),
        (lambda text: text.replace("m=audio 9", f"m=audio {'9' * 5000}"), "m-line at line 8 is malformed"),
        (lambda text: text.replace("m=audio 9", "m=audio 0"), "no audio m-line"),
        (lambda text: text.replace("m=audio", "m=text"), "no audio m-line"),
        (lambda text: text.replace("UDP/TLS/RTP/SAVPF 111", "RTP/AVP 111"), "not DTLS-SRTP"),
        (lambda text: text.replace("111 63 9 0 8 13 110 126", "63 9 13"), "no codec in common"),
        (lambda text: text.replace("a=rtcp-mux\n", ""), "lacks a=rtcp-mux"),
        (lambda text: text.replace("a=rtcp-mux\n", "a=rtcp-mux\na=maxptime:10\n"), "a=maxptime is below 20"),
        (lambda text: text.replace("a=ice-ufrag:ab+/\n", ""), "lacks a=ice-ufrag or a=ice-pwd"),
        (lambda text: text.replace("a=ice-pwd:0123456789abcdef+/012345\n", ""), "lacks a=ice-ufrag"),
        (lambda text: text.replace("ab+/", "a:b c"), "is malformed"),
        (lambda text: text.replace(f"a=fingerprint:sha-256 {FINGERPRINT}\n", ""), "lacks a=fingerprint"),
        (lambda text: text.replace(FINGERPRINT, "AB:CD"), "a=fingerprint is malformed"),
        (lambda text: text.replace("sha-256", "md5"), "no supported hash"),
        (lambda text: text.replace("actpass", "holdconn"), "a=setup is none of"),
        (lambda text: text.replace("sctp-port:5000", "sctp-port:x"), "sctp-port is malformed"),
        (lambda text: text.replace("s=-", "s=-\na=ice-lite"), "ICE-lite"),
    ],
)
def test_what_is_wrong_is_named(change: object, message: str) -> None:
    assert callable(change)
    with pytest.raises(MediaError, match=message) as raised:
        parse_offer(change(CHROMIUM))
    assert raised.value.message


@pytest.mark.parametrize("line", ["maxptime:20", "maxptime:120", "maxptime:x", "ptime:60", "ptime:10"])
def test_packets_of_20_ms_are_what_all_others_get(line: str) -> None:
    """``ptime`` is a wish (RFC 8866 section 6.4), ``maxptime`` a bound."""
    assert parse_offer(CHROMIUM.replace("a=rtcp-mux\n", f"a=rtcp-mux\na={line}\n")).codecs


@given(st.lists(st.tuples(st.integers(0, len(CHROMIUM) - 1), st.characters()), min_size=1, max_size=20))
def test_a_damaged_offer_is_answered_or_refused(changes: list[tuple[int, str]]) -> None:
    text = list(CHROMIUM)
    for at, character in changes:
        text[at] = character
    try:
        answer = write_answer(parse_offer("".join(text)), LOCAL)
    except MediaError:
        return
    assert answer.startswith("v=0\r\n")
    assert "\n" not in answer.replace("\r\n", "")


@given(st.text(max_size=300))
def test_any_text_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(MediaError):
        parse_offer("v=0\r\n" + text)
