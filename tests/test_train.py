"""The training loop: what it learns, keeps, writes and says, and that a run which was killed goes on bit for bit."""

from __future__ import annotations

import csv
import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import lamina
from lamina import data, metrics, nn, optim, train
from lamina.nn import functional as F
from lamina.train.tensorboard import crc32c, masked_crc
from processes import run_python


class Momentum:
    """What a Trainer needs of an optimiser, and no more."""

    def __init__(self, parameters, lr=0.1, momentum=0.9):
        self.param_groups = [{"params": list(parameters), "lr": lr}]
        self.momentum = momentum
        self.velocity = [lamina.zeros_like(p.detach()) for p in self.param_groups[0]["params"]]

    def zero_grad(self):
        for p in self.param_groups[0]["params"]:
            p.grad = None

    def step(self):
        with lamina.no_grad():
            for p, v in zip(self.param_groups[0]["params"], self.velocity, strict=True):
                v.mul_(self.momentum).add_(p.grad)
                p.sub_(v * self.param_groups[0]["lr"])

    def state_dict(self):
        return {"velocity": self.velocity, "lr": self.param_groups[0]["lr"]}

    def load_state_dict(self, state):
        self.param_groups[0]["lr"] = state["lr"]
        for v, saved in zip(self.velocity, state["velocity"], strict=True):
            v.copy_(saved)


class Decay:
    def __init__(self, optimizer, factor=0.9):
        self.group, self.factor, self.epoch = optimizer.param_groups[0], factor, 0

    def step(self):
        self.group["lr"] *= self.factor
        self.epoch += 1

    def state_dict(self):
        return {"epoch": self.epoch}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]


def rings(n=240):
    """Two classes that no straight line parts."""
    rng = np.random.default_rng(0)
    angle, label = rng.uniform(0, 2 * np.pi, n), np.arange(n) % 2
    radius = 0.6 + label + rng.normal(0, 0.1, n)
    return data.TensorDataset(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32), label)


def setup(out=None, dropout=0.2, lr=0.1, **settings):
    lamina.manual_seed(0)
    parts = data.split(rings(), stratify=True)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 2))
    optimizer = Momentum(model.parameters(), lr)
    settings = {
        "metrics": {"accuracy": metrics.Accuracy()},
        "scheduler": Decay(optimizer, 0.97),
        "progress": False,
        **settings,
    }
    trainer = train.Trainer(model, optimizer, F.cross_entropy, out=out, **settings)
    return trainer, data.DataLoader(parts.train, 16, shuffle=True, seed=1), data.DataLoader(parts.validation, 64)


def bits(trainer):
    return {name: value._as_bytes().tolist() for name, value in trainer.model.state_dict().items()}


def timeless(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


# ---- learning ----


def test_learns_and_writes(tmp_path):
    trainer, batches, validation = setup(tmp_path)
    history = trainer.fit(batches, 25, validation)
    assert len(history) == 25
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert max(history["validation_accuracy"]) > 0.9
    assert history["learning_rate"][1] == pytest.approx(0.1 * 0.97)
    assert sorted(f.split(".")[0] for f in os.listdir(tmp_path)) == ["checkpoint", "events", "history", "model"]
    with open(tmp_path / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == history["loss"]
    best = int(np.argmin(history["validation_loss"]))
    assert trainer.best["epoch"] == best
    assert trainer.evaluate(validation)["loss"] == history["validation_loss"][best]
    saved = lamina.load(tmp_path / "model.safetensors")
    assert {n: t._as_bytes().tolist() for n, t in saved.items()} == bits(trainer)
    assert trainer.predict(validation).shape == (48, 2)
    assert "Sequential with 82 parameters" in repr(trainer)
    with pytest.raises(KeyError, match="has no 'losses'; it has epoch, loss, accuracy"):
        history["losses"]


def test_the_same_bits_for_any_number_of_threads(set_threads):
    runs = []
    for threads, workers in ((1, 0), (2, 3)):
        set_threads(threads)
        trainer, batches, validation = setup()
        batches.num_workers = workers
        rows = trainer.fit(batches, 4, validation).rows
        runs.append((bits(trainer), timeless(rows)))
    assert runs[0] == runs[1]


def test_early_stopping_takes_back_the_best_epoch():
    trainer, batches, validation = setup(lr=2.0, dropout=0.0)  # too fast: it soon gets worse
    history = trainer.fit(batches, 60, validation, patience=3)
    assert len(history) < 60
    best = int(np.argmin(history["validation_loss"]))
    assert len(history) == best + 1 + 3
    assert trainer.evaluate(validation)["loss"] == history["validation_loss"][best]


def test_monitor_a_metric_where_higher_is_better():
    trainer, batches, validation = setup()
    history = trainer.fit(batches, 6, validation, monitor="validation_accuracy")
    assert trainer.best["value"] == max(history["validation_accuracy"])
    assert trainer.best["epoch"] == int(np.argmax(history["validation_accuracy"]))  # the first of equals
    trainer, batches, validation = setup()
    with pytest.raises(ValueError, match="no figure 'f1' to monitor; there are epoch, loss"):
        trainer.fit(batches, 1, validation, monitor="f1")


def test_captured_steps_give_the_same_bits():
    plain, batches, validation = setup(scheduler=None)
    rows = plain.fit(batches, 3, validation).rows
    captured, batches, validation = setup(capture=True, scheduler=None)
    assert timeless(captured.fit(batches, 3, validation).rows) == timeless(rows)
    assert bits(captured) == bits(plain)
    assert captured._captured.launches > 20


def test_callbacks_and_validation_leave_the_running_figures_alone():
    calls = []

    class Note(train.Callback):
        def on_start(self, trainer):
            calls.append("start")

        def on_step(self, trainer):
            calls.append(trainer.step)
            if trainer.step == 5:
                before = trainer.metrics["accuracy"].compute()
                trainer.evaluate(validation)
                assert trainer.metrics["accuracy"].compute() == before
                assert trainer.model.training

        def on_epoch(self, trainer, row):
            row["twice"] = 2 * row["loss"]

        def on_end(self, trainer):
            calls.append("end")

    trainer, batches, validation = setup(callbacks=[Note()])
    history = trainer.fit(batches, 2)
    assert calls == ["start", *range(1, 19), "end"]
    assert history["twice"] == [2 * x for x in history["loss"]]


def test_batches_may_come_from_any_iterable():
    trainer, batches, _ = setup()
    history = trainer.fit(list(batches.batches(0)), 2)
    assert len(history) == 2


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"epochs": 1, "patience": 2}, "patience needs validation data"),
        ({"epochs": 1, "resume": True}, "resume needs a folder"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    trainer, batches, _ = setup()
    with pytest.raises(ValueError, match=message):
        trainer.fit(batches, **settings)


def test_a_trainer_of_the_wrong_things():
    net = nn.Linear(2, 1)
    with pytest.raises(TypeError, match="Trainer: model must be a Module, got function"):
        train.Trainer(lambda x: x, optim.SGD(net.parameters()), F.mse_loss)
    with pytest.raises(TypeError, match=r"Trainer: optimizer must have step\(\) .* got NoneType"):
        train.Trainer(net, None, F.mse_loss)
    optimizer = optim.SGD(net.parameters())
    for arguments, message in (
        ((net, optim.SGD, F.mse_loss), "optimizer must have .* got the class SGD"),
        ((net, optimizer, nn.MSELoss), "loss must be a function of output and target, got the class MSELoss"),
        ((net, optimizer, None), "loss must be a function"),
    ):
        with pytest.raises(TypeError, match=message):
            train.Trainer(*arguments)
    for given, message in (
        ([metrics.Accuracy()], r"metrics must be named, \{name: metric\}, got list"),
        ({"a": metrics.Accuracy}, "metric 'a' must be a Metric, got the class Accuracy"),
    ):
        with pytest.raises(TypeError, match=message):
            train.Trainer(net, optimizer, F.mse_loss, metrics=given)


def test_batches_are_expected_and_not_samples():
    net = nn.Linear(2, 1)
    trainer = train.Trainer(net, optim.SGD(net.parameters()), F.mse_loss, progress=False)
    x, y = lamina.ones(6, 2), lamina.ones(6, 1)
    whole = data.TensorDataset(x, y)
    for given, said in ((whole, "TensorDataset"), ((x, y), "a tuple of tensors"), (x, "Tensor"), (None, "NoneType")):
        for call, name in (
            (lambda d: trainer.fit(d, 1), "fit"),
            (trainer.evaluate, "evaluate"),
            (trainer.predict, "pred"),
        ):
            with pytest.raises(TypeError, match=rf"{name}.*expected batches, as DataLoader\(.* got {said}"):
                call(given)
    with pytest.raises(TypeError, match="fit: validation: expected batches"):
        trainer.fit(data.DataLoader(whole, 2), 1, whole)
    with pytest.raises(TypeError, match="fit: epochs must be a whole number, got '3'"):
        trainer.fit(data.DataLoader(whole, 2), "3")


def test_predictions_of_inputs_alone():
    net = nn.Linear(2, 1)
    trainer = train.Trainer(net, optim.SGD(net.parameters()), F.mse_loss, progress=False)
    x = lamina.randn(7, 2)
    want = net(x).detach()
    assert lamina.equal(trainer.predict(data.DataLoader(data.TensorDataset(x), 3)), want)
    assert lamina.equal(trainer.predict([x[:4], x[4:]]), want)


def test_no_batches():
    trainer, _, _ = setup()
    with pytest.raises(ValueError, match="gave no batch"):
        trainer.fit([], 1)


# ---- checkpoints ----


def test_trees_of_everything(tmp_path):
    tree = {
        "a": [1, 2.5, float("inf"), None, True, "ü"],
        "b": (lamina.ones(2), {"c": lamina.zeros(0, dtype=lamina.bfloat16)}),
        3: {"$tensor": "not one", (1, 2): 0},
        "x.y": lamina.tensor(1.0),
        "x": {"y": lamina.tensor(2.0)},
        "third": 1 / 3,
    }
    train.save_checkpoint(tree, tmp_path / "f")
    got = train.load_checkpoint(tmp_path / "f")
    assert got["a"] == tree["a"]
    assert got["third"] == 1 / 3
    assert got[3] == tree[3]
    assert isinstance(got["b"], tuple)
    assert got["b"][1]["c"].dtype is lamina.bfloat16
    assert (got["x.y"], got["x"]["y"]) == (1, 2)
    with pytest.raises(TypeError, match=r"cannot hold a\.0: set"):
        train.save_checkpoint({"a": [{1}]}, tmp_path / "f")
    lamina.save({}, tmp_path / "g")
    with pytest.raises(ValueError, match="is not a checkpoint of a run"):
        train.load_checkpoint(tmp_path / "g")
    lamina.save({}, tmp_path / "g", {"lamina.checkpoint": '{"$tensor": "x"}', "format": "1"})
    with pytest.raises(ValueError, match="damaged checkpoint"):
        train.load_checkpoint(tmp_path / "g")


@pytest.mark.parametrize("stop_at", [1, 7, 9, 10, 26])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, stop_at):
    whole, batches, validation = setup(callbacks=[train.NormRecorder(2)])
    rows = whole.fit(batches, 3, validation).rows

    class Stop(train.NormRecorder):
        def on_step(self, trainer):
            super().on_step(trainer)
            if trainer.step == stop_at:
                raise SystemExit

    first, batches, validation = setup(tmp_path, callbacks=[Stop(2)], checkpoint_steps=4)
    with pytest.raises(SystemExit):
        first.fit(batches, 3, validation)
    second, batches, validation = setup(tmp_path, callbacks=[train.NormRecorder(2)], checkpoint_steps=4)
    lamina.manual_seed(99)  # the checkpoint knows better
    batches.seed = 77
    assert timeless(second.fit(batches, 3, validation, resume=True).rows) == timeless(rows)
    assert bits(second) == bits(whole)
    assert second.callbacks[0].state_dict() == whole.callbacks[0].state_dict()


@pytest.mark.parametrize("capture", [False, True])
def test_optimisers_and_schedules_go_on_bit_for_bit(tmp_path, capture):
    def run(out, epochs, **more):
        trainer, batches, validation = setup(out, scheduler=None, clip_norm=0.5, capture=capture, checkpoint_steps=4)
        trainer.optimizer = optim.AdamW(trainer.model.parameters(), lr=0.02)
        trainer.scheduler = optim.lr_scheduler.CosineAnnealingLR(trainer.optimizer, 4)
        history = trainer.fit(batches, epochs, validation, **more)
        return timeless(history.rows), bits(trainer)

    whole = run(tmp_path / "whole", 4)
    assert whole[0][-1]["loss"] < whole[0][0]["loss"]
    run(tmp_path / "parts", 2)
    assert run(tmp_path / "parts", 4, resume=True) == whole


RUN = """
import os, sys
sys.path.insert(0, {tests!r})
from test_train import setup, train
class Tell(train.Callback):
    def on_step(self, trainer):
        print(trainer.step, flush=True)
trainer, batches, validation = setup(sys.argv[1], checkpoint_steps=3, callbacks=[Tell()])
trainer.fit(batches, 30, validation, resume=True)
print("finished", flush=True)
"""


def test_a_run_that_is_killed_again_and_again_goes_on_bit_for_bit(tmp_path):
    """kill -9 at random moments until it gets to the end: the same files as of a run that nobody disturbed."""
    whole, batches, validation = setup(tmp_path / "whole", checkpoint_steps=3, callbacks=[train.Callback()])
    rows = whole.fit(batches, 30, validation).rows
    script = tmp_path / "run.py"
    script.write_text(RUN.format(tests=os.path.dirname(__file__)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
    rng = random.Random(3)
    kills = 0
    for attempt in range(9):
        process = subprocess.Popen(
            [sys.executable, script, tmp_path / "killed"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        if attempt < 8:
            # So many steps by what it tells, not by the clock: a fast machine is killed as often as a slow one.
            for _ in range(rng.randint(1, 40)):
                if not process.stdout.readline():
                    break
            time.sleep(rng.uniform(0.0, 0.004))
            process.kill()
        said, errors = process.communicate()
        kills += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            assert said.endswith("finished\n")
            break
        assert process.returncode == -signal.SIGKILL, errors
    assert process.returncode == 0
    assert kills >= 3
    killed = lamina.load(tmp_path / "killed" / "model.safetensors")
    assert {n: t._as_bytes().tolist() for n, t in killed.items()} == bits(whole)
    with open(tmp_path / "killed" / "history.csv") as file:
        got = [{n: float(v) for n, v in row.items()} for row in csv.DictReader(file)]
    assert timeless(got) == timeless(rows)


def test_ctrl_c_saves_and_the_run_goes_on(tmp_path):
    whole, batches, validation = setup()
    whole.fit(batches, 3, validation)

    class Interrupt(train.Callback):
        def on_step(self, trainer):
            if trainer.step == 13:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    first, batches, validation = setup(tmp_path, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        first.fit(batches, 3, validation)
    assert signal.getsignal(signal.SIGINT) is before
    assert train.load_checkpoint(tmp_path / "checkpoint.safetensors")["run"]["step"] == 13
    second, batches, validation = setup(tmp_path, callbacks=[train.Callback()])
    second.fit(batches, 3, validation, resume=True)
    assert bits(second) == bits(whole)


def test_checkpoint_of_another_model_names_the_keys(tmp_path):
    trainer, batches, _ = setup(tmp_path)
    trainer.fit(batches, 1)
    other, batches, _ = setup(tmp_path)
    other.model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    with pytest.raises(ValueError, match=r"(?s)is not of this run.*missing in the state:\s*2\.weight"):
        other.fit(batches, 1, resume=True)
    other, batches, _ = setup(tmp_path, metrics={})
    with pytest.raises(ValueError, match=r"this run has the metrics \[\], the checkpoint \['accuracy'\]"):
        other.fit(batches, 1, resume=True)


def test_full_disk_keeps_the_last_checkpoint(tmp_path):
    script = f"""
        import resource, signal, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_train import setup, train
        trainer, batches, _ = setup({str(tmp_path)!r})
        trainer.fit(batches, 1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        try:
            trainer.fit(batches, 2)
        except OSError as error:
            print(error)
    """
    said = run_python(script).stdout
    assert "checkpoint.safetensors is as it was before" in said
    assert train.load_checkpoint(tmp_path / "checkpoint.safetensors")["run"]["epoch"] == 1


# ---- losses that are not finite ----


class Overflow(nn.Module):
    def __init__(self, when):
        super().__init__()
        self.when, self.calls = when, 0

    def forward(self, x):
        if not lamina.is_grad_enabled():
            return x * float("inf") if self.calls >= self.when else x
        self.calls += 1
        return x * float("inf") if self.calls >= self.when else x


def test_nan_stops_the_run_and_names_the_layer(tmp_path):
    trainer, batches, _ = setup(tmp_path, checkpoint_steps=2)
    trainer.model = nn.Sequential(*trainer.model, Overflow(8))
    before = None

    class Look(train.Callback):
        def on_step(self, trainer):
            nonlocal before
            if trainer.step == 7:
                before = bits(trainer)

    trainer.callbacks = [Look()]
    with pytest.raises(train.NonFiniteLoss) as caught:
        trainer.fit(batches, 2)
    assert caught.value.layer == "4"
    assert "epoch 1, step 8: the layer '4' (Overflow) first gave" in str(caught.value)
    assert f"the last good checkpoint is {tmp_path / 'checkpoint.safetensors'}" in str(caught.value)
    assert bits(trainer) == before
    assert train.load_checkpoint(tmp_path / "checkpoint.safetensors")["run"]["step"] == 6


@pytest.mark.parametrize("capture", [False, True])
def test_nan_of_a_step_that_is_too_long(tmp_path, capture):
    trainer, batches, _ = setup(tmp_path, lr=1e38, capture=capture, scheduler=None)
    with pytest.raises(train.NonFiniteLoss, match="first gave|not finite any more|loss function made it"):
        trainer.fit(batches, 2)
    kept = train.load_checkpoint(tmp_path / "checkpoint.safetensors")["run"]
    assert all(bool(t.isfinite().all()) for t in kept["model"].values())


def test_nan_in_the_data_and_in_the_loss():
    trainer, _, _ = setup()
    bad = data.TensorDataset(lamina.full((4, 2), float("nan")), lamina.zeros(4, dtype=lamina.int64))
    with pytest.raises(train.NonFiniteLoss, match="the batch itself has 8 such values of 8"):
        trainer.fit(data.DataLoader(bad, 4), 1)
    trainer, batches, _ = setup()
    trainer.loss = lambda output, target: F.cross_entropy(output, target) * float("nan")
    with pytest.raises(train.NonFiniteLoss, match="the loss function made it"):
        trainer.fit(batches, 1)


def test_a_gradient_that_overflows_spoils_no_checkpoint(tmp_path):
    trainer, batches, _ = setup(tmp_path, checkpoint_steps=1)

    class Spoil(train.Callback):
        def on_step(self, trainer):
            if trainer.step == 3:
                with lamina.no_grad():
                    trainer.model.get_parameter("0.weight").fill_(float("inf"))

    trainer.callbacks = [Spoil()]
    with pytest.raises(train.NonFiniteLoss, match="parameter '0.weight' is not finite after step 3") as caught:
        trainer.fit(batches, 1)
    assert caught.value.layer == "0"
    assert train.load_checkpoint(tmp_path / "checkpoint.safetensors")["run"]["step"] == 2


# ---- what is written and shown ----


def events(path):
    """(step, tag, value) and the other fields of an event file, checksums verified."""
    content, out = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        payload = content[12 : 12 + length]
        assert struct.unpack("<I", content[8:12]) == (masked_crc(content[:8]),)
        assert struct.unpack("<I", content[12 + length : 16 + length]) == (masked_crc(payload),)
        out.append(fields(payload))
        content = content[16 + length :]
    return out


def fields(payload):
    """Field number -> value; varints as int, the rest as bytes."""
    out, at = {}, 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = payload[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(payload):
        key = varint()
        if key & 7 == 0:
            out[key >> 3] = varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7)
        size = varint() if size is None else size
        out[key >> 3] = payload[at : at + size]
        at += size
    return out


def test_checksum():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"") == 0


def test_event_files(tmp_path):
    writer = train.EventWriter(tmp_path)
    writer.add("loss", 0.5, 1)
    writer.add("große Zahl", 1e300, 300)
    writer.close()
    writer = train.EventWriter(tmp_path, first_step=200)
    writer.add("loss", float("nan"), 201)
    writer.close()
    first, second = map(events, sorted(tmp_path.iterdir()))
    assert first[0][3] == second[0][3] == b"brain.Event:2"
    value = fields(fields(first[1][5])[1])
    assert (first[1][2], value[1], struct.unpack("<f", value[2])[0]) == (1, b"loss", 0.5)
    value = fields(fields(first[2][5])[1])
    assert (first[2][2], value[1].decode(), struct.unpack("<f", value[2])[0]) == (300, "große Zahl", float("inf"))
    assert abs(struct.unpack("<d", first[1][1])[0] - time.time()) < 60
    assert fields(second[1][7]) == {1: 1}
    assert second[1][2] == 200


def test_event_files_with_tensorboard(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer, batches, validation = setup(tmp_path)
    history = trainer.fit(batches, 3, validation)
    found = reader.EventAccumulator(str(tmp_path)).Reload()
    assert "validation accuracy" in found.Tags()["scalars"]
    assert [e.value for e in found.Scalars("loss")] == pytest.approx(history["loss"])
    assert [e.step for e in found.Scalars("loss")] == [9, 18, 27]


def test_plain_text_when_not_a_terminal(capsys):
    trainer, batches, validation = setup(progress=True)
    trainer.fit(batches, 2, validation)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss 0.")
    assert "validation accuracy" in lines[0]
    assert "samples/s" in lines[1]


def test_bar_in_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    import io

    from lamina.train import progress

    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(screen, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm-256color")
    trainer, batches, validation = setup(progress=True)
    trainer.fit(batches, 3, validation)
    assert isinstance(trainer._screen, progress.Rich)
    assert "epoch 3/3" in screen.getvalue()
    assert "27/27" in screen.getvalue()
    assert "samples/s" in screen.getvalue()


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_curves_and_norms(tmp_path, ending):
    pytest.importorskip("matplotlib")
    recorder = train.NormRecorder(3)
    trainer, batches, validation = setup(callbacks=[recorder])
    history = trainer.fit(batches, 3, validation)
    assert recorder.steps == list(range(3, 28, 3))
    assert recorder.weights["0.weight"][-1] == pytest.approx(
        float(trainer.model.get_parameter("0.weight").norm()), rel=1
    )
    assert all(n > 0 for n in recorder.gradients["3.bias"])
    for draw, what in ((train.plot_history, history), (train.plot_norms, recorder)):
        draw(what, tmp_path / f"a.{ending}")
        draw(what, tmp_path / f"b.{ending}")
        content = (tmp_path / f"a.{ending}").read_bytes()
        assert content.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
        assert content == (tmp_path / f"b.{ending}").read_bytes()


def test_pictures_that_cannot_be_drawn(tmp_path):
    with pytest.raises(ValueError, match="must end in .png"):
        train.plot_history(train.History([{"epoch": 1, "loss": 1.0}]), tmp_path / "a.jpeg")
    with pytest.raises(ValueError, match="no epochs"):
        train.plot_history(train.History(), tmp_path / "a.png")
    with pytest.raises(ValueError, match="nothing was recorded"):
        train.plot_norms(train.NormRecorder(), tmp_path / "a.png")
    history, path = train.History([{"epoch": 1, "loss": 1.0}]), tmp_path / "a.png"
    for draw, given, message in (
        (train.plot_history, history.rows, "plot_history: expected a History, what Trainer.fit returns, got list"),
        (train.plot_norms, history, "plot_norms: expected a NormRecorder, a callback of the Trainer, got History"),
        (train.plot_comparison, history, "plot_comparison: expected histories by their names"),
        (train.plot_comparison, {"a": None}, "plot_comparison: expected a History, .* got NoneType"),
    ):
        with pytest.raises(TypeError, match=message):
            draw(given, path)
    assert not path.exists()


def test_a_recorder_says_what_it_has():
    assert repr(train.NormRecorder(5)) == "NormRecorder(every=5, 0 times recorded)"


def test_import_of_train_draws_in_nothing_heavy():
    script = "import sys, lamina.train; print({'matplotlib', 'rich', 'sklearn', 'torch', 'numpy'} & set(sys.modules))"
    assert run_python(textwrap.dedent(script)).stdout == "set()\n"


# ---- practice ----


def test_diagnosis():
    bias = train.diagnose(human=0.01, train=0.08, validation=0.10)
    assert bias.problem == "bias"
    assert bias.gaps == pytest.approx({"bias": 0.07, "variance": 0.02})
    assert train.diagnose(human=0.01, train=0.02, train_dev=0.03, validation=0.10, test=0.11).problem == "mismatch"
    assert train.diagnose(train=0.01, validation=0.1).problem == "variance"
    assert train.diagnose(train=0.01, validation=0.02, test=0.2).problem == "overfitting of the validation set"
    assert train.diagnose(human=0.1, train=0.1, validation=0.1).problem == "none"
    assert "bigger network" in str(bias)
    with pytest.raises(ValueError, match="from 0 to 1, got 8"):
        train.diagnose(train=8, validation=0.1)


def test_error_table():
    table = train.error_table(
        [{"name": "a.png", "blurry": True}, {"name": "b.png", "blurry": True, "dog": True}], ["blurry", "dog"]
    )
    assert table.splitlines()[-1].split() == ["of", "all", "mistakes", "100%", "50%"]
    assert table.splitlines()[1].split() == ["a.png", "x"]


def test_search():
    space = {
        "lr": train.log_uniform(1e-5, 1e-1),
        "width": train.whole(1, 4),
        "kind": train.choice("a", "b"),
        "rate": train.uniform(0.2, 0.3),
    }
    trials = train.search(lambda **s: {"accuracy": s["width"], "latency": s["lr"]}, space, 400, seed=1)
    rates = [t.settings["lr"] for t in trials]
    assert 1e-5 <= min(rates) <= max(rates) <= 1e-1
    for decade in range(-5, -1):
        assert 70 < sum(10**decade <= r < 10 ** (decade + 1) for r in rates) < 130
    assert {t.settings["width"] for t in trials} == {1, 2, 3, 4}
    assert {t.settings["kind"] for t in trials} == {"a", "b"}
    assert all(0.2 <= t.settings["rate"] <= 0.3 for t in trials)
    assert train.search(lambda **s: None, space, 2, seed=1)[1].settings == trials[1].settings
    chosen = train.pick(trials, "accuracy", {"latency": 1e-4})
    assert chosen.result["accuracy"] == 4
    assert chosen.result["latency"] <= 1e-4
    with pytest.raises(ValueError, match="none of 400 trials satisfies latency ≤ 0"):
        train.pick(trials, "accuracy", {"latency": 0})
    with pytest.raises(ValueError, match="0 < low"):
        train.log_uniform(0, 1)


def test_a_search_of_nothing():
    with pytest.raises(TypeError, match="'lr' must be drawn by a function, such as train.log_uniform"):
        train.search(lambda lr: lr, {"lr": (1e-4, 1e-1)}, trials=2)
    with pytest.raises(ValueError, match="pick: there are no trials"):
        train.pick([], "accuracy")
