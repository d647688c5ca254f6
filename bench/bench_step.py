"""Whole steps: a small network trained (forward, backward, Adam), eagerly and captured, and read (inference).

Every library starts from the same weights and takes the same batch; training losses must agree before anything is
timed. JAX steps are jitted and wait for their result; PyTorch trains with its fused Adam where that is faster, the best
of its ways counts. The batch lies in NumPy's memory for us as for PyTorch, and counts for neither; a captured step's own
copy of it does. Beside each captured figure stands the eager one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

import lamina
from bench.harness import Case, live_bytes_of_ours, live_bytes_of_torch
from lamina import nn
from lamina.nn import functional as F

RNG = np.random.default_rng(0)
RATE = 1e-3


@dataclass(frozen=True)
class Net:
    """A multi-layer perceptron and a batch for it."""

    sizes: tuple[int, ...]
    batch: int

    def __str__(self) -> str:
        return f"MLP {'-'.join(map(str, self.sizes))}, B{self.batch}"

    def layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(1)
        pairs = zip(self.sizes, self.sizes[1:], strict=False)
        return [
            (rng.standard_normal((b, a)).astype(np.float32) / np.float32(np.sqrt(a)), np.zeros(b, np.float32))
            for a, b in pairs
        ]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(2)
        x = rng.standard_normal((self.batch, self.sizes[0])).astype(np.float32)
        return x, rng.integers(0, self.sizes[-1], self.batch)


# ---- ours ----


def our_net(net: Net) -> nn.Sequential:
    modules: list[nn.Module] = []
    for i, (w, b) in enumerate(net.layers()):
        layer = nn.Linear(w.shape[1], w.shape[0])
        with lamina.no_grad():
            layer.weight.copy_(lamina.tensor(w))
            layer.bias.copy_(lamina.tensor(b))
        modules += [nn.ReLU(), layer] if i else [layer]
    return nn.Sequential(*modules)


def our_training(net: Net, captured: bool) -> Callable[[], lamina.Tensor]:
    model = our_net(net)
    optimizer = lamina.optim.Adam(model.parameters(), lr=RATE)
    x, labels = map(lamina.from_numpy, net.data())

    def step(x: lamina.Tensor, labels: lamina.Tensor) -> lamina.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    run = lamina.capture(step) if captured else step
    return lambda: run(x, labels)


def our_inference(net: Net, captured: bool) -> Callable[[], lamina.Tensor]:
    model = our_net(net)
    x = lamina.from_numpy(net.data()[0])
    run = lamina.capture(model) if captured else model

    def infer() -> lamina.Tensor:
        with lamina.inference_mode():
            return run(x)

    return infer


# ---- PyTorch ----


def torch_net(net: Net) -> torch.nn.Sequential:
    modules: list[torch.nn.Module] = []
    for i, (w, b) in enumerate(net.layers()):
        layer = torch.nn.Linear(w.shape[1], w.shape[0])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(w))
            layer.bias.copy_(torch.from_numpy(b))
        modules += [torch.nn.ReLU(), layer] if i else [layer]
    return torch.nn.Sequential(*modules)


def torch_training(net: Net, fused: bool) -> Callable[[], torch.Tensor]:
    model = torch_net(net)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=fused)
    x, labels = map(torch.from_numpy, net.data())

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def torch_inference(net: Net) -> Callable[[], torch.Tensor]:
    model = torch_net(net).eval()
    x = torch.from_numpy(net.data()[0])

    def infer() -> torch.Tensor:
        with torch.inference_mode():
            return model(x)

    return infer


# ---- JAX, ONNX Runtime: where they are installed ----


def jax_training(net: Net) -> Callable[[], object] | None:
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    jax.config.update("jax_platforms", "cpu")
    parameters = [(jnp.asarray(w.T), jnp.asarray(b)) for w, b in net.layers()]
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    x, labels = map(jnp.asarray, net.data())

    def loss_of(parameters: list[tuple[jax.Array, jax.Array]], x: jax.Array, labels: jax.Array) -> jax.Array:
        for i, (w, b) in enumerate(parameters):
            x = (jax.nn.relu(x) if i else x) @ w + b
        return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1).mean()

    def adam(state: tuple, x: jax.Array, labels: jax.Array) -> tuple[tuple, jax.Array]:
        parameters, first, second, t = state
        loss, grads = jax.value_and_grad(loss_of)(parameters, x, labels)
        t = t + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
        parameters = jax.tree.map(
            lambda p, m, v: p - RATE * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8),
            parameters,
            first,
            second,
        )
        return (parameters, first, second, t), loss

    compiled = jax.jit(adam, donate_argnums=0)
    state = (parameters, zeros, jax.tree.map(jnp.zeros_like, zeros), jnp.float32(0))

    def step() -> object:
        nonlocal state
        state, loss = compiled(state, x, labels)
        jax.block_until_ready(state)
        return loss

    return step


def onnx_inference(net: Net, threads: int) -> Callable[[], list[np.ndarray]] | None:
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return None
    nodes, weights, last = [], [], "x"
    for i, (w, b) in enumerate(net.layers()):
        if i:
            nodes.append(helper.make_node("Relu", [last], [f"r{i}"]))
            last = f"r{i}"
        weights += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"y{i}"], transB=1))
        last = f"y{i}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [net.batch, size])
        for name, size in (("x", net.sizes[0]), (last, net.sizes[-1]))
    ]
    graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = net.data()[0]
    return lambda: session.run(None, {"x": x})


# ---- cases ----


def number(loss: object) -> float:
    return float(np.asarray(loss.detach() if hasattr(loss, "detach") else loss))


def training(net: Net, captured: bool, target: float) -> Case:
    peers = {"torch": torch_training(net, False), "torch fused Adam": torch_training(net, True)}
    if jax_step := jax_training(net):
        peers["JAX jit"] = jax_step
    ours = our_training(net, captured)

    def check() -> None:
        for _ in range(5):
            wanted = number(ours())
            for name, peer in peers.items():
                np.testing.assert_allclose(number(peer()), wanted, rtol=1e-3, err_msg=name)

    how = "captured" if captured else "eager"
    return Case(f"{net}, train, {how}", ours, peers, check, target=target, headline=captured)


def inference(net: Net, captured: bool, target: float) -> Case:
    peers: dict[str, Callable[[], object]] = {"torch": torch_inference(net)}
    if session := onnx_inference(net, lamina.get_num_threads()):
        peers["ONNX Runtime"] = session
    ours = our_inference(net, captured)

    def check() -> None:
        wanted = peers["torch"]().numpy()
        np.testing.assert_allclose(ours().numpy(), wanted, rtol=1e-3, atol=1e-4)

    how = "captured" if captured else "eager"
    return Case(f"{net}, inference, {how}", ours, peers, check, target=target, headline=captured)


# ---- memory ----


RESIDENT = """
from bench import bench_step as b
net = b.Net({sizes}, {batch})
step = {step}
for _ in range(20):
    step()
# getrusage would tell of the process that started this one, too
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
"""


def resident(net: Net, step: str) -> Callable[[], float]:
    """MiB of a process that does nothing else, its library included."""
    script = RESIDENT.format(sizes=net.sizes, batch=net.batch, step=step)
    if step.startswith("b.our"):  # of a user who has one library, not both
        script = "import sys; sys.modules['torch'] = type(sys)('torch'); sys.modules['torch'].Tensor = None\n" + script
    return lambda: float(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    )


def memory(net: Net) -> Iterator[Case]:
    yield Case(
        f"{net}, train, peak of live tensors",
        lambda: live_bytes_of_ours(lambda: our_training(net, True)),
        {"torch": lambda: live_bytes_of_torch(lambda: torch_training(net, False))},
        lambda: None,
        target=1 / 0.7,
        self_timed=True,
        unit="MiB",
        rounds=2,
    )
    yield Case(
        f"{net}, train, resident memory of the process",
        resident(net, "b.our_training(net, True)"),
        {"torch": resident(net, "b.torch_training(net, False)")},
        lambda: None,
        target=1 / 0.7,
        self_timed=True,
        unit="MiB",
        rounds=2,
    )


def cases() -> Iterator[Case]:
    small, digits, single = Net((32, 64, 64, 4), 32), Net((784, 256, 10), 64), Net((784, 256, 10), 1)
    yield training(small, False, 3.0)
    yield training(small, True, 8.0)
    yield training(digits, False, 3.0)
    yield training(digits, True, 3.0)
    yield inference(digits, False, 1.3)
    yield inference(digits, True, 1.3)
    yield inference(single, False, 4.0)
    yield inference(single, True, 4.0)
    yield from memory(small)
    yield from memory(digits)
