"""A working folder becomes one file: both voices in time with the words, and nothing that is private."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest

from tests.app.recordings.calls import START, Kept, info, state, tone
from vivavoz.app.observer.ports import Usage
from vivavoz.app.recordings import sound as module
from vivavoz.app.recordings.packing import Packed, pack
from vivavoz.app.recordings.recorder import FileRecorder
from vivavoz.app.recordings.sound import Stopped

SPOKEN = b"""{"type":"conversation.item.added","item":{"id":"item_1","type":"message","role":"user",\
"status":"completed","content":[{"type":"input_text","text":"Bom dia"}]}}"""


def packed(folder: Path, audio: Literal["flac", "opus"] = "flac", notice: str | None = None) -> Packed:
    return pack(folder, "rtc_1", audio=audio, notice=notice, stop=threading.Event())


def recorded(tmp_path: Path, *, ended: bool = True, samples: int = 48_000) -> Path:
    """A call of two seconds: the caller first, the assistant from the first second on."""
    recorder, call = FileRecorder(tmp_path), info()
    recorder.opened(call)
    recorder.event("rtc_1", START + 0.5, "server", SPOKEN)
    recorder.audio("rtc_1", "caller", 0, tone(samples // 2, level=8000))
    recorder.audio("rtc_1", "assistant", samples // 2, tone(samples // 2, level=4000))
    recorder.gap("rtc_1", START + 1, START + 1.5, "away")
    if ended:
        told = state(call, "Bom dia", "Olá", ended_at=START + 2, usage=Usage(total_tokens=7), turns=1)
        recorder.closed("rtc_1", START + 2, "hang-up", told)
    recorder.round(0.0)
    for take in recorder._writing:  # as if killed
        take.release(recorder._disk)
    return tmp_path / "rtc_1"


def test_both_voices_are_in_it_sample_by_sample(tmp_path: Path) -> None:
    made = packed(recorded(tmp_path))
    kept = Kept(made.path)
    assert kept.names == {"meta.json", "transcript.json", "peaks.json", "events.jsonl", "audio.flac"}
    sound = kept.sound()
    half = np.frombuffer(tone(24_000), "<i2")
    np.testing.assert_array_equal(sound[:, 0], np.concatenate([half, np.zeros_like(half)]))
    np.testing.assert_array_equal(sound[:, 1], np.concatenate([np.zeros_like(half), half // 2]))
    assert kept.meta["tracks"] == [
        {"name": "caller", "channel": 0, "samples": 24_000, "sample_rate": 24_000},
        {"name": "assistant", "channel": 1, "samples": 48_000, "sample_rate": 24_000},
    ]
    assert kept.meta["duration_ms"] == 2000


def test_the_sound_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    made = packed(recorded(tmp_path))
    content = made.path.read_bytes()
    sound = content[made.place.offset : made.place.offset + made.place.size]
    assert sound[:4] == b"fLaC"
    assert len(content) == made.size
    # STREAMINFO says how long it is, so that a player can seek: 36 bits, after 108 of other things.
    assert int.from_bytes(sound[18:26], "big") & (2**36 - 1) == 48_000


def test_opus_is_smaller_and_as_long(tmp_path: Path) -> None:
    made = packed(recorded(tmp_path), "opus")
    kept = Kept(made.path)
    assert kept.meta["audio"] == "audio/ogg"
    assert made.path.read_bytes()[made.place.offset :][:4] == b"OggS"
    sound = kept.sound().astype(float)
    assert abs(len(sound) - 48_000) <= 960
    loud = np.abs(sound[2400:21_600]).mean(axis=0)
    assert loud[0] > 10 * loud[1]


def test_peaks_show_who_speaks_when(tmp_path: Path) -> None:
    peaks = Kept(packed(recorded(tmp_path)).path).json("peaks.json")
    assert peaks["length"] * peaks["samples_per_pixel"] >= 48_000
    assert peaks["length"] <= module.MAX_PEAKS
    data = np.array(peaks["data"]).reshape(peaks["length"], 2, 2)
    spoken = (data != 0).any(axis=2)
    half = peaks["length"] // 2
    assert spoken[:half, 0].all()
    assert not spoken[half + 1 :, 0].any()
    assert not spoken[: half - 1, 1].any()
    assert spoken[half:, 1].all()


def test_a_whisper_is_not_drawn_as_silence(tmp_path: Path) -> None:
    recorder = FileRecorder(tmp_path)
    recorder.opened(info())
    recorder.audio("rtc_1", "caller", 0, tone(24_000, level=3))
    recorder.closed("rtc_1", START + 1, "hang-up", state(info()))
    recorder.round(0.0)
    data = Kept(packed(tmp_path / "rtc_1").path).json("peaks.json")["data"]
    assert (min(data), max(data)) == (-1, 1)


def test_the_transcript_is_in_step_with_the_sound(tmp_path: Path) -> None:
    kept = Kept(packed(recorded(tmp_path)).path)
    said = [(line["text"], line["at_ms"], line["until_ms"]) for line in kept.json("transcript.json")]
    assert said == [("Bom dia", 0, 1000), ("Olá", 1000, 2000)]


def test_the_rest_of_what_is_known_is_in_it(tmp_path: Path) -> None:
    made = packed(recorded(tmp_path), notice="Calls are recorded.")
    meta = Kept(made.path).meta
    assert (meta["status"], meta["end_reason"], meta["turns"]) == ("complete", "hang-up", 1)
    assert (meta["started_at"], meta["ended_at"]) == (START, START + 2)
    assert meta["usage"]["total_tokens"] == 7
    assert meta["notice"] == "Calls are recorded."
    assert meta["lost"] == {"events": 0, "sound_ms": 0}
    assert meta["events"] == 1
    assert made.words == "Bom dia\nOlá"


def test_a_call_that_was_cut_short_is_told_by_its_events(tmp_path: Path) -> None:
    folder = recorded(tmp_path, ended=False)
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'nonsense\n{"at":17000')
    kept = Kept(packed(folder).path)
    assert kept.meta["status"] == "interrupted"
    assert kept.meta["gaps"] == [{"since": START + 1, "until": START + 1.5, "reason": "away"}]
    assert [line["text"] for line in kept.json("transcript.json")] == ["Bom dia"]
    assert kept.meta["ended_at"] == START + 1.5
    assert len(kept.sound()) == 48_000


def test_a_call_whose_end_did_not_get_its_own_file_is_complete_all_the_same(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    (folder / "end.json").unlink()
    meta = Kept(packed(folder).path).meta
    assert (meta["status"], meta["end_reason"], meta["last_words"]) == ("complete", "hang-up", "Bom dia")


def test_a_call_that_went_on_after_a_restart_is_told_from_its_beginning(tmp_path: Path) -> None:
    recorded(tmp_path, ended=False)
    recorder, call = FileRecorder(tmp_path), info()
    recorder.opened(call)
    later = SPOKEN.replace(b"item_1", b"item_2").replace(b"Bom dia", b"Adeus")
    recorder.event("rtc_1", START + 8, "server", later)
    recorder.closed("rtc_1", START + 9, "hang-up", state(call, "Adeus"))
    recorder.round(0.0)
    kept = Kept(packed(tmp_path / "rtc_1").path)
    assert (kept.meta["status"], kept.meta["ended_at"]) == ("complete", START + 9)
    assert [line["text"] for line in kept.json("transcript.json")] == ["Bom dia", "Adeus"]


def test_a_hosted_call_has_no_sound_and_says_so(tmp_path: Path) -> None:
    recorder, call = FileRecorder(tmp_path), info(upstream="azure")
    recorder.opened(call)
    recorder.event("rtc_1", START, "server", SPOKEN)
    recorder.closed("rtc_1", START + 2, "hang-up", state(call, "Bom dia"))
    recorder.round(0.0)
    made = packed(tmp_path / "rtc_1")
    kept = Kept(made.path)
    assert kept.names == {"meta.json", "transcript.json", "events.jsonl"}
    assert kept.meta["audio"] is None
    assert "no sound was received" in kept.meta["audio_missing"]
    assert kept.meta["duration_ms"] == 2000
    assert made.place.size == 0


def test_prompts_and_credentials_are_nowhere_in_it(tmp_path: Path) -> None:
    recorder, call = FileRecorder(tmp_path), info()
    session = {
        "instructions": "be a pirate",
        "tools": [{"type": "mcp", "authorization": "sk-1", "headers": {"x": "sk-2"}}],
    }
    recorder.opened(call)
    for kind in ("session.created", "session.updated", "session.update"):
        recorder.event("rtc_1", START, "server", msgspec.json.encode({"type": kind, "session": session}))
    recorder.closed("rtc_1", START, "hang-up", state(call, "ahoy", session=session))
    recorder.round(0.0)
    folder = tmp_path / "rtc_1"
    written = b"".join(path.read_bytes() for path in folder.iterdir())
    content = Kept(packed(folder).path).everything()
    for found in (written, content):
        assert b"ahoy" in found
        for secret in (b"pirate", b"sk-1", b"sk-2"):
            assert secret not in found


def test_packing_can_be_stopped_and_done_again(tmp_path: Path) -> None:
    folder = recorded(tmp_path, samples=24_000 * 20)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        pack(folder, "rtc_1", audio="flac", notice=None, stop=stop)
    assert not (folder / "packed.zip").exists()
    first, second = packed(folder), packed(folder)
    assert first == second
    assert len(Kept(second.path).sound()) == 24_000 * 20


def test_a_long_call_is_packed_in_little_memory(tmp_path: Path) -> None:
    recorder = FileRecorder(tmp_path)
    recorder.opened(info())
    recorder.audio("rtc_1", "caller", 24_000 * 300, tone(2400))
    recorder.closed("rtc_1", START + 300, "hang-up", state(info()))
    recorder.round(0.0)
    tracemalloc.start()
    try:
        made = packed(tmp_path / "rtc_1")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.meta.duration_ms == 300_100
    assert most < 4 * 1024 * 1024  # both tracks are 29


def test_what_was_told_again_after_a_restart_is_there_once(tmp_path: Path) -> None:
    folder = recorded(tmp_path, ended=False)
    told = b'{"at":%.1f,"sender":"server","event":{"type":"error","event_id":"%b","error":{}}}\n'
    mine = b'{"at":%.1f,"sender":"console","event":{"type":"response.create","event_id":"one"}}\n' % START
    with (folder / "events.jsonl").open("ab") as file:
        file.write(told % (START, b"one") + told % (START + 1, b"two") + mine)
        file.write(b'{"at":%.1f,"resumed":{}}\n' % (START + 2))
        file.write(told % (START + 3, b"two") + told % (START + 4, b"three"))
    kept = Kept(packed(folder).path)
    ids = [line["event"].get("event_id") for line in kept.events if "event" in line]
    assert ids == [None, "one", "two", "one", "three"]
    assert kept.meta["events"] == 5
    assert len(kept.meta["errors"]) == 3
