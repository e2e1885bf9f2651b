"""Phonemes by eSpeak NG: the library in the package ``espeakng-loader``, else the program ``espeak-ng``.

eSpeak NG is under the GPL, version 3 or later. It is no part of this project: who wants Portuguese installs
it beside it, and only the voice's own process loads or calls it.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import shutil
import subprocess
import threading
from typing import Any, Protocol

from vivavoz.engines.multilingual.runtime import INSTALL
from vivavoz.engines.ports import EngineError

TIE = "^"
"""Stands between the letters of one phoneme."""

_PACKAGE = "espeakng_loader"
_PROGRAM = "espeak-ng"
_LIMIT_S = 5.0
_SWITCH = re.compile(r"\([a-z-]+\)")
"""``(en)`` and the like: from here on another language's rules are used."""

# espeak-ng/speak_lib.h
_RETRIEVAL = 1
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_IPA_WITH_TIES = 0x02 | 0x80 | ord(TIE) << 8


class Espeak(Protocol):
    def phonemes(self, text: str, voice: str) -> str:
        """IPA of ``text`` without its punctuation, stressed, with ties. ``voice``: eSpeak's name of the
        language (``pt-br``). Raises EngineError."""
        ...


def find_espeak() -> Espeak:
    """The library where it is installed, else the program. Raises EngineError (``engine_absent``)."""
    try:
        return EspeakLibrary()
    except ImportError:
        pass
    if (program := shutil.which(_PROGRAM)) is not None:
        return EspeakProgram(program)
    raise EngineError(
        "Portuguese needs eSpeak NG for its phonemes; "
        f"install it with: {INSTALL}, or: apt-get install espeak-ng",
        "engine_absent",
    )


class EspeakLibrary:
    """The library in this process. It has one global state: a lock guards it."""

    _lock = threading.Lock()

    def __init__(self) -> None:
        """Raises ImportError where the package is not installed, EngineError where it does not work."""
        loader = importlib.import_module(_PACKAGE)
        self._voice = ""
        try:
            self._library: Any = ctypes.CDLL(loader.get_library_path())
        except OSError as error:
            raise EngineError(f"eSpeak NG does not load: {error}", "engine_absent") from error
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._library.espeak_TextToPhonemes.argtypes = (
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        )
        data = os.path.dirname(loader.get_data_path())
        with self._lock:
            rate = self._library.espeak_Initialize(_RETRIEVAL, 0, data.encode(), _DO_NOT_EXIT)
        if rate <= 0:
            raise EngineError(f"eSpeak NG cannot use its data in {data}", "engine_absent")

    def phonemes(self, text: str, voice: str) -> str:
        raw = ctypes.create_string_buffer(text.replace("\0", " ").encode())
        rest = ctypes.c_char_p(ctypes.addressof(raw))
        parts: list[str] = []
        with self._lock:
            self._use(voice)
            while rest.value is not None:
                # It takes one clause a call and moves the pointer; behind the last clause it is null.
                part = self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA_WITH_TIES)
                parts.append((part or b"").decode())
        return _tidy(" ".join(parts))

    def _use(self, voice: str) -> None:
        if voice == self._voice:
            return
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EngineError(f"eSpeak NG has no voice {voice}", "engine_failed")
        self._voice = voice


class EspeakProgram:
    """The program, run for each text: some 10 ms."""

    def __init__(self, program: str) -> None:
        self._program = program

    def phonemes(self, text: str, voice: str) -> str:
        command = [self._program, "-q", "-b", "1", "--ipa", f"--tie={TIE}", "-v", voice, "--stdin"]
        try:
            done = subprocess.run(
                command, input=text.encode(), capture_output=True, timeout=_LIMIT_S, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            # Its own words may quote what is to be said.
            raise EngineError(f"{_PROGRAM} failed ({type(error).__name__})", "engine_failed") from None
        return _tidy(done.stdout.decode(errors="replace"))


def _tidy(phonemes: str) -> str:
    return " ".join(_SWITCH.sub("", phonemes).replace("_", " ").split())
