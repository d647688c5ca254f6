"""Text as symbols, and nets that continue it."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable, Sequence
from math import log
from pathlib import Path
from typing import Any, Protocol

import lamina
from lamina import Tensor, nn, optim
from lamina.decode import Decoder
from lamina.nn import functional as F
from lamina.recipes._recurrent import CELLS
from lamina.recipes.settings import Run
from lamina.train import Callback, History, Trainer

BITS = 1 / log(2)  # a nat in bits


class Alphabet:
    """The characters of a text, numbered in their order."""

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = sorted(set(characters))
        self._number = {c: i for i, c in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Tensor:
        return lamina.tensor([self._number[c] for c in text], dtype=lamina.int64)

    def decode(self, symbols: Tensor | Sequence[int]) -> str:
        return "".join(self.characters[int(s)] for s in symbols)


def python_source(characters: int, folder: Path | None = None) -> str:
    """The start of so many characters of the Python standard library, or of a folder's .py files: ASCII, tabs as blanks.

    The files come in the order of their names, so that the same installation gives the same text.
    """
    root = folder or Path(sysconfig.get_path("stdlib"))
    pieces: list[str] = []
    missing = characters
    for file in sorted(root.glob("*.py")):
        text = file.read_text(encoding="utf-8", errors="ignore").expandtabs(4)
        text = "".join(c for c in text if c == "\n" or " " <= c <= "~")[:missing]
        pieces.append(text)
        missing -= len(text)
        if not missing:
            break
    if not pieces:
        raise ValueError(f"{root} has no .py files to learn from")
    return "".join(pieces)


class CharacterModel(nn.Module):
    """Says which character comes next; its state goes on from batch to batch, so that truncated back-propagation through
    time sees one long text in each row of the batch.

    The state is detached between batches and kept in buffers, (layers, rows, hidden) each, written in place: the same
    memory in every replay of a captured step.
    """

    def __init__(self, symbols: int, cell: str, hidden: int, layers: int, rows: int, **options: Any) -> None:
        super().__init__()
        if cell == "LSTM" and options.get("forget_gate", True):
            options = {"forget_bias": 1.0} | options
        self.embedding = nn.Embedding(symbols, min(symbols, 64))
        self.layer = CELLS[cell](self.embedding.embedding_dim, hidden, layers, **options)
        self.head = nn.Linear(hidden, symbols)
        self.states = ("h", "c") if cell == "LSTM" else ("h",)
        for name, state in zip(self.states, self.start(rows), strict=True):
            self.register_buffer(name, state)

    def start(self, rows: int) -> tuple[Tensor, ...]:
        """The states at the start of a text."""
        return tuple(lamina.zeros(self.layer.num_layers, rows, self.layer.hidden_size) for _ in self.states)

    def read(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Symbols (steps, rows) -> logits (steps, rows, symbols) and the states reached."""
        y, reached = self.layer(x, state if len(state) == 2 else state[0], embedding=self.embedding.weight)
        return self.head(y), reached if isinstance(reached, tuple) else (reached,)

    def forward(self, x: Tensor, goes_on: Tensor) -> Tensor:
        """Logits (steps · rows, symbols); `goes_on` is 0 at the start of a text and 1 after it."""
        kept = tuple(self.get_buffer(name) for name in self.states)
        logits, reached = self.read(x[0], tuple(s * goes_on for s in kept))
        with lamina.no_grad():
            for buffer, state in zip(kept, reached, strict=True):
                buffer.copy_(state)
        return logits.flatten(0, 1)


def windows(symbols: Tensor, rows: int, steps: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """A text cut into `rows` stretches that are read side by side: batches of symbols (1, steps, rows), whether they go
    on from the batch before, and the symbols that come next (steps · rows)."""
    length = (len(symbols) - 1) // (rows * steps) * steps
    if length < steps:
        raise ValueError(f"a text of {len(symbols)} characters is too short for {rows} rows of {steps}")
    now, following = (symbols[s : s + rows * length].reshape(rows, length).t() for s in (0, 1))
    return [
        (now[t : t + steps].unsqueeze(0), lamina.tensor([float(t > 0)]), following[t : t + steps].flatten())
        for t in range(0, length, steps)
    ]


class Learning(Protocol):
    """The settings that `fit_text` reads."""

    @property
    def epochs(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def capture(self) -> bool: ...


Windows = Sequence[tuple[Tensor, Tensor, Tensor]]


def fit_text(
    model: CharacterModel,
    learn: Windows,
    check: Windows,
    settings: Learning,
    run: Run,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Adam along a cosine that falls with every step, with clipped gradients; the windows in their order."""
    optimizer = optim.Adam(model.parameters(), lr=settings.lr)
    trainer = Trainer(
        model,
        optimizer,
        F.cross_entropy,
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * len(learn)),
        schedule_steps=True,
        clip_norm=1.0,
        out=run.out,
        callbacks=callbacks,
        capture=settings.capture,
        progress=run.progress,
    )
    return trainer.fit(learn, settings.epochs, check, resume=run.resume)


@lamina.no_grad()
def sample(model: CharacterModel, alphabet: Alphabet, start: str, characters: int, temperature: float = 1.0) -> str:
    """Goes on with a text, each character drawn from softmax(logits / temperature)."""
    decoder = Decoder(model.embedding, model.layer, model.head)
    symbols, state = alphabet.encode(start), None
    if len(start) > 1:
        _, state = model.layer(model.embedding(symbols[:-1].reshape(-1, 1)))
    drawn = decoder.sample(symbols[-1:], characters - len(start), temperature=temperature, state=state)
    return start + alphabet.decode(drawn.tokens[0])
