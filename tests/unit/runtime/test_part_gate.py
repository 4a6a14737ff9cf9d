"""One frame a part: exactly as many as crossed the line, at any speed, whatever the belt and the light do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from aand_edge.runtime.frame import Frame
from aand_edge.runtime.triggers.part_gate import PartGate
from tests.frames import TIME

WIDTH, HEIGHT = 320, 240


def shown(number: int, parts: list[tuple[float, float]], light: float = 1.0) -> Frame:
    """Bright discs on a dark belt with a weave that scrolls, and noise."""
    rng = np.random.default_rng(number)
    x = np.arange(WIDTH)
    belt = 45 + 6 * np.sin((x + 3 * number) / 4)[None, :, None] + rng.normal(0, 2, (HEIGHT, WIDTH, 1))
    picture = np.repeat(belt, 3, axis=2).clip(0, 255).astype(np.uint8)
    for along, across in parts:
        cv2.circle(picture, (round(along), round(across)), 40, (170, 175, 180), -1)
    return Frame("a", number, "", (picture * light).clip(0, 255).astype(np.uint8), 0.0, TIME)


def due(gate: PartGate, frames: list[Frame]) -> list[int]:
    return [frame.number for frame in frames if gate.due(frame)]


def passing(speed: float, gap: float, count: int, light: float = 0.0) -> list[Frame]:
    """Parts that come in on the left one after the other, `gap` pixels apart."""
    frames = []
    for number in range(int((gap * count + WIDTH + 200) / speed) + 20):
        heads = [speed * (number - 10) - 60 - gap * part for part in range(count)]
        frames.append(shown(number, [(each, 120) for each in heads if -60 < each < WIDTH + 60], 1 + light * number))
    return frames


@pytest.mark.parametrize("speed", [2.0, 7.0, 20.0, 45.0])
def test_every_part_is_due_once_at_any_speed(speed: float) -> None:
    frames = passing(speed, 150, 5)
    found = due(PartGate(direction=1), frames)
    assert len(found) == 5
    for number in found:
        heads = [speed * (number - 10) - 60 - 150 * part for part in range(5)]
        assert min(abs(each - WIDTH / 2) for each in heads) <= speed + 3, "as its middle crosses the line"


def test_two_parts_side_by_side_are_two_frames_or_one_with_both() -> None:
    frames = [shown(n, [(6 * n - 100, 60), (6 * n - 160, 180)] if n > 5 else []) for n in range(80)]
    assert len(due(PartGate(), frames)) == 2


def test_a_part_that_stops_on_the_line_is_one_part() -> None:
    places = [*np.linspace(-50, 165, 40), *([165] * 60), *np.linspace(165, 380, 40)]
    frames = [shown(0, []), *(shown(n, [(place, 120)]) for n, place in enumerate(places, start=1))]
    assert len(due(PartGate(), frames)) == 1


def test_light_that_changes_slowly_is_no_part() -> None:
    assert due(PartGate(), [shown(n, [], 1 + n / 200) for n in range(300)]) == []
    assert len(due(PartGate(), passing(6, 150, 3, light=0.002))) == 3


@pytest.mark.parametrize(("direction", "count"), [(1, 1), (-1, 0), (0, 1)])
def test_a_direction_is_kept(direction: int, count: int) -> None:
    assert len(due(PartGate(direction=direction), passing(8, 150, 1))) == count


def test_parts_may_move_down_the_picture() -> None:
    frames = [shown(n, [(160, 6 * n - 100)] if n > 5 else []) for n in range(80)]
    assert len(due(PartGate(axis="y", line=0.4), frames)) == 1
