"""The engine that judges: opened afresh once when it fails, and changed for a new build between two frames."""

from __future__ import annotations

import logging
import threading
from types import TracebackType

import numpy as np

from aand_edge.artifacts import EngineManifest
from aand_edge.engines.base import Frames, Outputs, Runner
from aand_edge.engines.load import EnginePlace, load_engine
from aand_edge.errors import AandEdgeError, EngineFailedError
from aand_edge.runtime.allocator import blocks_of_their_own
from aand_edge.runtime.stopping import ENGINE_LOADER, ENGINE_S

LOG = logging.getLogger("aand_edge.runtime")


class LiveEngine:
    """A context manager over an engine, on disk or on a server. `infer` and `swap` belong to one thread.

    restarts   how often it was opened afresh after an error
    """

    def __init__(self, path: EnginePlace) -> None:
        """Raises what `load_engine` raises."""
        self.path = path
        self.restarts = 0
        with blocks_of_their_own():
            self.manifest, self._runner = load_engine(path)
        self._next: tuple[EngineManifest, Runner] | Exception | None = None
        self._loading: threading.Thread | None = None
        self._closing, self._closed = threading.Lock(), False

    def warm_up(self) -> None:
        """Answer once, so that the first part does not wait for what an engine does at its first frame."""
        with blocks_of_their_own():
            _try_out(self.manifest, self._runner)

    def infer(self, frames: Frames) -> Outputs:
        """As `Runner.infer`; where that fails, once more on a fresh context.

        Raises EngineFailedError where it fails again.
        """
        try:
            return self._runner.infer(frames)
        except Exception as error:
            first = str(error)  # the error itself would hold the frames in which it was raised, and so the old engine
        LOG.error("the engine failed and is opened afresh: %s", first)
        try:
            with blocks_of_their_own():
                self._reopen()
                return self._runner.infer(frames)
        except Exception as error:
            raise EngineFailedError(
                f"The engine failed, and again after it was opened afresh: {error}",
                f"The first time it was: {first}. Run `aand-edge doctor`.",
            ) from error

    def load_next(self) -> bool:
        """Begin to load what there is under the engine's name now; `swap` takes it when it is ready.

        False where one is being loaded already, which may not see what is there now: ask again.
        """
        if self._loading is not None:
            return False
        self._loading = threading.Thread(target=self._load_next, name=ENGINE_LOADER, daemon=True)
        self._loading.start()
        return True

    def swap(self) -> EngineManifest | Exception | None:
        """Change to the engine that was loaded, if there is one; returns its manifest, or why there is none.

        An engine that needs another frame size is not taken: cameras and regions are set for the old one.
        """
        if self._next is None:
            return None
        found, self._next, self._loading = self._next, None, None
        if isinstance(found, Exception):
            return found
        manifest, runner = found
        self._runner, old = runner, self._runner
        self.manifest = manifest
        _free(old)
        return manifest

    def close(self) -> None:
        """Free the engine, and one that was loaded; one that is being loaded frees itself, if it ever gets there."""
        if self._loading is not None:
            self._loading.join(ENGINE_S)
        with self._closing:
            self._closed = True
            waiting, self._next = self._next, None
        if isinstance(waiting, tuple):
            _free(waiting[1])
        _free(self._runner)

    def __enter__(self) -> LiveEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reopen(self) -> None:
        _free(self._runner)
        self.restarts += 1
        manifest, self._runner = load_engine(self.path)
        before, self.manifest = self.manifest, manifest
        if _takes(manifest) != _takes(before):  # a build that `swap` refused, or has not seen yet
            raise AandEdgeError("The engine was built anew for other frames", "Start the loop again.")

    def _load_next(self) -> None:
        """In a thread of its own: loading takes seconds, and the old engine goes on judging."""
        with blocks_of_their_own():
            found = self._loaded()
            with self._closing:
                if not self._closed:
                    self._next = found
                    return
            if isinstance(found, tuple):
                _free(found[1])

    def _loaded(self) -> tuple[EngineManifest, Runner] | Exception:
        """An engine that has answered, or why there is none."""
        try:
            manifest, runner = load_engine(self.path)
        except Exception as error:
            return error
        try:
            if manifest.frame != self.manifest.frame or manifest.roi != self.manifest.roi:
                raise AandEdgeError("The new engine looks at another frame or region", "Start the loop again.")
            _try_out(manifest, runner)
        except Exception as error:
            _free(runner)
            return error
        return manifest, runner


def _free(runner: Runner) -> None:
    """A lost context may refuse to be closed: what it was lost for is what is to be told."""
    try:
        runner.close()
    except Exception as error:
        LOG.warning("the engine could not be closed: %s", error)


def _takes(manifest: EngineManifest) -> tuple[object, ...]:
    """What frames must be prepared for."""
    return manifest.frame, manifest.roi, manifest.batch, manifest.colour


def _try_out(manifest: EngineManifest, runner: Runner) -> None:
    """Raises AandEdgeError where the engine does not answer a black frame with numbers."""
    height, width = manifest.frame
    outputs = runner.infer(np.zeros((manifest.batch, height, width, 3), np.uint8))
    if not (np.isfinite(outputs.score).all() and np.isfinite(outputs.anomaly_map).all()):
        raise AandEdgeError("The engine answered with numbers that are not finite", "Build it with --precision fp32.")
