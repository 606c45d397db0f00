"""Whether the Hub answers and somebody is signed in. The token is never read into a finding, and never sent."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from dfrot_engine.doctor.finding import Finding

HUB = "Hub"
PUBLIC_HUB = "https://huggingface.co"
TOKEN_NAMES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
TIMEOUT_S = 3.0
_YES = {"1", "on", "yes", "true"}


def hub_findings() -> Iterator[Finding]:
    """Reachable, offline by choice, or not there; signed in or not."""
    yield _connection(os.environ.get("HF_ENDPOINT") or PUBLIC_HUB)
    name = next((name for name in TOKEN_NAMES if os.environ.get(name, "").strip()), "")
    where = name or ("a saved token" if token_in_file() else "")
    note = "" if where else "Needed only for gated and private models."
    value = f"signed in ({where})" if where else "not signed in"
    yield Finding(HUB, "login", "ok" if where else "absent", value, note, "" if where else "hf auth login")


def token_in_file() -> str:
    """The token that `hf auth login` has saved; "" if there is none."""
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    path = Path(os.environ.get("HF_TOKEN_PATH") or str(Path(home) / "token")).expanduser()
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _connection(address: str) -> Finding:
    where = urlsplit(address)
    shown = f"{where.scheme}://{where.hostname}"  # without a password that may stand in it
    if any(os.environ.get(name, "").lower() in _YES for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
        note = "HF_HUB_OFFLINE is set: only models on this computer."
        return Finding(HUB, "connection", "absent", "offline by choice", note, "unset HF_HUB_OFFLINE")
    if where.scheme not in ("http", "https"):
        return Finding(HUB, "connection", "broken", shown, "HF_ENDPOINT is no web address.", "unset HF_ENDPOINT")
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError:  # an answer, whatever it says
        pass
    except OSError:
        note = "Models on this computer can still be used."
        return Finding(HUB, "connection", "absent", f"{shown} does not answer", note, "Check the network and proxy.")
    return Finding(HUB, "connection", "ok", f"{shown} answers")
