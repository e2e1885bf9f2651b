"""The application beside a service that speaks as Azure does and no more."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from tests.app.test_serving import KEY, answered
from tests.running import vivavoz
from tests.server.test_end_to_end import OFFER


async def test_before_a_strict_service_the_application_speaks_as_azure_does(tmp_path: Path) -> None:
    config = tmp_path / "vivavoz.toml"
    config.write_text('default_model = "mine"\n[server]\nstrict_azure = true\n[models.mine]\n')
    environment = {"VIVAVOZ_CONFIG": str(config)}
    with vivavoz(tmp_path, key=KEY, environment=environment) as service:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as http:
            told = await answered(http, service.url)
            assert told["browser_reads_session"] == {"token": True, "connect": False}
            async with http.get(service.url + "/token") as answer:
                token = await answer.json()
                assert token["endpoint"] == "/openai/v1/realtime/calls?webrtcfilter=on"
                assert token["deployment"] == "mine"
            form = aiohttp.FormData({"sdp": OFFER}, default_to_multipart=True)
            async with http.post(service.url + "/connect", data=form) as answer:
                assert answer.status == 201
