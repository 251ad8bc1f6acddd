"""The service seen from its door: whether its port is free, when it is ready, and how to talk to it.

`door.py check` ends with status 1 when the port is taken and 2 when the configuration cannot be used.
`door.py names` prints what our own certificate must be valid for; nothing when the configuration names another.
`door.py greet` waits until the service is ready, or its parent process gone, and prints what to try.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.config import ServerConfig, load_config  # noqa: E402  the path comes first
from app.errors import ConfigError  # noqa: E402

POLL_WAIT_S = 0.2
PATIENCE_S = 60.0
"""After this the operator is told where to see what the service waits for."""
LAN_TOKEN = "lan"
"""The name under which `scripts/run --lan` adds its token."""
PLACEHOLDER = "TOKEN"
OWN_CERTIFICATE = ROOT / "var" / "tls" / "cert.pem"
"""Where `scripts/run --tls` keeps the certificate that nobody vouches for."""
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that mean all of them, and where the service then answers on this machine."""


def main(argument: str) -> int:
    """Do what the argument says and return the exit status."""
    try:
        server = load_config().server
    except ConfigError as error:
        print(f"The configuration cannot be used: {error.message}", file=sys.stderr)
        return 2
    return {"check": check, "names": print_names, "greet": greet}[argument](server)


def check(server: ServerConfig) -> int:
    """Say whether the port can be had; 0 or 1."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        with socket.create_server((server.host, server.port), family=family):
            return 0
    except OSError as error:
        print(
            f"Port {server.port} of {server.host} cannot be had: {os.strerror(error.errno or 0)}. "
            f"Stop what uses it, or take another one: scripts/run --port {server.port + 1}",
            file=sys.stderr,
        )
        return 1


def print_names(server: ServerConfig) -> int:
    """Print the names and addresses of this machine as openssl takes them; 0."""
    if not server.tls_cert or is_own_certificate(server):
        hosts = ["localhost", socket.gethostname(), "127.0.0.1", "::1"]
        hosts.append(lan_address() if server.host in EVERYWHERE else server.host)
        print(",".join(dict.fromkeys(alternative_name(host) for host in hosts)))
    return 0


def alternative_name(host: str) -> str:
    """Return a host as a certificate's subjectAltName has it."""
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        return f"DNS:{host}"


def is_own_certificate(server: ServerConfig) -> bool:
    """Say whether browsers and curl will doubt the certificate."""
    return bool(server.tls_cert) and Path(server.tls_cert).resolve() == OWN_CERTIFICATE


def greet(server: ServerConfig) -> int:
    """Print how to talk to the service as soon as that works; 0, also when it ended before."""
    if server.port and wait_until_ready(address(server, EVERYWHERE.get(server.host, server.host))):
        print(greeting(server), flush=True)
    return 0


def wait_until_ready(url: str) -> bool:
    """Return True when the service says that it is ready, and False when the parent process has ended."""
    parent, told_at_s = os.getppid(), time.monotonic() + PATIENCE_S
    while os.getppid() == parent:
        if is_ready(url):
            return True
        if time.monotonic() > told_at_s:
            print(f"Still not ready after {PATIENCE_S:.0f} s; {url}/health says what is missing.", flush=True)
            told_at_s = float("inf")
        time.sleep(POLL_WAIT_S)
    return False


def is_ready(url: str) -> bool:
    """Ask /health, which wants no token and is not counted by the limit on requests, as /ready is."""
    unchecked = ssl._create_unverified_context()  # the certificate names a host, and this asks the machine itself
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unchecked)
    )
    try:
        with opener.open(f"{url}/health", timeout=5) as response:
            health: dict[str, Any] = json.load(response)
            return health.get("ready") is True
    except (OSError, ValueError):
        return False


def greeting(server: ServerConfig) -> str:
    """Return the lines that show how to talk to the service, with the address that devices on the network use."""
    is_for_lan = server.host in EVERYWHERE
    here = address(server, lan_address() if is_for_lan else server.host)
    token = token_to_show(server)
    is_doubted = is_own_certificate(server)
    header = ("-k " if is_doubted else "") + (f"-H 'Authorization: Bearer {token}' " if token else "")
    lines = [
        "",
        f"Earshot is ready: {here}/?token={token}" if token else f"Earshot is ready: {here}/",
        f"Open this address in a browser and talk. {advice(server, is_doubted)}".rstrip(),
        "",
        "Record a question, such as 'what time is it':",
        "    arecord -f S16_LE -r 16000 -d 3 question.wav",
        "or, without a microphone, let the voice ask it:",
        f"    curl {header}-H 'Content-Type: application/json' -d '{{\"text\": \"What time is it?\"}}' {here}/say",
        f"    curl {header}'{here}/audio?stream=1' -o question.wav",
        "Then send it, and fetch the answer:",
        f"    curl {header}--data-binary @question.wav {here}/upload",
        f"    curl {header}'{here}/audio?stream=1' -o answer.wav",
    ]
    if is_for_lan:
        lines += [
            "",
            "The line for a device on your network: its question, and the answer in the same request:",
            f"    curl {header}--data-binary @question.wav '{here}/talk?session=kitchen' -o answer.wav",
            "The session keeps devices apart; name each as you like.",
        ]
    if token == PLACEHOLDER:
        lines += ["", f"{PLACEHOLDER} stands for one of server.tokens: {', '.join(server.tokens)}."]
    return "\n".join([*lines, ""])


def advice(server: ServerConfig, is_doubted: bool) -> str:
    """Return what the operator must know before a browser gives the page the microphone."""
    if is_doubted:
        return "It warns once, as nobody vouches for this certificate; go on all the same."
    if server.host in EVERYWHERE and not server.tls_cert:
        return "For the microphone of other machines start with --tls too."
    return ""


def token_to_show(server: ServerConfig) -> str:
    """Return the token of `--lan`; the operator's own stay out of sight."""
    if LAN_TOKEN in server.tokens:
        return server.tokens[LAN_TOKEN].token
    return PLACEHOLDER if server.tokens else ""


def address(server: ServerConfig, host: str) -> str:
    """Return the address of the service at this host."""
    scheme = "https" if server.tls_cert else "http"
    return f"{scheme}://[{host}]:{server.port}" if ":" in host else f"{scheme}://{host}:{server.port}"


def lan_address() -> str:
    """Return the address that other machines reach this one at, or its name when it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # asks the routing table only; nothing is sent
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
