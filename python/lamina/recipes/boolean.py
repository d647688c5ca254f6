"""Why deep: nets for the parity of D bits, built by hand and learnt.

A disjunctive normal form is one hidden layer of ANDs below an OR, and parity needs 2^(D−1) ANDs; a tree of XORs is
2·log₂ D layers deep and needs 3(D−1) units. Gradient descent finds neither: it learns what a net can represent, which a
single neuron (logistic regression) cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import lamina
from lamina import Tensor, nn, optim
from lamina.nn import functional as F
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots

FAMILIES = {
    "logistic regression": plots.GREY,
    "one hidden layer": plots.ORANGE,
    "deep and narrow": plots.BLUE,
}


@dataclass(frozen=True)
class Settings:
    bits: tuple[int, ...] = setting((2, 3, 4, 5, 6, 7, 8), "numbers of bits D", low=2, high=12)
    steps: int = setting(2000, "steps of Adam at most, each on the whole truth table", low=1)
    starts: int = setting(4, "random starts of each net; the best counts", low=1)
    lr: float = setting(1e-2, "learning rate", low=0)
    capture: bool = setting(True, "record the step once and replay it")


class Learnt(NamedTuple):
    family: str
    bits: int
    units: int
    parameters: int
    accuracy: float
    steps: int
    first_loss: float
    last_loss: float


def truth_table(bits: int) -> tuple[Tensor, Tensor]:
    """All rows (2^D, D) of zeros and ones, and their parity (2^D, 1)."""
    rows = lamina.arange(2**bits).unsqueeze(1) >> lamina.arange(bits) & 1
    return rows.float(), (rows.sum(1, keepdim=True) % 2).float()


# ---- built by hand ----


class Step(nn.Module):
    """1 for x > 0, else 0: McCulloch and Pitts' neuron."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).float()


def _threshold_layer(weight: Tensor, threshold: Tensor) -> nn.Sequential:
    """Units that fire when the weighted sum of their inputs exceeds the threshold."""
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": weight, "bias": -threshold})
    return nn.Sequential(linear, Step())


def normal_form(bits: int) -> nn.Sequential:
    """An AND for every row whose parity is 1, and the OR of them all."""
    rows, parity = truth_table(bits)
    ones = rows[parity[:, 0] > 0]
    ands = _threshold_layer(2 * ones - 1, ones.sum(1) - 0.5)
    return nn.Sequential(ands, _threshold_layer(lamina.ones(1, len(ones)), lamina.full((1,), 0.5)))


def xor_tree(bits: int) -> nn.Sequential:
    """Pairs of signals joined by XOR (an OR, an AND, and the first without the second) until one is left."""
    layers: list[nn.Module] = []
    while bits > 1:
        pairs, odd = divmod(bits, 2)
        first, second = lamina.zeros(2 * pairs + odd, bits), lamina.zeros(pairs + odd, 2 * pairs + odd)
        thresholds = lamina.full((2 * pairs + odd,), 0.5)
        for p in range(pairs):
            first[2 * p : 2 * p + 2, 2 * p : 2 * p + 2] = 1
            thresholds[2 * p + 1] = 1.5
            second[p, 2 * p], second[p, 2 * p + 1] = 1, -1
        if odd:  # passed on
            first[-1, -1] = second[-1, -1] = 1
        layers += [_threshold_layer(first, thresholds), _threshold_layer(second, lamina.full((pairs + odd,), 0.5))]
        bits = pairs + odd
    return nn.Sequential(*layers)


# ---- learnt ----


def network(family: str, bits: int) -> tuple[nn.Sequential, int]:
    """A net with random weights, and how many hidden units it has."""
    width = bits + 4
    shapes = {"logistic regression": [], "one hidden layer": [3 * width], "deep and narrow": [width] * 3}
    layers: list[nn.Module] = []
    inputs = bits
    for units in shapes[family]:
        layers += [nn.Linear(inputs, units), nn.Tanh()]
        inputs = units
    return nn.Sequential(*layers, nn.Linear(inputs, 1)), sum(shapes[family])


def learn(family: str, bits: int, settings: Settings) -> Learnt:
    """The best of several starts."""
    rows, parity = truth_table(bits)
    x = 2 * rows - 1
    best: Learnt | None = None
    for _ in range(settings.starts):
        net, units = network(family, bits)
        optimizer = optim.Adam(net.parameters(), lr=settings.lr)

        def step(
            x: Tensor, y: Tensor, net: nn.Sequential = net, optimizer: optim.Optimizer = optimizer
        ) -> tuple[Tensor, Tensor]:
            optimizer.zero_grad()
            logits = net(x)
            loss = F.binary_cross_entropy_with_logits(logits, y)
            loss.backward()
            optimizer.step()
            return loss.detach(), ((logits > 0) == (y > 0)).float().mean()

        run = lamina.capture(step) if settings.capture else step
        first_loss = loss = accuracy = 0.0
        done = 0
        while done < settings.steps and accuracy < 1:
            results = run(x, parity)
            done += 1
            if done == 1:
                first_loss = results[0].item()
            if done % 25 == 0 or done == settings.steps:
                loss, accuracy = results[0].item(), results[1].item()
        parameters = sum(p.numel() for p in net.parameters())
        learnt = Learnt(family, bits, units, parameters, accuracy, done, first_loss, loss)
        if best is None or (accuracy, -done) > (best.accuracy, -best.steps):
            best = learnt
        if family == "logistic regression" or accuracy == 1:  # its loss is convex: every start ends in the same place
            break
    assert best is not None
    return best


def run(settings: Settings, run: Run) -> Result:
    learnt = []
    for bits in sorted(set(settings.bits)):
        rows, parity = truth_table(bits)
        for net in (normal_form(bits), xor_tree(bits)):
            if not bool((net(rows) == parity).all()):
                raise AssertionError(f"a net built for the parity of {bits} bits is wrong")
        for family in FAMILIES:
            learnt.append(learn(family, bits, settings))
            if run.progress:
                print(_row(learnt[-1]), flush=True)
    path = run.out / "parity.png"
    draw(learnt, path)
    by_family = {f: [r for r in learnt if r.family == f] for f in FAMILIES}
    met = all(r.accuracy < 1 for r in by_family["logistic regression"]) and all(
        r.accuracy == 1 for f in ("one hidden layer", "deep and narrow") for r in by_family[f]
    )
    sizes = [r.bits for r in by_family["deep and narrow"]]
    summary = "\n".join(
        [
            "parity of D bits, threshold units  " + "".join(f"{bits:>8}" for bits in sizes),
            "an OR of ANDs, built by hand       " + "".join(f"{2 ** (bits - 1) + 1:>8}" for bits in sizes),
            "a tree of XORs, built by hand      " + "".join(f"{3 * (bits - 1):>8}" for bits in sizes),
            *(f"{'hidden units: ' + f:35}" + "".join(f"{r.units:>8}" for r in by_family[f]) for f in FAMILIES),
            *(f"{'rows right: ' + f:35}" + "".join(f"{r.accuracy:>8.1%}" for r in by_family[f]) for f in FAMILIES),
            "(expected: the nets built by hand are right in every row; logistic regression never learns them all, the others do)",
        ]
    )
    deepest = by_family["deep and narrow"][-1]
    return Result(
        {"accuracy": deepest.accuracy, "first_loss": deepest.first_loss, "loss": deepest.last_loss},
        met,
        summary,
        [path],
    )


def _row(r: Learnt) -> str:
    return (
        f"D = {r.bits:2d}  {r.family:20}{r.units:4d} hidden units  {r.accuracy:6.1%} of the rows after {r.steps} steps"
    )


def draw(learnt: list[Learnt], path: Path) -> None:
    """What is learnt, and how many units it takes by hand."""
    bits = sorted({r.bits for r in learnt})
    with plots.figure(path, 1, 2, (11, 4.3)) as (fig, (left, right)):
        for shift, (family, colour) in zip((0, -0.1, 0.1), FAMILIES.items(), strict=True):  # side by side
            rows = [r for r in learnt if r.family == family]
            at = [r.bits + shift for r in rows]
            left.plot(
                at, [r.accuracy for r in rows], "o-", color=colour, label=family, ms=6, mec="white", clip_on=False
            )
        left.axhline(0.5, color=plots.GREY, lw=1, ls=":", label="guessing")
        left.set(title="Rows of the truth table learnt", xlabel="bits D", ylim=(0, 1.05), xticks=bits)
        left.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        left.legend(loc="lower right")
        span = range(2, max(12, bits[-1]) + 1)
        right.plot(span, [2 ** (d - 1) + 1 for d in span], "o-", color=plots.RED, ms=5)
        right.plot(span, [3 * (d - 1) for d in span], "o-", color=plots.GREEN, ms=5)
        right.text(8.3, 600, "one hidden layer:\nan OR of 2$^{D-1}$ ANDs", color=plots.RED, ha="right", va="bottom")
        right.text(span[-1], 15, "2 log$_2$ D layers:\na tree of D−1 XORs", color=plots.GREEN, ha="right", va="top")
        right.set(title="Threshold units needed by construction", xlabel="bits D", yscale="log", xticks=span)
