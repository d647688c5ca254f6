"""The command line and the recipes: tiny configurations learn, bad input ends with a message."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import lamina
from lamina.__main__ import main
from lamina.recipes import RECIPES, boolean, find, gaussian
from lamina.recipes.settings import UsageError, describe, parse
from test_data_files import idx

needs_everything = pytest.mark.usefixtures("everything")


@pytest.fixture
def everything():
    for package in ("sklearn", "matplotlib"):
        pytest.importorskip(package)


def command(*arguments, timeout=120, **environment):
    """`python -m lamina …` in a process of its own."""
    merged = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **environment}
    words = [sys.executable, "-m", "lamina", *map(str, arguments)]
    return subprocess.run(words, env=merged, timeout=timeout, capture_output=True, text=True, check=False)


def refused(capsys, code, *arguments):
    """What is said on the error stream; nothing else may be."""
    assert main([str(a) for a in arguments]) == code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.err.startswith("lamina: ")
    return said.err


def losses(folder):
    with open(folder / "history.csv") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


# ---- recipes ----


@needs_everything
def test_mlp_learns(tmp_path):
    code = main(["train", "mlp", "--out", str(tmp_path), "--set", "epochs=4", "hidden=32", "lr=0.01", "dropout=0"])
    assert code in (0, 3)  # four epochs may not be enough for what is expected of forty
    history = losses(tmp_path)
    assert history[-1] < 0.5 * history[0]
    for name in ("curves.png", "digits.png", "norms.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@needs_everything
def test_mlp_meets_its_expectation(tmp_path, capsys):
    assert main(["train", "mlp", "--out", str(tmp_path), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "expected: at least 97%" in said
    assert float(said.split("test accuracy ")[1].split("%")[0]) >= 97


@needs_everything
def test_gaussian_learns(tmp_path):
    settings = ["samples=400", "epochs=12", "hidden=16", "batch=32", "lr=0.02"]
    assert main(["train", "gaussian", "--out", str(tmp_path), "--set", *settings]) in (0, 3)
    history = losses(tmp_path)
    assert history[-1] < history[0] - 0.3
    assert (tmp_path / "band.png").exists()


def test_gaussian_likelihood_is_the_normal_distributions():
    output, y = lamina.tensor([[0.3, -0.7], [1.0, 0.2]]), lamina.tensor([[0.1], [2.5]])
    mean, variance = output[:, :1].double().numpy(), np.exp(output[:, 1:].double().numpy())
    want = np.mean(0.5 * np.log(2 * np.pi * variance) + (y.double().numpy() - mean) ** 2 / (2 * variance))
    assert gaussian.likelihood(output, y).item() == pytest.approx(want, rel=1e-5)


@needs_everything
def test_boolean_learns(tmp_path, capsys):
    assert main(["train", "boolean", "--out", str(tmp_path), "--set", "bits=2,3", "steps=600"]) == 0
    said = capsys.readouterr().out
    assert "rows right: deep and narrow          100.0%  100.0%" in said
    assert (tmp_path / "parity.png").exists()
    learnt = boolean.learn("deep and narrow", 3, boolean.Settings(steps=300, starts=1))
    assert learnt.last_loss < 0.5 * learnt.first_loss


@pytest.mark.parametrize("bits", range(2, 11))
def test_nets_built_by_hand_compute_the_parity(bits):
    rows, parity = boolean.truth_table(bits)
    assert rows.shape == (2**bits, bits)
    assert parity[:, 0].tolist() == [bin(i).count("1") % 2 for i in range(2**bits)]
    flat, deep = boolean.normal_form(bits), boolean.xor_tree(bits)
    assert (flat(rows) == parity).all()
    assert (deep(rows) == parity).all()
    assert flat[0][0].weight.shape[0] == 2 ** (bits - 1)
    assert len(deep) == 2 * int(np.ceil(np.log2(bits)))


@needs_everything
def test_the_same_bits_for_one_thread_and_two(tmp_path):
    files = []
    for threads in (1, 2):
        out = tmp_path / str(threads)
        finished = command(
            "train", "mlp", "--out", out, "--threads", threads, "--quiet", "--set", "epochs=2", "hidden=32"
        )
        assert finished.returncode in (0, 3), finished.stderr
        files.append((out / "model.safetensors").read_bytes())
    assert files[0] == files[1]


@needs_everything
def test_resume_goes_on_and_refuses_other_settings(tmp_path, capsys):
    settings = ["--quiet", "--set", "epochs=3", "hidden=16", "patience=2"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert main(["train", "mlp", "--out", str(whole), *settings]) in (0, 3)
    assert main(["train", "mlp", "--out", str(stopped), *settings]) in (0, 3)
    (stopped / "model.safetensors").unlink()
    assert main(["train", "mlp", "--out", str(stopped), "--resume", *settings]) in (0, 3)
    assert (stopped / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    capsys.readouterr()
    said = refused(capsys, 2, "train", "mlp", "--out", stopped, "--resume", *settings[:-1])
    assert "had other settings: patience=2 (now 12)" in said


@needs_everything
def test_ctrl_c_saves_and_resume_goes_on(tmp_path):
    settings = ["--set", "epochs=25", "hidden=16", "patience=25"]
    words = [sys.executable, "-u", "-m", "lamina", "train", "mlp", "--out", str(tmp_path / "stopped"), *settings]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not process.stdout.readline().startswith("epoch  3/25"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted in epoch" in said
    assert "the last good checkpoint is" in said
    assert errors == "\nlamina: interrupted\n"
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    assert main(["train", "mlp", "--out", str(tmp_path / "stopped"), "--resume", *settings]) in (0, 3)
    assert main(["train", "mlp", "--out", str(tmp_path / "whole"), *settings]) in (0, 3)
    models = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("stopped", "whole")]
    assert models[0] == models[1]


# ---- the command line ----


def test_lists_and_information(capsys):
    assert main(["recipes"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in RECIPES)
    assert main(["recipes", "mlp"]) == 0
    assert "epochs=" in capsys.readouterr().out
    assert main(["info"]) == 0
    assert "supported targets" in capsys.readouterr().out
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().out
    for name in RECIPES:
        assert "help" not in describe(find(name))
        assert find(name).settings()  # the defaults make sense


def test_help_and_version(capsys):
    for option, expected in (("--help", "train"), ("--version", lamina.__version__)):
        with pytest.raises(SystemExit) as caught:
            main([option])
        assert caught.value.code == 0
        assert expected in capsys.readouterr().out


def test_help_of_train_says_how_it_ends(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "3 it trained, but the expectation was not met; 130 interrupted" in said


def test_settings_are_parsed_by_type():
    recipe = find("mlp")
    settings = parse(
        recipe, ["hidden=7, 8", "lr=1e-2", "capture=no", "activation=tanh", "folder=none", "weight-decay=0"]
    )
    assert settings.hidden == (7, 8)
    assert settings.lr == 0.01
    assert not settings.capture
    assert settings.folder is None
    assert settings.weight_decay == 0
    assert parse(recipe, ["hidden="]).hidden == ()


# ---- bad input ----


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["trian"], "there is no command 'trian'; did you mean 'train'?"),
        (["train"], "the following arguments are required: recipe"),
        (["train", "mlpp"], "there is no recipe 'mlpp'; did you mean 'mlp'?"),
        (["train", "zzz"], "there is no recipe 'zzz' (lamina recipes lists them: mlp,"),
        (["recipes", "bolean"], "did you mean 'boolean'?"),
        (["train", "mlp", "--set", "epoch=3"], "mlp has no setting 'epoch'; did you mean 'epochs'?"),
        (["train", "mlp", "--set", "zzz=3"], "mlp has no setting 'zzz' (it has folder, expected"),
        (["train", "mlp", "--set", "epochs"], "--set epochs: expected key=value"),
        (["train", "mlp", "--set", "epochs=many"], "mlp.epochs must be a whole number, got 'many'"),
        (["train", "mlp", "--set", "epochs=0"], "mlp.epochs must be at least 1, got 0"),
        (["train", "mlp", "--set", "lr=fast"], "mlp.lr must be a number, got 'fast'"),
        (["train", "mlp", "--set", "lr=nan"], "mlp.lr must be at least 0, got nan"),
        (["train", "mlp", "--set", "dropout=1.5"], "mlp.dropout must be from 0 to 0.95, got 1.5"),
        (["train", "mlp", "--set", "hidden=10,x"], "mlp.hidden must be a whole number, got 'x'"),
        (["train", "mlp", "--set", "activation=relo"], "one of relu, tanh, gelu, got 'relo'; did you mean 'relu'?"),
        (["train", "mlp", "--set", "capture=maybe"], "mlp.capture must be true or false, got 'maybe'"),
        (["train", "mlp", "--threads", "0"], "--threads must be at least 1, got 0"),
        (["train", "mlp", "--seed", "x"], "invalid int value: 'x'"),
        (["train", "mlp", "--sed", "1"], "unrecognized arguments: --sed 1"),
    ],
)
def test_what_does_not_exist(capsys, arguments, message):
    assert message in refused(capsys, 2, *arguments)


def test_exit_code_of_the_process():
    finished = command("train", "mlpp")
    assert finished.returncode == 2
    listed = ", ".join(RECIPES)
    assert finished.stderr == (
        f"lamina: there is no recipe 'mlpp'; did you mean 'mlp'? (lamina recipes lists them: {listed})\n"
    )
    with pytest.raises(UsageError):
        main(["--traceback", "train", "mlpp"])


@needs_everything
def test_empty_data_set(tmp_path, capsys):
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(np.zeros((0, 28, 28), np.uint8)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.zeros(0, np.uint8)))
    said = refused(capsys, 1, "train", "mlp", "--out", tmp_path / "out", "--set", f"folder={tmp_path}")
    assert "empty" in said


@needs_everything
def test_checkpoint_of_another_run(tmp_path, capsys):
    settings = ["--quiet", "--set", "epochs=1", "hidden=16"]
    assert main(["train", "mlp", "--out", str(tmp_path), *settings]) in (0, 3)
    (tmp_path / "settings.json").unlink()
    capsys.readouterr()
    said = refused(capsys, 1, "train", "mlp", "--out", tmp_path, "--resume", "--quiet", "--set", "epochs=1", "hidden=8")
    assert "is not of this run" in said
    assert "0.weight: the module has shape (8, 64), the state (16, 64)" in said
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not a checkpoint at all")
    (tmp_path / "settings.json").unlink()
    said = refused(capsys, 1, "train", "mlp", "--out", tmp_path, "--resume", *settings)
    assert "checkpoint.safetensors is not a safetensors file" in said


@needs_everything
def test_nan_loss(tmp_path, capsys):
    said = refused(
        capsys, 1, "train", "mlp", "--out", tmp_path, "--quiet", "--set", "lr=1e38", "epochs=3", "weight_decay=0"
    )
    assert "not finite" in said or "the loss is" in said
    assert f"the last good checkpoint is {tmp_path / 'checkpoint.safetensors'}" in said
    kept = lamina.load(tmp_path / "checkpoint.safetensors")
    assert all(bool(t.isfinite().all()) for n, t in kept.items() if n.startswith("run.model."))


@needs_everything
def test_full_disk(tmp_path):
    """The first checkpoint does not fit: a message, and no half of a file."""
    script = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from lamina.__main__ import main
sys.exit(main(["train", "mlp", "--quiet", "--out", {str(tmp_path)!r}]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("lamina: File too large")
    assert "checkpoint.safetensors" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not [f for f in os.listdir(tmp_path) if f.endswith((".tmp", ".safetensors"))]


def test_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    said = refused(capsys, 1, "train", "mlp", "--out", tmp_path / "file")
    assert "File exists" in said
    assert str(tmp_path / "file") in said


def test_without_scikit_learn(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert "pip install scikit-learn" in refused(capsys, 1, "train", "mlp", "--out", tmp_path)


def test_benchmarks_elsewhere(tmp_path):
    finished = command("bench", "--help", PYTHONSAFEPATH="1")
    if finished.returncode:
        assert "run this in the folder of the source code" in finished.stderr
