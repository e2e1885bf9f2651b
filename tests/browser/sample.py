"""A call and a recording as they are in life, for the console."""

from __future__ import annotations

from typing import Any

from tests.browser.console_backend import BEGAN, Backend, Json, call_state, entry, line, two_voices
from vivavoz.wire.server_events import WEBRTC_FILTER

QUESTION = "Are you open on Sundays, and can I still get a table for four?"
ANSWER = (
    "We are open from nine to five on Sundays. Let me look for a table for four: "
    "at noon and at half past two there is one by the window, and at three there are several outside."
)
HEARD = ANSWER[: ANSWER.index(": at noon") + 9]
SESSION: Json = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "You answer the telephone of a small restaurant. Be brief and warm.",
    "tools": [{"type": "function", "name": "tables", "description": "Free tables.", "parameters": {}}],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "whisper-1", "language": None, "prompt": None},
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "idle_timeout_ms": None,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    },
}
TRANSCRIPT = [
    line("item_1", "user", QUESTION, 2.0),
    line("item_2", "", 'tables({"day": "Sunday", "people": 4})', 5.1, kind="function_call"),
    line("item_3", "", '{"12:00": 1, "14:30": 1, "15:00": 3}', 5.3, kind="function_call_output"),
    line("item_4", "assistant", ANSWER, 5.9, heard=HEARD),
    line("item_5", "user", "Noon is good.", 12.4),
    line("item_6", "assistant", "Then noon it is, by the window.", 14.2),
]


def turn(n: int, shift: int = 0, **members: Any) -> Json:
    stages = {
        "vad_ms": 210,
        "turn_ms": 260,
        "stt_ms": 430 + shift,
        "llm_first_token_ms": 690 + shift,
        "tts_first_audio_ms": 880 + shift,
        "first_packet_ms": 902 + shift,
    }
    marks = {
        "speech_stopped_ms": 0,
        "committed_ms": 2,
        "transcript_ms": 180 + shift,
        "response_created_ms": 4,
        "first_words_ms": 470 + shift,
        "first_audio_ms": 690 + shift,
        "done_ms": 2100 + shift,
    }
    return {
        "n": n,
        "item_id": f"item_{n}",
        "response_id": f"resp_{n}",
        "at": BEGAN + 4.0 * n,
        "marks": marks,
        "stages": stages,
        "interrupted": False,
        "status": "completed",
        **members,
    }


def sample_events() -> list[Json]:
    """One turn, as a service tells it."""
    words = ANSWER.split()
    events: list[Json] = [
        {"type": "session.created", "session": SESSION},
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 1700, "item_id": "item_1"},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 4300, "item_id": "item_1"},
        {"type": "input_audio_buffer.committed", "item_id": "item_1", "previous_item_id": None},
        {
            "type": "conversation.item.added",
            "item": {"id": "item_1", "type": "message", "role": "user", "content": []},
        },
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "item_1",
            "transcript": QUESTION,
        },
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        {"type": "response.function_call_arguments.done", "item_id": "item_2", "arguments": '{"people": 4}'},
        {
            "type": "conversation.item.added",
            "item": {"id": "item_4", "type": "message", "role": "assistant", "content": []},
        },
        *(
            {
                "type": "response.output_audio_transcript.delta",
                "response_id": "resp_1",
                "item_id": "item_4",
                "delta": f"{word} ",
            }
            for word in words[:9]
        ),
        {"type": "output_audio_buffer.started", "response_id": "resp_1"},
        {
            "type": "response.output_audio_transcript.done",
            "response_id": "resp_1",
            "item_id": "item_4",
            "transcript": ANSWER,
        },
        {"type": "response.done", "response": {"id": "resp_1", "status": "completed"}},
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 12100, "item_id": "item_5"},
        {"type": "output_audio_buffer.cleared", "response_id": "resp_1"},
        {"type": "conversation.item.truncated", "item_id": "item_4", "audio_end_ms": 6200},
    ]
    return [{"event_id": f"event_{number}", **event} for number, event in enumerate(events)]


def fill_sample(backend: Backend) -> None:
    """Two calls, a recording, two profiles."""
    entries = [
        entry(number, event, seen=event["type"] in WEBRTC_FILTER, at=2.0 + 0.3 * number)
        for number, event in enumerate(sample_events(), 1)
    ]
    whisper = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Offer tea."}]}
    coached = {"type": "conversation.item.create", "item": whisper}
    entries.append(entry(len(entries) + 1, coached, sender="console", at=13.0))
    backend.call(
        call_state(
            session=SESSION,
            transcript=TRANSCRIPT,
            turns=3,
            last_words="Then noon it is, by the window.",
            recorded=True,
            turns_log=[turn(1, 60), turn(2, interrupted=True), turn(3, -90)],
        ),
        entries,
    )
    backend.call(
        call_state(
            "rtc_2",
            user="joão",
            profile="pt",
            status="ended",
            ended_at=BEGAN + 75,
            end_reason="The caller left.",
            turns=4,
            last_words="Até domingo, então.",
        )
    )
    backend.audio = two_voices(20)
    loud = [round(20 + 60 * abs((n % 40) / 20 - 1)) for n in range(400)]
    columns = [(-peak, peak, -1, 1) if n < 200 else (-1, 1, -peak, peak) for n, peak in enumerate(loud)]
    peaks = [value for column in columns for value in column]
    backend.recordings["rec_1"] = {
        "id": "rec_1",
        "call_id": "rtc_0",
        "user": "maria",
        "profile": "default",
        "upstream": "vivavoz",
        "filtered": "on",
        "started_at": BEGAN,
        "ended_at": BEGAN + 20,
        "duration_ms": 20_000,
        "status": "complete",
        "end_reason": "The caller left.",
        "last_words": "Then noon it is, by the window.",
        "transcript": [
            {**said, "at_ms": round((said["at"] - BEGAN) * 1000), "until_ms": None} for said in TRANSCRIPT
        ],
        "turns_log": [turn(1, 60), turn(2)],
        "usage": {"total_tokens": 812},
        "gaps": [{"since": BEGAN + 9.0, "until": BEGAN + 9.8, "reason": "the application was restarted"}],
        "audio": "audio/wav",
        "peaks": {"version": 2, "channels": 2, "bits": 8, "length": 400, "data": peaks},
        "events": [{"at": each["at"], "sender": each["sender"], "event": each["event"]} for each in entries],
    }
    backend.profiles = [
        {
            "name": "default",
            "title": "Front desk",
            "session": SESSION,
            "tools": ["restaurant.tools:tables"],
            "record": True,
            "languages": ["en"],
            "grant": {},
        },
        {
            "name": "pt",
            "title": "Recepção",
            "session": {**SESSION, "instructions": "Você atende o telefone de um pequeno restaurante."},
            "tools": [],
            "record": None,
            "languages": ["pt"],
            "grant": {},
        },
    ]
