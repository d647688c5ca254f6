"""Recurrent layers over whole sequences, their variants, and the character models built of them.

Every library has the same weights and the same input. PyTorch has no variants: there its peer is what its users write, a
loop over steps with all gates in one product, and our own plain LSTM, whose time a variant should keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

import lamina
from bench.harness import Case, live_bytes_of_ours, live_bytes_of_torch, optional
from lamina import nn
from lamina.decode import Decoder
from lamina.nn import functional as F
from lamina.nn.cells import cell, sigmoid, tanh

RATE = 1e-3
GATES = {"LSTM": 4, "GRU": 3}


@dataclass(frozen=True)
class Layer:
    """One layer as wide as its input."""

    kind: str
    steps: int
    batch: int
    units: int
    projected: int = 0  # features of an LSTM's state, where they are fewer

    def __str__(self) -> str:
        name = f"{self.kind} T{self.steps} B{self.batch} H{self.units}"
        return f"{name} projected to {self.projected}" if self.projected else name

    def weights(self) -> dict[str, np.ndarray]:
        rng, rows, bound = np.random.default_rng(1), GATES[self.kind] * self.units, self.units**-0.5
        shapes = {
            "weight_ih_l0": (rows, self.units), "weight_hh_l0": (rows, self.projected or self.units),
            "bias_ih_l0": (rows,), "bias_hh_l0": (rows,),
        }  # fmt: skip
        if self.projected:
            shapes["weight_hr_l0"] = (self.projected, self.units)
        return {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}

    def input(self) -> np.ndarray:
        return np.random.default_rng(2).standard_normal((self.steps, self.batch, self.units)).astype(np.float32)

    def flops(self, backward: bool) -> float:
        one_product = 2.0 * self.steps * self.batch * GATES[self.kind] * self.units**2
        return one_product * (6 if backward else 2)


# ---- ours and PyTorch's: the same calls ----


def layer_of(library: Any, layer: Layer, **switches: bool) -> tuple[Any, Any]:
    """The layer with its weights, and its input as a leaf."""
    as_tensor = torch.tensor if library is torch.nn else lamina.tensor
    projection = {"proj_size": layer.projected} if layer.projected else {}
    module = getattr(library, layer.kind)(layer.units, layer.units, **switches, **projection)
    module.load_state_dict({n: as_tensor(w) for n, w in layer.weights().items()}, strict=not switches)
    return module, as_tensor(layer.input()).requires_grad_()


def forward(library: Any, layer: Layer, **switches: bool) -> Callable[[], Any]:
    module, x = layer_of(library, layer, **switches)
    off = torch.no_grad if library is torch.nn else lamina.no_grad

    def run() -> Any:
        with off():
            return module(x)[0]

    return run


def training(run: Callable[[Any], Any], x: Any, parameters: list[Any]) -> Callable[[], Any]:
    """Forward and backward of the outputs' sum; gives the gradient of the input."""

    def step() -> Any:
        for p in (x, *parameters):
            p.grad = None
        run(x).sum().backward()
        return x.grad

    return step


def forward_and_backward(library: Any, layer: Layer, **switches: bool) -> Callable[[], Any]:
    module, x = layer_of(library, layer, **switches)
    return training(lambda x: module(x)[0], x, list(module.parameters()))


def variant_step(switches: dict[str, bool], c: torch.Tensor, gates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    i, f, g, o = gates.chunk(4, 1)
    i = torch.sigmoid(i) if switches.get("input_gate", True) else torch.ones_like(i)
    f = torch.sigmoid(f) if switches.get("forget_gate", True) else torch.ones_like(f)
    c = (1 - i if switches.get("coupled") else f) * c + i * torch.tanh(g)
    o = torch.sigmoid(o) if switches.get("output_gate", True) else torch.ones_like(o)
    return o * torch.tanh(c), c


def torch_loop(layer: Layer, switches: dict[str, bool]) -> tuple[Callable[[Any], Any], Any, list[Any]]:
    w, u, b, d = (torch.tensor(a, requires_grad=True) for a in layer.weights().values())
    gains, normed = torch.ones_like(b, requires_grad=True), switches.get("layer_norm", False)

    def norm(gates: torch.Tensor) -> torch.Tensor:
        each = torch.nn.functional.layer_norm(gates.unflatten(1, (4, layer.units)), (layer.units,))
        return torch.addcmul(b + d, gains, each.flatten(1))

    def run(x: torch.Tensor) -> torch.Tensor:
        h = c = torch.zeros(layer.batch, layer.units)
        outputs = []
        for share in torch.nn.functional.linear(x, w, None if normed else b + d):
            gates = torch.addmm(share, h, u.t())
            h, c = variant_step(switches, c, norm(gates) if normed else gates)
            outputs.append(h)
        return torch.stack(outputs)

    return run, torch.tensor(layer.input(), requires_grad=True), [w, u, b, d, *([gains] if normed else [])]


# ---- JAX, ONNX Runtime: where they are installed ----


def jax_layer(layer: Layer, backward: bool) -> Callable[[], object] | None:
    if optional("jax") is None:
        return None
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_platforms", "cpu")
    weights, x = tuple(map(jnp.asarray, layer.weights().values())), jnp.asarray(layer.input())

    def lstm(u: Any, d: Any, state: Any, share: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(share + h @ u.T + d, 4, 1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru(u: Any, d: Any, state: Any, share: Any) -> Any:
        (xr, xz, xn), (hr, hz, hn) = jnp.split(share, 3, 1), jnp.split(state[0] @ u.T + d, 3, 1)
        z = jax.nn.sigmoid(xz + hz)
        h = (1 - z) * jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn) + z * state[0]
        return (h,), h

    cell, states = {"LSTM": (lstm, 2), "GRU": (gru, 1)}[layer.kind]
    first = (jnp.zeros((layer.batch, layer.units)),) * states

    def outputs(weights: Any, x: Any) -> Any:
        w, u, b, d = weights
        return jax.lax.scan(lambda state, share: cell(u, d, state, share), first, x @ w.T + b)[1]

    run = jax.jit(jax.grad(lambda w, x: outputs(w, x).sum(), (0, 1)) if backward else outputs)
    return lambda: jax.block_until_ready(run(weights, x))


def onnx_layer(layer: Layer, threads: int) -> Callable[[], Any] | None:
    onnxruntime, onnx = optional("onnxruntime"), optional("onnx")
    if onnxruntime is None or onnx is None:
        return None
    from onnx import TensorProto, helper, numpy_helper

    order = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}[layer.kind]  # theirs: i o f g, z r n

    def gates(w: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(w, GATES[layer.kind])[g] for g in order])

    w, u, b, d = map(gates, layer.weights().values())
    constants = {"w": w, "u": u, "b": np.concatenate([b, d])}
    more = {"linear_before_reset": 1} if layer.kind == "GRU" else {}
    node = helper.make_node(layer.kind, ["x", "w", "u", "b"], ["y"], hidden_size=layer.units, **more)
    shapes = {"x": layer.input().shape, "y": (layer.steps, 1, layer.batch, layer.units)}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    weights = [numpy_helper.from_array(value[None], name) for name, value in constants.items()]
    graph = helper.make_graph([node], "layer", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    data = layer.input()
    return lambda: session.run(None, {"x": data})[0][:, 0]


# ---- character models ----


@dataclass(frozen=True)
class Characters:
    """Embedding, one recurrent layer, a linear one to the next character's logits."""

    kind: str
    batch: int
    steps: int = 64
    features: int = 128
    units: int = 256
    alphabet: int = 96

    def __str__(self) -> str:
        return f"characters, {self.kind} T{self.steps} B{self.batch}"

    def build(self, library: Any) -> list[Any]:
        return [
            library.Embedding(self.alphabet, self.features),
            getattr(library, self.kind)(self.features, self.units, batch_first=True),
            library.Linear(self.units, self.alphabet),
        ]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        text = np.random.default_rng(3).integers(0, self.alphabet, (self.batch, self.steps + 1))
        return text[:, :-1].copy(), text[:, 1:].copy()


def logits(modules: list[Any], x: Any) -> Any:
    embedding, recurrent, linear = modules
    if isinstance(x, lamina.Tensor):  # the layer looks up what a character gives the gates
        return linear(recurrent(x, embedding=embedding.weight)[0])
    return linear(recurrent(embedding(x))[0])


def twins(net: Characters) -> tuple[list[Any], list[Any]]:
    ours, theirs = net.build(nn), net.build(torch.nn)
    for mine, other in zip(ours, theirs, strict=True):
        mine.load_state_dict({n: lamina.tensor(p.detach().numpy()) for n, p in other.state_dict().items()})
    return ours, theirs


def character_step(library: Any, modules: list[Any], net: Characters, **how: bool) -> Callable[[], Any]:
    parameters = [p for m in modules for p in m.parameters()]
    optimizer = library.optim.Adam(parameters, lr=RATE, **how)
    entropy = (torch.nn.functional if library is torch else F).cross_entropy
    x, labels = map(library.tensor, net.data())

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = entropy(logits(modules, x).reshape(-1, net.alphabet), labels.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss

    run = lamina.capture(step) if library is lamina else step
    return lambda: run(x, labels)


def character_training(net: Characters, target: float) -> Case:
    modules, others = twins(net)
    ours, theirs = character_step(lamina, modules, net), character_step(torch, others, net, fused=True)

    def check() -> None:
        for _ in range(5):
            np.testing.assert_allclose(float(ours().detach()), float(theirs().detach()), rtol=1e-3)

    return Case(f"{net}, train", ours, {"torch fused Adam": theirs}, check, target=target, headline=True)


def character_inference(net: Characters, target: float) -> Case:
    modules, others = twins(net)
    x, x_t = lamina.tensor(net.data()[0]), torch.tensor(net.data()[0])
    captured = lamina.capture(lambda x: logits(modules, x))

    def ours() -> Any:
        with lamina.inference_mode():
            return captured(x)

    def theirs() -> Any:
        with torch.inference_mode():
            return logits(others, x_t)

    def check() -> None:
        np.testing.assert_allclose(ours().numpy(), theirs().numpy(), atol=1e-4)

    return Case(f"{net}, inference", ours, {"torch": theirs}, check, target=target)


def character_memory(net: Characters) -> Case:
    return Case(
        f"{net}, train, peak of live tensors",
        lambda: live_bytes_of_ours(lambda: character_step(lamina, net.build(nn), net)),
        {"torch": lambda: live_bytes_of_torch(lambda: character_step(torch, net.build(torch.nn), net))},
        lambda: None,
        target=1 / 0.7,
        self_timed=True,
        unit="MiB",
        rounds=2,
    )


# ---- decoding ----


def decoding(net: Characters, how: str) -> Case:
    """64 tokens for each row; PyTorch by the loop that its users write."""
    modules, others = twins(net)
    decoder, start = Decoder(*modules), lamina.zeros(net.batch, dtype=lamina.int64)

    def ours() -> Any:
        if how == "greedy":
            return decoder.greedy(start, net.steps).tokens
        return decoder.sample(start, net.steps, temperature=0.8).tokens

    def theirs() -> Any:
        embedding, recurrent, linear = others
        token, state, found = torch.zeros(net.batch, 1, dtype=torch.long), None, []
        with torch.inference_mode():
            for _ in range(net.steps):
                y, state = recurrent(embedding(token), state)
                scores = linear(y)[:, 0]
                if how == "greedy":
                    token = scores.argmax(-1, keepdim=True)
                else:
                    token = torch.multinomial(torch.softmax(scores / 0.8, -1), 1)
                found.append(token)
        return torch.cat(found, 1)

    def check() -> None:
        if how == "greedy":
            np.testing.assert_array_equal(ours().numpy(), theirs().numpy())

    return Case(f"{net}, {how} decoding", ours, {"torch loop": theirs}, check)


# ---- cells of one's own ----


@cell
def own_lstm(i: Any, f: Any, g: Any, o: Any, *, h: Any, c: Any) -> Any:
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def own_beside_plain(layer: Layer) -> Case:
    module, x = nn.CustomRNN(own_lstm, layer.units, layer.units), lamina.tensor(layer.input()).requires_grad_()
    module.load_state_dict({n: lamina.tensor(w) for n, w in layer.weights().items()})
    ours = training(lambda x: module(x)[0], x, list(module.parameters()))
    plain = forward_and_backward(nn, layer)
    return Case(
        f"{layer}, the same as a cell of one's own, forward + backward", ours, {"our plain layer": plain},
        agree(ours, plain), target=1 / 1.5,
    )  # fmt: skip


# ---- cases ----


def agree(ours: Callable[[], Any], *others: Callable[[], Any]) -> Callable[[], None]:
    def check() -> None:
        mine = ours().numpy()
        for other in others:
            result = other()
            theirs = result.detach().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3 * float(np.abs(theirs).mean()))

    return check


def one_layer(layer: Layer, backward: bool, target: float = 0.0, threads: int = 0) -> Case:
    make = forward_and_backward if backward else forward
    ours = make(nn, layer)
    peers: dict[str, Callable[[], object]] = {"torch": make(torch.nn, layer)}
    checked = [peers["torch"]]
    if jax_step := jax_layer(layer, backward):
        peers["JAX scan"] = jax_step
        checked.append((lambda: jax_step()[1]) if backward else jax_step)
    if not backward and (session := onnx_layer(layer, threads or lamina.get_num_threads())):
        peers["ONNX Runtime"] = session
        checked.append(session)
    name = f"{layer}, {'forward + backward' if backward else 'forward'}" + (f", {threads} thread" if threads else "")
    flops = layer.flops(backward)
    headline = target > 0 and layer.batch > 1
    return Case(
        name, ours, peers, agree(ours, *checked), flops=flops, target=target, headline=headline, threads=threads
    )


VARIANTS: dict[str, dict[str, bool]] = {
    "no forget gate": {"forget_gate": False},
    "no output gate": {"output_gate": False},
    "coupled": {"coupled": True},
    "layer norm": {"layer_norm": True},
}


def variant(layer: Layer, name: str) -> Case:
    switches = VARIANTS[name]
    ours, loop = forward_and_backward(nn, layer, **switches), training(*torch_loop(layer, switches))
    return Case(f"{layer}, {name}, forward + backward", ours, {"torch cell loop": loop}, agree(ours, loop), target=10.0)


def variant_beside_plain(layer: Layer, **switches: bool) -> Case:
    title = f"{layer}, {', '.join(switches)}, forward + backward"
    ours, plain = forward_and_backward(nn, layer, **switches), forward_and_backward(nn, layer)
    return Case(title, ours, {"our plain layer": plain}, lambda: None, target=1 / 1.3)


def projected_beside_plain(layer: Layer, backward: bool) -> Case:
    """PyTorch runs a loop of its own here, without oneDNN; fewer features should take less time than all."""
    make = forward_and_backward if backward else forward
    ours, theirs, plain = make(nn, layer), make(torch.nn, layer), make(nn, replace(layer, projected=0))
    title = f"{layer}, {'forward + backward' if backward else 'forward'}"
    return Case(title, ours, {"torch": theirs, "our plain layer": plain}, agree(ours, theirs))


def cases() -> Iterator[Case]:
    lstm, gru = Layer("LSTM", 50, 32, 256), Layer("GRU", 50, 32, 256)
    single_lstm, single_gru = Layer("LSTM", 100, 1, 128), Layer("GRU", 100, 1, 128)
    for layer, targets in ((lstm, (1.15, 1.3)), (gru, (3.0, 2.7)), (single_lstm, (3.0, 3.3)), (single_gru, (12, 30))):
        for backward in (False, True):
            yield one_layer(layer, backward, targets[backward])
    for layer in (lstm, gru):
        yield one_layer(layer, True, threads=1)
    for layer in (Layer("LSTM", 200, 32, 256), Layer("LSTM", 50, 128, 256), Layer("LSTM", 50, 32, 512)):
        yield one_layer(layer, True)
    for name in VARIANTS:
        yield variant(lstm, name)
    for name in ("coupled", "layer norm"):
        yield variant(single_lstm, name)
    for backward in (False, True):
        yield projected_beside_plain(replace(lstm, projected=128), backward)
    yield variant_beside_plain(lstm, peephole=True)
    yield variant_beside_plain(lstm, coupled=True)
    yield variant_beside_plain(gru, reset_after=False)
    for layer in (lstm, gru, single_lstm):
        yield variant_beside_plain(layer, layer_norm=True)
    for layer in (lstm, single_lstm):
        yield own_beside_plain(layer)
    for kind, train, inference in (("LSTM", 1.3, (1.2, 1.5)), ("GRU", 2.0, (1.5, 1.5))):
        yield character_training(Characters(kind, 32), train)
        for batch, target in zip((32, 1), inference, strict=True):
            yield character_inference(Characters(kind, batch), target)
        yield character_memory(Characters(kind, 32))
        for batch in (1, 32):
            for how in ("greedy", "sampled"):
                yield decoding(Characters(kind, batch), how)
