"""Whatever an offer says, it is answered or refused with a reason, and an answer holds nothing that was
smuggled in."""

from __future__ import annotations

import random
import re

from tests.fuzz.amount import EVENTS, SEED
from tests.media.test_sdp import CHROMIUM, LOCAL
from vivavoz.media.answer import write_answer
from vivavoz.media.ports import MediaError
from vivavoz.media.sdp import parse_offer

WORDS = re.compile(r"([ :=/;]|\d+)")
SCRAPS = (
    "\r",
    "\n",
    "\x00",
    "\u2028",
    "\x85",
    "\x0b",
    " ",
    ":",
    "/",
    ";",
    "=",
    "٣",
    "²",
    "-1",
    "65536",
    "9" * 5000,
    "a=ice-lite",
    "a=group:BUNDLE",
    "a=inactive",
    "a=bundle-only",
    "a=mid:",
    "a=fmtp:111",
    "a=rtpmap:111 opus/48000/2",
    "m=",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
)


def mangled(source: random.Random, offer: str) -> str:
    """``offer`` with lines lost, moved, doubled and spoilt."""
    lines = offer.splitlines()
    for _ in range(source.choice((1, 1, 2, 4, 8))):
        if not lines:
            break
        at = source.randrange(len(lines))
        match source.randrange(7):
            case 0:
                del lines[at]
            case 1:
                lines.insert(source.randrange(len(lines)), lines[at])
            case 2:
                lines.insert(at, source.choice(SCRAPS))
            case 3:
                other = source.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 4:
                place = source.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + source.choice(SCRAPS) + lines[at][place:]
            case 5:
                words = WORDS.split(lines[at])
                words[source.randrange(len(words))] = source.choice(SCRAPS)
                lines[at] = "".join(words)
            case _:
                place = source.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + lines[at][place + source.randint(1, 6) :]
    return source.choice(("\r\n", "\n")).join(lines)


def test_no_offer_breaks_its_reader() -> None:
    source = random.Random(f"{SEED} offers")
    answered = 0
    for _ in range(EVENTS // 4):
        offer = mangled(source, CHROMIUM)
        try:
            read = parse_offer(offer)
        except MediaError:
            continue
        answer = write_answer(read, LOCAL)
        answered += 1
        lines = answer.split("\r\n")
        assert lines.pop() == ""
        assert all(line[1] == "=" and line.splitlines() == [line] for line in lines), answer
        assert sum(line.startswith("m=") for line in lines) == len(read.sections)
        assert sum(line.startswith("a=ice-ufrag") for line in lines) == 1 + (read.events is not None)
    assert answered > EVENTS // 4 // 20
