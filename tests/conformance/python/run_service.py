"""Runs in an environment of its own: one of the origin's Flask services, as it stands, beside its page.

    python run_service.py SERVICE.py PAGE.html PORT RESOURCE_HOST RESOURCE_PORT

The resource's host name leads to this machine, `azure.identity` gives the key in TOKEN, and `/` gives the
page; nothing else is changed.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import types
from pathlib import Path

service, page, port, resource_host, resource_port = sys.argv[1:]

resolve = socket.getaddrinfo


def resolve_here(host, port, *rest, **options):
    if host == resource_host:
        host, port = "127.0.0.1", int(resource_port)
    return resolve(host, port, *rest, **options)


class Credential:
    """A directory that knows one token: the key of the service under test."""

    def get_token(self, *_):
        return types.SimpleNamespace(token=os.environ["TOKEN"], expires_on=2**31)


socket.getaddrinfo = resolve_here
identity = types.ModuleType("azure.identity")
identity.DefaultAzureCredential = Credential
sys.modules["azure"] = types.ModuleType("azure")
sys.modules["azure.identity"] = identity

spec = importlib.util.spec_from_file_location("token_service", service)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
html = Path(page).read_text()
module.app.add_url_rule("/", "page", lambda: html)
module.app.run("127.0.0.1", int(port), threaded=True)
