"""A back end of your own: it serves the page beside it, and mints tokens so that no browser holds the key.

    python server.py            # then open http://127.0.0.1:8000

Standard library only. VIVAVOZ_URL and VIVAVOZ_API_KEY say where vivavoz is and what it wants to see.
"""

import json
import os
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

URL = os.environ.get("VIVAVOZ_URL", "http://127.0.0.1:8080/v1")
KEY = os.environ.get("VIVAVOZ_API_KEY", "none-needed-on-loopback")
SESSION = {
    "type": "realtime",
    "model": "gpt-realtime",
    "instructions": "You are a friendly guide to lighthouses. Answer in one or two sentences.",
    "audio": {"input": {"transcription": {"model": "whisper-1"}}, "output": {"voice": "marin"}},
}


class Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments):
        super().__init__(*arguments, directory=str(Path(__file__).parent))

    def do_GET(self):
        if self.path == "/token":
            self.send_token()
        else:
            super().do_GET()

    def send_token(self):
        request = urllib.request.Request(
            f"{URL}/realtime/client_secrets",
            json.dumps({"session": SESSION}).encode(),
            {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            secret = json.load(answer)
        body = json.dumps({"token": secret["value"], "calls": f"{URL}/realtime/calls"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
