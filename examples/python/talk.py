"""The official Python SDK, pointed at vivavoz: a typed question, a spoken answer in answer.wav.

pip install "openai[realtime]"
python talk.py "What is a lighthouse for?"
"""

import asyncio
import base64
import os
import sys
import wave

from openai import AsyncOpenAI

BASE_URL = os.environ.get("VIVAVOZ_URL", "http://127.0.0.1:8080/v1")
KEY = os.environ.get("VIVAVOZ_API_KEY", "none-needed-on-loopback")


async def main(question: str) -> None:
    client = AsyncOpenAI(base_url=BASE_URL, api_key=KEY)
    sound = bytearray()
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": question}]}
        )
        await connection.response.create()
        async for event in connection:
            if event.type == "response.output_audio_transcript.delta":
                print(event.delta, end="", flush=True)
            elif event.type == "response.output_audio.delta":
                sound += base64.b64decode(event.delta)
            elif event.type == "error":
                raise SystemExit(event.error.message)
            elif event.type == "response.done":
                break
    with wave.open("answer.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(sound)
    print(f"\nanswer.wav: {len(sound) / 48_000:.1f} s")


asyncio.run(main(" ".join(sys.argv[1:]) or "What is a lighthouse for?"))
