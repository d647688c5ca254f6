"""Captions: a convolutional net looks at a scene, and a recurrent one begins with what it saw and says what is where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lamina
from lamina import Tensor, data, metrics, nn, train
from lamina.decode import Decoder
from lamina.recipes._images import show_image
from lamina.recipes._learning import fit
from lamina.recipes._recurrent import CELLS, IGNORED
from lamina.recipes._scenes import COLOURS, SHAPES, Scene, scene, sentence
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots

WORDS = ["<begin>", "<end>", "a", "left", "of", *SHAPES, *COLOURS]
BEGIN, END = 0, 1
SIDE, LONGEST = 32, 10  # pixels; words of a sentence with its end, at most


@dataclass(frozen=True)
class Settings:
    cell: Literal["LSTM", "GRU", "RNN"] = setting("GRU", "LSTM, GRU or RNN")
    scenes: int = setting(3000, "scenes to learn from", low=20)
    hidden: int = setting(96, "units of the recurrent net", low=1)
    epochs: int = setting(20, "epochs", low=1)
    batch: int = setting(50, "scenes per step", low=1)
    lr: float = setting(4e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    beams: int = setting(4, "hypotheses of the beam search", low=2)
    capture: bool = setting(True, "record the step once and replay it")


class Captioner(nn.Module):
    """Images (N, 3, SIDE, SIDE) and the words so far (N, steps) -> logits (N, words, steps) of the next ones."""

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for outputs in (16, 32, 48):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            channels = outputs
        states = 2 if cell == "LSTM" else 1
        self.look = nn.Sequential(*layers, nn.Flatten(), nn.Linear(48 * (SIDE // 8) ** 2, states * hidden))
        self.embedding = nn.Embedding(len(WORDS), 32)
        self.layer = CELLS[cell](32, hidden, batch_first=True)
        self.head = nn.Linear(hidden, len(WORDS))
        self.states = states

    def see(self, images: Tensor) -> Any:
        """The state that the sentence begins with."""
        parts = self.look(images).unsqueeze(0).chunk(self.states, -1)
        return tuple(part.contiguous() for part in parts) if self.states == 2 else parts[0]

    def forward(self, images: Tensor, before: Tensor) -> Tensor:
        y, _ = self.layer(self.embedding(before), self.see(images))
        return self.head(y).transpose(1, 2)


def dataset(scenes: list[Scene]) -> data.TensorDataset:
    """Images, the words so far and those that follow, IGNORED after the end."""
    before, after = [], []
    for seen in scenes:
        words = [WORDS.index(word) for word in sentence(seen).split()]
        before.append([BEGIN, *words] + [END] * (LONGEST - 1 - len(words)))
        after.append([*words, END] + [IGNORED] * (LONGEST - 1 - len(words)))
    return data.TensorDataset(lamina.stack([seen.image for seen in scenes]), before, after)


@lamina.no_grad()
def describe(model: Captioner, images: Tensor, beams: int) -> list[str]:
    """Sentences; one beam is greedy decoding."""
    model.eval()
    decoder = Decoder(model.embedding, model.layer, model.head)
    start, state = lamina.full((len(images),), BEGIN, dtype=lamina.int64), model.see(images)
    if beams > 1:
        found = decoder.beam(start, LONGEST + 2, beams=beams, end=END, state=state)
    else:
        found = decoder.greedy(start, LONGEST + 2, end=END, state=state)
    return [" ".join(WORDS[word] for word in words if word != END) for words in found.sequences()]


def run(settings: Settings, run: Run) -> Result:
    import numpy

    random = numpy.random.default_rng(lamina.initial_seed())
    counts = (settings.scenes, max(settings.scenes // 10, 10), max(settings.scenes // 5, 10))
    scenes = [[scene(SIDE, 1, 2, random) for _ in range(count)] for count in counts]
    learn, check, test = (dataset(part) for part in scenes)
    model = Captioner(settings.cell, settings.hidden)
    measures = {"accuracy": metrics.Accuracy(ignore_index=IGNORED)}
    history = fit(model, (learn, check), settings, run, measures=measures).history
    truth = [sentence(seen) for seen in scenes[2]]
    right = {}
    for name, beams in (("greedy", 1), (f"{settings.beams} beams", settings.beams)):
        said = describe(model, test.tensors[0], beams)
        right[name] = sum(a == b for a, b in zip(said, truth, strict=True)) / len(truth)
    files = [run.out / "captions.png", run.out / "curves.png"]
    draw(scenes[2], said, truth, files[0])
    train.plot_history(history, files[1], "Captions: the next word")
    share = max(right.values())
    summary = "\n".join(f"{name:8}{value:7.1%} of {len(truth)} captions all right" for name, value in right.items())
    summary += "\n(expected: at least 85 %)"
    return Result({"right": share, "loss": history["loss"][-1]}, share >= 0.85, summary, files)


def draw(scenes: list[Scene], said: list[str], truth: list[str], path: Path) -> None:
    """Scenes with what the net says of them, mistakes in red; some of them are shown first."""
    wrong = [i for i in range(len(said)) if said[i] != truth[i]][:2]
    chosen = (wrong + [i for i in range(len(said)) if i not in wrong])[:8]
    with plots.figure(path, 2, 4, (12, 6.4)) as (fig, axes):
        for axis in axes.flat:
            axis.axis("off")
        for axis, i in zip(axes.flat, chosen, strict=False):
            show_image(axis, scenes[i].image)
            colour = plots.INK if said[i] == truth[i] else plots.RED
            axis.set_title(said[i].replace(" left", "\nleft"), fontsize=9.5, color=colour, loc="center")
