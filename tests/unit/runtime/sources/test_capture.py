"""OpenCV 4, as JetPack has it, and OpenCV 5 keep their log level in different places."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aand_edge.runtime.sources import capture


@pytest.mark.parametrize("version", [4, 5])
def test_what_opencv_prints_of_a_stream_is_silenced(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    levels: list[int] = []
    home = SimpleNamespace(setLogLevel=levels.append)
    monkeypatch.setattr(capture, "cv2", home if version == 4 else SimpleNamespace(utils=SimpleNamespace(logging=home)))
    capture.silence()
    assert levels == [0]
