"""Made-up faces: a person is a handful of proportions, a photograph adds pose, light and noise."""

from __future__ import annotations

from typing import Any

import lamina
from lamina import Tensor

SIDE = 32
TRAITS = 9


def people(count: int, random: Any) -> Any:
    """Proportions (count, TRAITS) from −1 to 1."""
    return random.uniform(-1, 1, (count, TRAITS))


class People:
    """Some persons."""

    def __init__(self, count: int, random: Any) -> None:
        self.persons = people(count, random)

    def __len__(self) -> int:
        return len(self.persons)

    def photograph(self, which: Any, random: Any) -> Tensor:
        """One of each of these: (N, 1, SIDE, SIDE) from 0 to 1."""
        return photographs(self.persons[which], random)


def photographs(persons: Any, random: Any) -> Tensor:
    """One photograph of each row of proportions: (N, 1, SIDE, SIDE) from 0 to 1."""
    import numpy

    count = len(persons)
    width, chin, gap, eye, brow, nose, mouth, smile, hair = persons.T[:, :, None, None]

    def vary(deviation: float) -> Any:
        return random.normal(0, deviation, (count, 1, 1))

    # Coordinates from −1 to 1, in which the face is upright and in the middle; it is turned and moved a little.
    rows, columns = numpy.mgrid[:SIDE, :SIDE] / (SIDE / 2) - 1 + 1 / SIDE
    turn = vary(0.08)
    x = (columns + turn * rows) * (1 + vary(0.04)) + vary(0.05)
    y = (rows - turn * columns) * (1 + vary(0.04)) + vary(0.05)

    def disc(x0: Any, y0: Any, a: Any, b: Any) -> Any:
        """1 inside an ellipse, 0 outside, soft at the rim."""
        inside = 1 - ((x - x0) / a) ** 2 - ((y - y0) / b) ** 2
        return 1 / (1 + numpy.exp(-numpy.clip(8 * inside, -50, 50)))

    head = disc(0, 0.05, 0.62 + 0.12 * width, 0.78 + 0.1 * chin)
    skin = 0.75 + 0.15 * x * vary(1.0) + vary(0.03)  # light from one side
    image = 0.15 + head * (skin - 0.15)
    place, height = 0.27 + 0.09 * gap, -0.12 + 0.05 * brow
    for side in (-1, 1):
        image -= 0.6 * disc(side * place, height, 0.1 + 0.04 * eye, 0.07 + 0.03 * eye)
        lift = -0.17 - 0.06 * brow
        image -= 0.4 * disc(side * place, height + lift, 0.16, 0.035 + 0.02 * hair)
    image -= 0.25 * disc(0, 0.16 + 0.06 * nose, 0.06 + 0.04 * nose, 0.16 + 0.06 * nose)
    lips = disc(0, 0.46 + 0.06 * chin + (0.25 * smile + vary(0.05)) * x**2, 0.24 + 0.1 * mouth, 0.05 + 0.02 * mouth)
    image -= 0.45 * lips
    image -= 0.55 * head * (y < -0.48 + 0.18 * hair + 0.15 * gap * x)
    image += random.normal(0, 0.03, image.shape)
    return lamina.from_numpy(image.clip(0, 1)).float().unsqueeze(1)
