"""The scripts that start, test and check the project, on a copy of it with the packages of this Python."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("app", "scripts", "config.json.example", "gunicorn.conf.py", "pyproject.toml", "wsgi.py")
TOOLS = ("cat", "cmp", "cp", "dirname", "id", "sh")
SCRIPTS = ("scripts/run", "scripts/test", "scripts/lint", ".ci/run")
FAKES = {f"EARSHOT_{stage}__BACKENDS": "fake" for stage in ("STT", "LLM", "TTS", "ANALYSIS")}

pytestmark = pytest.mark.process


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy what a start needs; nothing is installed in it."""
    folder = tmp_path / "earshot"
    folder.mkdir()
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def installed(checkout: Path) -> Path:
    """Give the copy the packages of this Python, as after a first start."""
    if not Path(sys.prefix, "pyvenv.cfg").exists():
        pytest.skip("this Python is in no virtual environment")
    venv = checkout / ".venv"
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (venv / name).symlink_to(Path(sys.prefix, name))
    shutil.copy2(checkout / "pyproject.toml", venv / "installed.toml")
    return checkout


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Hold a port as another service would."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def environment(**changes: str) -> dict[str, str]:
    """Return the environment with fake backends and these changes, and no other setting."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_") and name != "VENV"}
    return {**clean, **FAKES, **changes}


def run(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Call scripts/run where it is expected to end by itself."""
    command = [str(folder / "scripts" / "run"), *arguments]
    return subprocess.run(command, env=environment(**changes), capture_output=True, text=True, timeout=60)


@contextmanager
def started(folder: Path, n_commands: int, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Start scripts/run until the block ends; give the process and the first commands that it shows."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(folder / "scripts" / "run"), *arguments],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        commands: list[str] = []
        for line in process.stdout:
            if line.startswith("    "):
                commands.append(line.strip())
            if len(commands) == n_commands:
                break
        assert len(commands) == n_commands, (folder / "log").read_text()
        yield process, commands
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_called(script: str) -> None:
    """Each script may be executed and is sound shell."""
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["sh", "-n", ROOT / script], check=True)


def test_help_needs_nothing(checkout: Path) -> None:
    """--help names every option and sets nothing up."""
    shown = run(checkout, "--help")
    assert shown.returncode == 0
    assert all(option in shown.stdout for option in ("--port", "--config", "--lan", "--tls"))
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("arguments", [("--prot", "5055"), ("--port",), ("5055",)], ids=" ".join)
def test_an_unknown_option_is_refused(checkout: Path, arguments: tuple[str, ...]) -> None:
    """What is no option ends with the usage and status 2, before anything is set up."""
    refused = run(checkout, *arguments)
    assert refused.returncode == 2
    assert arguments[0] in refused.stderr
    assert "Usage:" in refused.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("python", "missing"),
    [("exit 1", "python3 python3-venv"), ("case $* in *ensurepip*) exit 1 ;; esac", "python3-venv")],
    ids=["no Python", "no venv"],
)
def test_what_python_lacks_is_told(checkout: Path, tmp_path: Path, python: str, missing: str) -> None:
    """Without a Python that can make a virtual environment, the line that installs it is shown."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "python3").write_text(f"#!/bin/sh\n{python}\n")
    (tools / "python3").chmod(0o755)
    refused = run(checkout, PATH=str(tools))
    assert refused.returncode == 1
    assert f"    sudo apt-get install {missing}\n" in refused.stderr


def test_a_taken_port_is_named(installed: Path, taken_port: int) -> None:
    """A port that another service holds ends the start with its number and status 1."""
    refused = run(installed, "--port", str(taken_port))
    assert refused.returncode == 1
    assert f"Port {taken_port} of 127.0.0.1 cannot be had" in refused.stderr


def test_a_mistake_in_the_configuration_is_named(installed: Path) -> None:
    """A configuration with a mistake ends the start with its key and status 2."""
    Path(installed, "mine.json").write_text('{"server": {"prot": 1}}')
    refused = run(installed, "--config", str(installed / "mine.json"))
    assert refused.returncode == 2
    assert "server.prot" in refused.stderr
    assert not (installed / "config.json").exists()


def test_the_token_for_the_lan_is_made_once(installed: Path, taken_port: int) -> None:
    """The token of --lan is kept in a file that only its owner reads, and later starts leave it."""
    tokens = []
    for _ in range(2):
        run(installed, "--lan", "--port", str(taken_port))
        tokens.append((installed / "var" / "token").read_text())
    assert len(tokens[0].strip()) >= 32
    assert tokens[0] == tokens[1]
    assert stat.S_IMODE((installed / "var" / "token").stat().st_mode) == 0o600


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_certificate_is_made_once(installed: Path, taken_port: int) -> None:
    """The certificate of --tls names this machine and is kept until it must name more; its key is the owner's."""
    kept = installed / "var" / "tls"
    certificates = []
    for arguments in [("--tls",), ("--tls",), ("--lan", "--tls"), ("--tls",)]:
        run(installed, *arguments, "--port", str(taken_port))
        certificates.append((kept / "cert.pem").read_bytes())
    assert certificates[0] == certificates[1]
    assert certificates[2] == certificates[3]
    shown = subprocess.run(
        ["openssl", "x509", "-in", kept / "cert.pem", "-noout", "-ext", "subjectAltName"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert all(name in shown for name in ("DNS:localhost", "IP Address:127.0.0.1", socket.gethostname()))
    assert stat.S_IMODE((kept / "key.pem").stat().st_mode) == 0o600


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_configured_certificate_is_left_alone(installed: Path, taken_port: int) -> None:
    """--tls makes none where the configuration names one."""
    named = {"EARSHOT_SERVER__TLS_CERT": "mine.pem", "EARSHOT_SERVER__TLS_KEY": "mine.key"}
    run(installed, "--tls", "--port", str(taken_port), **named)
    assert not (installed / "var" / "tls").exists()


def test_a_missing_openssl_is_told(installed: Path, tmp_path: Path) -> None:
    """Without openssl --tls ends with the line that installs it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(str(shutil.which(name)))
    refused = run(installed, "--tls", PATH=str(tools))
    assert refused.returncode == 1
    assert "    sudo apt-get install openssl\n" in refused.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("arguments", "n_commands"),
    [((), 5), (("--lan",), 6), (("--lan", "--tls"), 6)],
    ids=["this machine", "the network", "the network with TLS"],
)
def test_the_shown_commands_work(installed: Path, arguments: tuple[str, ...], n_commands: int) -> None:
    """The lines that a start shows ask a question and fetch its answer, and SIGTERM ends the service."""
    with started(installed, n_commands, "--port", str(free_port()), *arguments) as (process, commands):
        assert stat.S_IMODE((installed / "config.json").stat().st_mode) == 0o600
        assert commands[0].startswith("arecord ")
        for command in commands[1:]:
            subprocess.run(
                command.replace("curl ", "curl --fail --noproxy '*' ", 1), shell=True, cwd=installed, check=True
            )
        assert (installed / "answer.wav").read_bytes()[:4] == b"RIFF"
        process.terminate()
        assert process.wait(30) == 0
