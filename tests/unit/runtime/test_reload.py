"""Settings, regions and engine change while the loop runs; what is broken changes nothing and is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aand_edge.config import Workspace
from aand_edge.engines.base import Frames, Outputs, Runner
from aand_edge.engines.build import build_engine
from aand_edge.errors import AandEdgeError, EngineFailedError
from aand_edge.runtime import live_engine
from aand_edge.runtime import reload as module
from aand_edge.runtime.events import Noticed
from aand_edge.runtime.live_engine import LiveEngine
from aand_edge.runtime.loop import LoopSettings
from aand_edge.runtime.reload import Reloader
from aand_edge.runtime.sources.camera import Camera
from tests.graphs import tiny_request

FILE = "aand-edge.toml"


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return build_engine(tiny_request(tmp_path))[0]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.0)


def write(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text)


def test_settings_and_regions_are_read_when_the_file_changes(tmp_path: Path, engine: Path) -> None:
    told: list[Noticed] = []
    camera = Camera("top", "test://", lambda item: None)
    with LiveEngine(engine) as live:
        look = twice(Reloader(tmp_path, tmp_path / FILE, live, [camera], {"fail_safe": "pass"}, told.append))
        before = LoopSettings(fail_safe="pass")
        assert look(before) is before
        region = '[[run.cameras]]\nname = "top"\nsource = "test://"\nroi = [1, 2, 30, 40]\n'
        write(tmp_path, '[run]\nthreshold = 0.5\nfail_safe = "reject"\n' + region)
        settings = look(before)
        assert settings == LoopSettings(0.5, None, "pass"), "the command line goes before the file"
        assert camera.roi == (1, 2, 30, 40)
        write(tmp_path, "[run\n")
        assert look(settings) == settings
        for wrong in ("inf", "-0.05"):
            write(tmp_path, f"[run]\nthreshold = {wrong}\n")
            assert look(settings) == settings
        (tmp_path / FILE).unlink()
        assert look(settings) == settings, "an editor may be about to write it anew"
        write(tmp_path, "[run]\nthreshold = 0.25\n")
        assert look(settings).threshold == 0.25
    assert [each.level for each in told] == ["info", "warning", "warning", "warning", "warning", "info"]
    assert told[0].text == "Settings read again: threshold 0.5, top looks at 30x40+1+2"
    assert "The settings stay as they are" in told[1].text
    assert told[4].text.endswith("aand-edge.toml is not there")


def test_what_is_read_again_is_told_in_words(tmp_path: Path, engine: Path) -> None:
    told: list[Noticed] = []
    write(tmp_path, '[run]\nfail_safe = "pass"\ndeadline_ms = 20\n')
    with LiveEngine(engine) as live:
        look = Reloader(tmp_path, tmp_path / FILE, live, [], {}, told.append)
        settings = LoopSettings(0.5)
        for _ in range(2):
            look.request()
            settings = look(settings)
    assert [each.text.removeprefix("Settings read again: ") for each in told] == [
        "the engine's own threshold, deadline 20 ms, parts that failed or came late pass",
        "nothing changed for the loop",
    ]


def test_what_needs_a_new_start_is_named(tmp_path: Path, engine: Path) -> None:
    told: list[Noticed] = []
    start = '[run]\n[[run.cameras]]\nsource = "test://"\nroi = [1, 2, 30, 40]\n'
    write(tmp_path, start)
    camera = Camera("camera1", "test://", lambda item: None)
    with LiveEngine(engine) as live:
        started = Workspace.open(tmp_path).settings.run
        look = Reloader(tmp_path, tmp_path / FILE, live, [camera], {}, told.append, started=started)
        for more, region in (('engine = "other"', ""), ("threshold = 0.5", ""), ("", "rate = 5")):
            write(tmp_path, start.replace("[run]", f"[run]\n{more}").replace("roi = [1, 2, 30, 40]", region))
            look.request()
            look(LoopSettings())
    assert [each.text for each in told if each.level == "warning"] == [
        "[run] engine: what changed takes effect when the loop is started again",
        "[run] cameras: what changed takes effect when the loop is started again",
    ]


def test_a_file_that_changes_between_two_looks_is_not_read_yet(tmp_path: Path, engine: Path) -> None:
    """Editors that save in place empty the file first; what they wrote then may be half of it."""
    told: list[Noticed] = []
    write(tmp_path, "[run]\nthreshold = 0.5\ndeadline_ms = 20\n")
    held = LoopSettings(0.5, 20)
    with LiveEngine(engine) as live:
        look = Reloader(tmp_path, tmp_path / FILE, live, [], {}, told.append)
        for half in ("", "[run]\nthreshold = 0.", "[run]\nthreshold = 0.25\n"):
            write(tmp_path, half)
            assert look(held) is held
        write(tmp_path, "[run]\nthreshold = 0.25\ndeadline_ms = 20\n")
        assert look(held) is held
        assert not told
        assert look(held) == LoopSettings(0.25, 20)
        assert look(held) is held, "once"


@pytest.mark.parametrize("asked", [False, True])
def test_a_file_that_stays_empty_changes_nothing(tmp_path: Path, engine: Path, asked: bool) -> None:
    told: list[Noticed] = []
    write(tmp_path, "[run]\nthreshold = 0.5\n")
    held = LoopSettings(0.5)
    with LiveEngine(engine) as live:
        look = Reloader(tmp_path, tmp_path / FILE, live, [], {}, told.append)
        write(tmp_path, "")
        if asked:
            look.request()
        assert twice(look)(held) == held
    assert [each.text for each in told] == [f"The settings stay as they are: {tmp_path / FILE} is empty"]


def test_a_signal_reads_them_even_where_nothing_changed(tmp_path: Path, engine: Path) -> None:
    told: list[Noticed] = []
    write(tmp_path, "[run]\ndeadline_ms = 20\n")
    with LiveEngine(engine) as live:
        look = Reloader(tmp_path, tmp_path / FILE, live, [], {}, told.append)
        assert look(LoopSettings()) == LoopSettings()
        look.request()
        assert look(LoopSettings()).deadline_ms == 20
        assert look(LoopSettings()) == LoopSettings(), "once"


def test_a_new_build_is_taken_and_a_broken_one_is_not(tmp_path: Path, engine: Path) -> None:
    told: list[Noticed] = []
    with LiveEngine(engine) as live:
        look = Reloader(tmp_path, tmp_path / FILE, live, [], {}, told.append)
        text = engine.read_text()
        engine.write_text(text.replace('"engine_sha256": "', '"engine_sha256": "0'))
        until(lambda: look(LoopSettings()) is not None and bool(told))
        assert "The new engine is not taken, the old one goes on" in told[0].text
        old = live.manifest
        engine.write_text(text)
        until(lambda: look(LoopSettings()) is not None and len(told) == 2)
        assert "Changed to the new build of tiny.onnxruntime.fp32" in told[1].text
        assert live.manifest is not old


def test_a_camera_without_a_name_has_the_one_that_the_loop_gives_it(tmp_path: Path, engine: Path) -> None:
    camera = Camera("camera2", "test://", lambda item: None)
    with LiveEngine(engine) as live:
        look = twice(Reloader(tmp_path, tmp_path / FILE, live, [camera], {}, lambda told: None))
        table = '[[run.cameras]]\nsource = "test://"\n'
        write(tmp_path, f"{table}{table}roi = [1, 2, 30, 40]\n")
        look(LoopSettings())
        assert camera.roi == (1, 2, 30, 40)


def test_what_is_written_while_a_build_is_loaded_is_loaded_after_it(
    tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`threshold --set` twice within the seconds that an engine takes to load: the second counts."""
    loading = threading.Event()
    with LiveEngine(engine) as live:
        look = Reloader(tmp_path, tmp_path / FILE, live, [], {}, lambda told: None)
        load = live_engine.load_engine

        def slow(path: Path) -> object:
            found = load(path)
            assert loading.wait(20)
            return found

        monkeypatch.setattr(live_engine, "load_engine", slow)
        for value in (1.5, 2.5):
            set_threshold(engine, value)
            look(LoopSettings())
        loading.set()
        until(lambda: look(LoopSettings()) is not None and live.manifest.threshold.value == 2.5)


class Counted:
    """A runner that counts how often it is closed."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self.closed = runner, 0

    def infer(self, frames: Frames) -> Outputs:
        return self._runner.infer(frames)

    def close(self) -> None:
        self.closed += 1
        self._runner.close()


@pytest.mark.parametrize("when", ["loaded in time", "loaded later", "fails later"])
def test_a_stop_does_not_wait_for_an_engine_that_is_being_loaded_and_frees_it_once(
    engine: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    go_on, loaded = threading.Event(), list[Counted]()
    live = LiveEngine(engine)
    load = live_engine.load_engine

    def slow(path: Path) -> object:
        assert go_on.wait(20)
        if when == "fails later":
            raise AandEdgeError("the engine is torn")
        manifest, runner = load(path)
        loaded.append(Counted(runner))
        return manifest, loaded[-1]

    monkeypatch.setattr(live_engine, "load_engine", slow)
    live._runner = old = Counted(live._runner)
    live.load_next()
    thread = live._loading
    assert thread is not None
    if when == "loaded in time":
        go_on.set()
        thread.join(20)
    start = time.monotonic()
    live.close()
    assert time.monotonic() - start < 5, "the loader would wait for 20 s"
    go_on.set()
    thread.join(20)
    assert not thread.is_alive()
    assert [each.closed for each in loaded] == ([] if when == "fails later" else [1])
    assert old.closed == 1
    assert live.swap() is None


def test_an_engine_that_was_built_for_other_frames_is_not_taken_when_the_old_one_fails(
    tmp_path: Path, engine: Path
) -> None:
    with LiveEngine(engine) as live:
        frames = np.zeros((1, *live.manifest.frame, 3), np.uint8)
        manifest = json.loads(engine.read_text())
        manifest["colour"] = "RGB"
        engine.write_text(json.dumps(manifest))
        live._runner.close()  # as a context that is lost: its next answer is an error
        with pytest.raises(EngineFailedError, match="built anew for other frames"):
            live.infer(frames)


def twice(look: Reloader) -> Callable[[LoopSettings], LoopSettings]:
    """Two looks, after which a file that changed is read."""
    return lambda settings: look(look(settings))


def set_threshold(engine: Path, value: float) -> None:
    manifest = json.loads(engine.read_text())
    manifest["threshold"]["value"] = value
    engine.write_text(json.dumps(manifest))


def until(true: object) -> None:
    end = time.monotonic() + 20
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
