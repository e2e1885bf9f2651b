"""The observer as a part of the application: whose calls are whose, and what profiles bring to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from vivavoz.app.grants import read_label
from vivavoz.app.observer.observer import Keeping
from vivavoz.app.observer.observers import Observers, Rules
from vivavoz.app.observer.ports import CallInfo, CallStore, MemoryCallStore, NullRecorder, Recorder
from vivavoz.app.observer.routes import Routes
from vivavoz.app.observer.sideband import Timing
from vivavoz.app.observer.toolrunner import Threads
from vivavoz.app.observer.tools import Toolbox
from vivavoz.app.service import Application
from vivavoz.app.upstream.port import LiveCall


def definitions(tools: Sequence[str]) -> list[dict[str, Any]]:
    """What a session's ``tools`` say of ``package.module:function``. Raises ToolsError."""
    return Toolbox.load(tools).definitions


class Observation:
    """Add it to ``application.parts`` before the application runs. Raises ToolsError where a profile names a
    tool that cannot be used."""

    def __init__(
        self,
        application: Application,
        *,
        store: CallStore | None = None,
        recorder: Recorder | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._application = application
        self._threads = Threads()
        self._toolboxes = {profile.name: Toolbox.load(profile.tools) for profile in application.profiles}
        keeping = Keeping(
            upstream=application.upstream,
            recorder=recorder or NullRecorder(),
            store=store or MemoryCallStore(),
            threads=self._threads,
            timing=timing or Timing(),
        )
        rules = Rules(
            tools=lambda profile: self._toolboxes.get(profile) or Toolbox(),
            session=self._session,
            found=self._found,
            began=lambda info: application.ledger.started(info.call_id, info.user, info.started_at),
            ended=lambda info, at: application.ledger.ended(info.call_id, at),
        )
        self.observers = Observers(keeping, rules)
        self._routes = Routes(self.observers, application.access, self._adopting)
        application.started = self.observers.started
        application.definitions = definitions

    def routes(self) -> list[web.RouteDef]:
        return self._routes.routes()

    async def run(self) -> None:
        try:
            await self.observers.run()
        finally:
            self._threads.close()

    def _session(self, profile: str) -> dict[str, Any] | None:
        found = next((each for each in self._application.profiles if each.name == profile), None)
        return None if found is None else dict(self._application.session_of(found))

    def _found(self, call: LiveCall) -> CallInfo | None:
        """Calls that other people's tokens and keys began are theirs."""
        label = read_label(call.grant_label)
        if label is None:
            return None
        application = self._application
        return application.call_info(
            call.id,
            user=label.user,
            origin=label.origin,
            profile=label.profile,
            filtered=call.filtered if call.filtered in ("on", "strict", "off") else None,  # type: ignore[arg-type]
            started_at=call.started_at or None,
        )

    def _adopting(self, call_id: str, profile: str | None, user: str) -> CallInfo:
        chosen = self._application.profiles.get(profile)
        return self._application.call_info(call_id, user=user, origin="adopted", profile=chosen.name)
