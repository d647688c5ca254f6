"""Made-up scenes: coloured shapes on a noisy ground, with their boxes and a sentence that says what is where."""

from __future__ import annotations

from typing import Any, NamedTuple

import lamina
from lamina import Tensor

SHAPES = ("circle", "square", "triangle")
COLOURS = {
    "red": (0.85, 0.2, 0.2),
    "green": (0.2, 0.7, 0.3),
    "blue": (0.2, 0.35, 0.85),
    "yellow": (0.9, 0.8, 0.2),
}


class Thing(NamedTuple):
    shape: int
    colour: str
    box: tuple[float, float, float, float]  # x₁, y₁, x₂, y₂ in pixels


class Scene(NamedTuple):
    image: Tensor  # (3, side, side) from 0 to 1
    things: list[Thing]


def scene(side: int, least: int, most: int, random: Any) -> Scene:
    """A scene of so many things that do not overlap, each from a fifth to nearly half as large as the image."""
    import numpy

    image = numpy.full((3, side, side), random.uniform(0.05, 0.3)) + random.normal(0, 0.05, (3, side, side))
    rows, columns = numpy.mgrid[:side, :side] + 0.5
    things: list[Thing] = []
    count = random.integers(least, most + 1)
    for _ in range(60):
        if len(things) == count:
            break
        size = random.uniform(0.2, 0.42) * side
        x, y = random.uniform(0, side - size, 2)
        box = (float(x), float(y), float(x + size), float(y + size))
        if any(_touch(box, thing.box) for thing in things):
            continue
        shape, colour = int(random.integers(len(SHAPES))), str(random.choice(list(COLOURS)))
        across, down = (columns - x) / size, (rows - y) / size  # from 0 to 1 within the box
        inside = {
            "circle": (across - 0.5) ** 2 + (down - 0.5) ** 2 < 0.25,
            "square": (abs(across - 0.5) < 0.5) & (abs(down - 0.5) < 0.5),
            "triangle": (down > 0) & (down < 1) & (abs(across - 0.5) < down / 2),
        }[SHAPES[shape]]
        shade = random.uniform(0.8, 1.1)
        for channel, value in enumerate(COLOURS[colour]):
            image[channel][inside] = value * shade + random.normal(0, 0.03, int(inside.sum()))
        things.append(Thing(shape, colour, box))
    return Scene(lamina.from_numpy(image.clip(0, 1)).float(), things)


def _touch(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def sentence(seen: Scene) -> str:
    """What is where, from left to right: "a red circle left of a blue square"."""
    from_left = sorted(seen.things, key=lambda thing: thing.box[0] + thing.box[2])
    return " left of ".join(f"a {thing.colour} {SHAPES[thing.shape]}" for thing in from_left)
