"""Engines of any OpenAI-compatible endpoint, each stage on its own (``pip install 'vivavoz[remote]'``)."""

from vivavoz.engines.remote.llm import RemoteLlm
from vivavoz.engines.remote.local import probe_local
from vivavoz.engines.remote.stt import RemoteStt
from vivavoz.engines.remote.tts import RemoteTts

__all__ = ["RemoteLlm", "RemoteStt", "RemoteTts", "probe_local"]
