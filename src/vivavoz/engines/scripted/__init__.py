"""Deterministic engines that play a script: for tests, for demos, and where there is no model."""

from vivavoz.engines.scripted.engines import ScriptedEngines
from vivavoz.engines.scripted.llm import ScriptedLlm
from vivavoz.engines.scripted.script import Script, ScriptError

__all__ = ["Script", "ScriptError", "ScriptedEngines", "ScriptedLlm"]
