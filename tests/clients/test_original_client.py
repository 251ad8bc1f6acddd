"""The client that the first version of the service was written for, line for line."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.serving import RunningService, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(with_fakes()) as running:
        yield running


def test_the_original_client_still_works(service: RunningService, tmp_path: Path) -> None:
    """Bytes are posted with no header at all, and GET gives WAV files with 200 until 204."""
    url = service.url
    (tmp_path / "input.wav").write_bytes(speech_wav(215))
    outputs = []

    with open(tmp_path / "input.wav", "rb") as f:
        audio_data = f.read()
    response = requests.post(url + "/upload", data=audio_data)
    assert response.status_code == 200

    while True:
        response = requests.get(url + "/audio")
        if response.status_code == 204:
            break
        assert response.status_code == 200
        with open(tmp_path / f"output{len(outputs)}.wav", "wb") as f:
            f.write(response.content)
        outputs.append(response)

    assert [response.headers["Content-Type"] for response in outputs] == ["audio/wav", "audio/wav"]
    assert response.content == b""
    for n in range(len(outputs)):
        with wave.open(str(tmp_path / f"output{n}.wav")) as file:
            assert file.getnframes() / file.getframerate() > 0.1
