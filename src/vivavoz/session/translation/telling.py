"""What the translator's jobs found, told in the order in which the caller said it.

Several phrases are translated at the same time. The first one is told as it comes; what is already there of
those behind it is kept until those before it are through. The caller's words and the translation are two
streams that do not wait for each other. Both are append-only text: the space between two phrases is ours.
"""

from __future__ import annotations

import re

from vivavoz.session.effects import Send
from vivavoz.session.input_audio import to_ms
from vivavoz.session.output import Output
from vivavoz.session.translation.state import Phrase, Said, State, Wrote
from vivavoz.wire.options import PCM
from vivavoz.wire.translation import (
    FRAME_MS,
    SourceTranscriptDelta,
    TranslatedAudioDelta,
    TranslatedTranscriptDelta,
)

LONGEST_DELTA = 48_000
"""Bytes of sound (1 s) in one event."""
MAX_KEPT = 16 * 2**20
"""Bytes of sound kept for a phrase that is not told yet (5.8 min): none is that long."""
CONTEXT = 3
"""Phrases with their translations that a translator is shown."""

_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
"""Thai, Lao, Khmer, Chinese, Japanese: no space between sentences."""


def heard(phrase: Phrase, text: str, final: bool) -> None:
    """Words of the caller's; ``final``: all of them, of which what is new is told."""
    if phrase.understood:
        return
    new = text
    if final:
        phrase.understood = True
        new = text[len(phrase.heard) :] if text.startswith(phrase.heard) else ""
        phrase.heard = text
    else:
        phrase.heard += text
    if new:
        phrase.words.append(Wrote(text=new, elapsed_ms=_elapsed_ms(phrase)))


def said(phrase: Phrase, pcm: bytes, text: str) -> bool:
    """A piece of the translation. False: there is more of it than can be kept."""
    if phrase.kept + len(pcm) > MAX_KEPT:
        return False
    phrase.kept += len(pcm)
    phrase.said += text
    phrase.speech.append(Said(pcm=pcm, text=text, elapsed_ms=_elapsed_ms(phrase)))
    return True


def over(phrase: Phrase, succeeded: bool) -> None:
    """Its job has ended."""
    phrase.job, phrase.over, phrase.understood, phrase.succeeded = None, True, True, succeeded


def tell(state: State, out: Output) -> None:
    """Everything whose time has come."""
    for phrase in state.phrases:
        _tell_words(state, out, phrase)
        if not phrase.understood:
            break
    for phrase in state.phrases:
        _tell_speech(state, out, phrase)
        if not phrase.over:
            break
    while state.phrases and state.phrases[0].over and state.phrases[0].end is not None:
        _remember(state, state.phrases.pop(0))


def _remember(state: State, phrase: Phrase) -> None:
    source, target = phrase.heard.strip(), phrase.said.strip()
    if phrase.succeeded and source and target and not state.settings.continuous:
        state.context = [*state.context, (source, target)][-CONTEXT:]


def _tell_words(state: State, out: Output, phrase: Phrase) -> None:
    told = state.options.audio.input.transcription is not None
    for words in phrase.words if told else ():
        text = words.text if phrase.wrote else _joined(state.wrote, words.text)
        if text:
            phrase.wrote, state.wrote = True, text[-1]
            out.send(SourceTranscriptDelta, delta=text, elapsed_ms=words.elapsed_ms)
    phrase.words.clear()


def _tell_speech(state: State, out: Output, phrase: Phrase) -> None:
    for piece in phrase.speech:
        text = piece.text if phrase.spoke else _joined(state.said, piece.text)
        if text:
            phrase.spoke, state.said = True, text[-1]
            out.send(TranslatedTranscriptDelta, delta=text, elapsed_ms=piece.elapsed_ms)
        for start in range(0, len(piece.pcm), LONGEST_DELTA):
            state.sounded = True
            event = TranslatedAudioDelta(
                event_id=out.ids.next("event"),
                delta=piece.pcm[start : start + LONGEST_DELTA],
                elapsed_ms=piece.elapsed_ms,
            )
            out.do(Send(event=event, format=PCM))
    phrase.speech.clear()
    phrase.kept = 0


def _joined(before: str, text: str) -> str:
    """The first words of a phrase, with the space that parts them from what was told before."""
    text = text.lstrip()
    if not text or not before or before.isspace() or _UNSPACED.match(before) or _UNSPACED.match(text):
        return text
    return f" {text}"


def _elapsed_ms(phrase: Phrase) -> int:
    """How much of the caller's sound the job has heard, in whole frames."""
    return -(-to_ms(phrase.fed) // FRAME_MS) * FRAME_MS
