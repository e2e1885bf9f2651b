"""Client secrets: what they carry, that they cannot be read or altered, and when they end."""

from __future__ import annotations

import base64
import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.server.sealing import NotOurs, Sealer
from vivavoz.server.store import FileStore, MemoryStore, Store
from vivavoz.server.tokens import MAX_INLINE_CHARS, TokenError, Tokens
from vivavoz.wire.options import SessionPatch

SEALER = Sealer(["a secret of this installation"], "client secrets", stretch=2)
PROMPT = "You are a pirate. The treasure lies under the old oak."


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def tokens(store: Store | None = None, clock: Clock | None = None) -> Tokens:
    clock = clock or Clock()
    return Tokens(SEALER, store or MemoryStore(clock=clock), clock=clock)


def session(instructions: str = PROMPT) -> SessionPatch:
    return SessionPatch(model="gpt-realtime", instructions=instructions)


async def test_a_token_brings_back_what_was_put_in() -> None:
    issuer = tokens()
    value, said = await issuer.issue(session(), session_id="sess_1", seconds=600, model="m")
    assert value.startswith("ek_")
    assert said.expires_at == 1_800_000_600
    for _ in range(3):
        assert await issuer.open(value) == said


async def test_only_what_was_set_comes_back_set() -> None:
    issuer = tokens()
    value, _ = await issuer.issue(SessionPatch(), session_id="s", seconds=10)
    assert (await issuer.open(value)).session == SessionPatch()
    value, _ = await issuer.issue(None, session_id="s", seconds=10)
    assert (await issuer.open(value)).session is None


async def test_another_worker_with_the_same_secret_opens_it() -> None:
    value, said = await tokens().issue(session(), session_id="sess_1", seconds=600)
    again = Sealer(["a secret of this installation"], "client secrets", stretch=2)
    assert await Tokens(again, MemoryStore(), clock=Clock()).open(value) == said


async def test_a_rotated_key_opens_until_it_is_taken_out() -> None:
    value, _ = await tokens().issue(session(), session_id="s", seconds=600)
    rotated = Sealer(["new", "a secret of this installation"], "client secrets", stretch=2)
    assert (await Tokens(rotated, MemoryStore(), clock=Clock()).open(value)).session == session()
    removed = Sealer(["new"], "client secrets", stretch=2)
    with pytest.raises(TokenError, match="another key"):
        await Tokens(removed, MemoryStore(), clock=Clock()).open(value)


async def test_it_ends_on_time_with_a_message_of_its_own() -> None:
    clock = Clock()
    issuer = tokens(clock=clock)
    value, _ = await issuer.issue(session(), session_id="s", seconds=60)
    clock.now += 59.9
    await issuer.open(value)
    clock.now += 0.1
    with pytest.raises(TokenError, match="has expired") as raised:
        await issuer.open(value)
    assert raised.value.code == "client_secret_expired"


async def test_nobody_reads_the_prompt_in_it() -> None:
    value, _ = await tokens().issue(session(), session_id="sess_secret", seconds=600)
    raw = base64.urlsafe_b64decode(value[3:] + "==")
    assert b"pirate" not in raw
    assert b"sess_secret" not in raw
    # Two tokens of the same session have nothing in common.
    other, _ = await tokens().issue(session(), session_id="sess_secret", seconds=600)
    assert value[3:20] != other[3:20]


ALPHABET = string.ascii_letters + string.digits + "-_=+/. é\x00"


@given(data=st.data())
async def test_any_tampering_is_refused(data: st.DataObject) -> None:
    issuer = tokens()
    value, _ = await issuer.issue(session(), session_id="sess_1", seconds=600)
    kind = data.draw(st.sampled_from(["replace", "cut", "insert", "append", "swap"]))
    place = data.draw(st.integers(3, len(value) - 1))
    character = data.draw(st.sampled_from(ALPHABET))
    match kind:
        case "replace":
            forged = value[:place] + character + value[place + 1 :]
        case "cut":
            forged = value[:place]
        case "insert":
            forged = value[:place] + character + value[place:]
        case "append":
            forged = value + character
        case _:
            forged = value[:3] + value[place:] + value[3:place]
    if forged != value:
        with pytest.raises(TokenError):
            await issuer.open(forged)


@given(junk=st.text(max_size=200))
async def test_junk_is_refused(junk: str) -> None:
    with pytest.raises(TokenError):
        await tokens().open("ek_" + junk)


@pytest.fixture(params=["memory", "files"])
def clock_and_store(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Clock, Store]:
    clock = Clock()
    if request.param == "memory":
        return clock, MemoryStore(clock=clock)
    return clock, FileStore(tmp_path / "store", clock=clock)


LONG = "".join(f"Rule {number}: never say {number * 7919 % 100003}. " for number in range(4000))


async def test_a_hundred_kilobytes_of_instructions_fit(clock_and_store: tuple[Clock, Store]) -> None:
    clock, store = clock_and_store
    assert len(LONG) > 100_000
    issuer = tokens(store, clock)
    value, _ = await issuer.issue(session(LONG), session_id="s", seconds=600)
    assert len(value) < MAX_INLINE_CHARS
    assert (await issuer.open(value)).session == session(LONG)


async def test_a_long_one_is_gone_when_its_entry_is(clock_and_store: tuple[Clock, Store]) -> None:
    clock, store = clock_and_store
    value, _ = await tokens(store, clock).issue(session(LONG), session_id="s", seconds=600)
    with pytest.raises(TokenError, match="no longer kept"):
        await tokens(MemoryStore(clock=clock), clock).open(value)


async def test_a_long_one_works_from_another_worker_and_is_unreadable_on_disk(tmp_path: Path) -> None:
    clock = Clock()
    value, _ = await tokens(FileStore(tmp_path, clock=clock), clock).issue(
        session(LONG), session_id="s", seconds=600
    )
    (entry,) = map(tmp_path.joinpath, os.listdir(tmp_path))
    assert entry.stat().st_mode & 0o777 == 0o600
    assert b"never say" not in entry.read_bytes()
    assert (await tokens(FileStore(tmp_path, clock=clock), clock).open(value)).session == session(LONG)
    entry.write_bytes(entry.read_bytes()[:-1])
    with pytest.raises(TokenError) as raised:
        await tokens(FileStore(tmp_path, clock=clock), clock).open(value)
    assert raised.value.code == "client_secret_invalid"


def test_the_context_is_part_of_the_seal() -> None:
    sealed = SEALER.seal(b"x", b"one")
    assert SEALER.open(sealed, b"one") == b"x"
    with pytest.raises(NotOurs):
        SEALER.open(sealed, b"two")
    with pytest.raises(NotOurs):
        SEALER.open(b"", b"one")
