"""The picture of He et al., 2016, in small: plain nets learn worse the deeper they are, residual nets do not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lamina import data, metrics, models, nn
from lamina.data import augment
from lamina.recipes._images import WARPED, enlarged_digits, file_sets
from lamina.recipes._learning import Parts, Transforms, compare
from lamina.recipes.settings import Result, Run, setting
from lamina.train import History, plots


@dataclass(frozen=True)
class Settings:
    folder: Path | None = setting(None, "a folder with CIFAR-10's binary files or MNIST's, for the digits")
    depths: tuple[int, ...] = setting((20, 56), "layers of the nets, each plain and residual: 6 n + 2", low=8)
    width: int = setting(8, "channels of the first stage; 16 in the paper", low=1)
    samples: int | None = setting(None, "images to learn from at most (all there are)", low=20)
    epochs: int = setting(8, "epochs", low=1)
    batch: int = setting(50, "images per step", low=1)
    lr: float = setting(3e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


def sets(settings: Settings) -> tuple[Parts, Transforms, int]:
    """What to learn from and what to check with, what becomes of their batches, and the channels of an image.

    Photographs are mirrored and moved by up to four pixels, anew each time (section 4.2 of the paper); digits are turned,
    sheared, scaled and moved.
    """
    parts = file_sets(settings.folder) if settings.folder else enlarged_digits(16)
    learn = data.Subset(parts[0], range(min(settings.samples or len(parts[0]), len(parts[0]))))
    _, channels, side, _ = parts[0].tensors[0].shape
    seen = parts[0].tensors[0][:5000].float() / 255  # enough for the mean and deviation of each channel
    normal = data.Normalizer((0, 2, 3)).fit(seen).state_dict()
    plain = augment.Normalize(*(normal[name].flatten().tolist() for name in ("mean", "std")))
    changed = (
        [augment.HorizontalFlip(), augment.RandomCrop(side, padding=4)] if channels == 3 else WARPED.transforms[:1]
    )
    return (learn, parts[1]), (augment.Compose([*changed, plain]), plain), channels


def run(settings: Settings, run: Run) -> Result:
    parts, transforms, channels = sets(settings)
    depths = sorted(set(settings.depths))
    networks: dict[str, nn.Module] = {
        f"{kind} {depth}": build(depth, channels=channels, width=settings.width)
        for kind, build in (("plain", models.plain_cifar), ("residual", models.resnet_cifar))
        for depth in depths
    }
    histories = compare(
        networks, parts, settings, run, measures=lambda: {"accuracy": metrics.Accuracy()}, transforms=transforms
    )
    path = run.out / "resnet.png"
    draw(histories, path)
    loss = {name: history["loss"][-1] for name, history in histories.items()}
    rows = [f"{'':14}{'parameters':>11}{'training loss':>15}{'validation accuracy':>21}"]
    for name, history in histories.items():
        count = sum(p.numel() for p in networks[name].parameters())
        rows.append(f"{name:14}{count:11}{loss[name]:15.4f}{max(history['validation_accuracy']):21.2%}")
    shallow, deep = depths[0], depths[-1]
    rows.append(
        f"(expected: the residual net of {shallow} layers has a lower training loss than the plain one of {deep}, and "
        f"of {deep} layers the residual one too)"
    )
    met = max(loss[f"residual {shallow}"], loss[f"residual {deep}"]) < loss[f"plain {deep}"]
    return Result(
        {f"loss_{name.replace(' ', '_')}": value for name, value in loss.items()}, met, "\n".join(rows), [path]
    )


def draw(histories: dict[str, History], path: Path) -> None:
    """Training (thin) and validation error (thick) over the epochs: plain nets to the left, residual ones to the right."""
    with plots.figure(path, 1, 2, (10.5, 4.3), sharey=True) as (fig, axes):
        for axis, kind in zip(axes, ("plain", "residual"), strict=True):
            named = [(name, history) for name, history in histories.items() if name.startswith(kind)]
            for colour, (name, history) in zip((plots.ORANGE, plots.BLUE, plots.GREEN, plots.RED), named, strict=False):
                epochs = history["epoch"]
                axis.plot(epochs, [100 - 100 * a for a in history["accuracy"]], color=colour, lw=1, ls="--")
                axis.plot(
                    epochs,
                    [100 - 100 * a for a in history["validation_accuracy"]],
                    color=colour,
                    label=f"{name} layers",
                )
            axis.set(title=f"{kind.capitalize()} nets", xlabel="epoch")
            axis.set_ylim(bottom=0)
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend(loc="upper right")
        axes[0].set_ylabel("error in %  (dashed: training)")
