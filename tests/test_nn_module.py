"""Module: registration, iteration, calls and hooks, state, copies, conversion; and the containers."""

import copy
import pickle

import numpy as np
import pytest

import lamina
from lamina import nn
from lamina.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(4, 8)
        self.out = nn.Linear(8, 3)
        self.scale = nn.Parameter(lamina.ones(3))
        self.register_buffer("steps", lamina.zeros((), dtype=lamina.int64))
        self.register_buffer("scratch", lamina.zeros(2), persistent=False)

    def forward(self, x):
        return self.out(F.relu(self.hidden(x))) * self.scale


NAMES = ["scale", "hidden.weight", "hidden.bias", "out.weight", "out.bias"]


def test_assigned_members_are_registered_in_order():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_buffers()] == ["steps", "scratch"]
    assert [name for name, _ in net.named_modules()] == ["", "hidden", "out"]
    assert [name for name, _ in net.named_children()] == ["hidden", "out"]
    assert list(net.children()) == [net.hidden, net.out]
    assert len(list(net.parameters())) == 5 and len(list(net.parameters(recurse=False))) == 1
    assert all(isinstance(p, nn.Parameter) and p.requires_grad and p.is_leaf for p in net.parameters())


def test_shared_members_come_once():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert "1.weight" in dict(net.named_parameters(remove_duplicate=False))
    assert "1.weight" in net.state_dict()
    both = nn.Sequential(net[0], net[0])
    assert len(list(both.modules())) == 2 and len(list(both.named_modules(remove_duplicate=False))) == 3


def test_reassigning_changes_the_kind():
    net = Net()
    net.scale = None
    assert "scale" not in dict(net.named_parameters()) and net.scale is None
    net.scale = nn.Parameter(lamina.zeros(3))
    assert "scale" in dict(net.named_parameters())
    net.hidden = nn.Parameter(lamina.zeros(3))
    assert [name for name, _ in net.named_children()] == ["out"]
    del net.hidden
    assert "hidden" not in dict(net.named_parameters()) and not hasattr(net, "hidden")
    net.steps = lamina.ones((), dtype=lamina.int64)
    assert dict(net.named_buffers())["steps"] is net.steps
    net.mask = nn.Buffer(lamina.ones(2))
    net.cache = nn.Buffer(lamina.ones(2), persistent=False)
    assert "mask" in net.state_dict() and "cache" not in net.state_dict() and "cache" in dict(net.named_buffers())


@pytest.mark.parametrize(
    "change, error, words",
    [
        (lambda n: setattr(n, "scale", lamina.ones(3)), TypeError, "Net.scale is a registered parameter"),
        (lambda n: setattr(n, "steps", 3), TypeError, "expected a Tensor"),
        (lambda n: setattr(n, "out", "x"), TypeError, "expected an nn.Module"),
        (lambda n: n.register_parameter("a.b", None), KeyError, "without dots"),
        (lambda n: n.register_buffer("", None), KeyError, "non-empty"),
        (lambda n: n.register_buffer("forward", None), KeyError, "there is an attribute"),
        (lambda n: n.register_buffer("b", 3), TypeError, "expected 'b' to be Tensor"),
        (lambda n: n.register_parameter("p", lamina.ones(1)), TypeError, "expected 'p' to be Parameter"),
        (lambda n: n.add_module("m", 3), TypeError, "expected 'm' to be Module"),
        (lambda n: n.get_submodule("hidden.x"), AttributeError, "hidden has no module 'x', nor any other"),
        (lambda n: n.get_submodule("hiden"), AttributeError, "^Net has no module 'hiden', only"),
        (lambda n: nn.Residual(3), TypeError, "expected 'body' to be Module"),
        (lambda n: n.get_parameter("hidden.wieght"), AttributeError, "hidden has weight, bias"),
        (lambda n: n.get_buffer("weight"), AttributeError, "it has steps, scratch"),
        (lambda n: n.nothing, AttributeError, "nothing"),
        (lambda n: n.train(3), ValueError, "mode"),
        (lambda n: n.to(lamina.int64), TypeError, "floating-point"),
        (lambda n: nn.Module()(1), NotImplementedError, "defines no forward"),
    ],
)
def test_errors_say_what_is_wrong(change, error, words):
    with pytest.raises(error, match=words):
        change(Net())


def test_forgotten_super_init():
    class Forgetful(nn.Module):
        def __init__(self, member):
            self.member = member

    for member in (nn.Linear(2, 2), nn.Parameter(lamina.ones(2)), nn.Buffer(lamina.ones(2))):
        with pytest.raises(AttributeError, match=r"Forgetful: call super\(\).__init__\(\) before assigning"):
            Forgetful(member)


# ---- modes, conversion, gradients ----


def test_train_and_eval_reach_everything():
    net = nn.Sequential(Net(), nn.Sequential(nn.ReLU()))
    assert all(m.training for m in net.modules())
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert net.train() is net and all(m.training for m in net.modules())


def test_conversion_keeps_sharing_and_leaves_integers():
    net = nn.Sequential(Net(), nn.Linear(3, 3))
    net[1].bias = net[0].scale
    net(lamina.ones(2, 4)).sum().backward()
    assert net.double() is net
    assert net[1].bias is net[0].scale and net[0].scale.dtype is lamina.float64 and net[0].scale.requires_grad
    assert net[0].scale.grad.dtype is lamina.float64
    assert net[0].steps.dtype is lamina.int64 and net[0].scratch.dtype is lamina.float64
    for convert, dtype in ((net.half, "float16"), (net.bfloat16, "bfloat16"), (net.float, "float32")):
        assert convert()[0].out.weight.dtype is getattr(lamina, dtype)
    assert net.to(lamina.ones(1, dtype=lamina.float64)).to("cpu")[0].scale.dtype is lamina.float64


def test_zero_grad_requires_grad_apply():
    net = Net()
    net(lamina.ones(2, 4)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    seen = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Linear", "Net"]


# ---- hooks ----


def test_forward_hooks_see_and_replace():
    layer, calls = nn.Linear(2, 2), []
    x = lamina.ones(1, 2)
    plain = layer(x)
    handles = [
        layer.register_forward_pre_hook(lambda m, args: calls.append("pre")),
        layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,), prepend=True),
        layer.register_forward_hook(lambda m, args, out: calls.append(args[0].sum().item())),
        layer.register_forward_hook(lambda m, args, kwargs, out: out - layer.bias, with_kwargs=True),
    ]
    np.testing.assert_allclose(layer(x).detach().numpy(), 2 * (plain - layer.bias).detach().numpy(), rtol=1e-6)
    assert calls == ["pre", 4.0]
    for handle in handles:
        handle.remove()
    assert (layer(x) == plain).all() and len(calls) == 2
    with layer.register_forward_hook(lambda m, args, out: 0):
        assert layer(x) == 0
    assert (layer(x) == plain).all()


def test_a_hook_that_is_always_called_sees_failures():
    layer, calls = nn.Linear(2, 2), []
    layer.register_forward_hook(lambda m, args, out: calls.append(out), always_call=True)
    layer.register_forward_hook(lambda m, args, out: calls.append("not this one"))
    with pytest.raises(ValueError):
        layer(lamina.ones(1, 3))
    assert calls == [None]


def test_backward_hooks_see_and_replace():
    layer, seen = nn.Linear(3, 2), []
    x = lamina.ones(4, 3, requires_grad=True)
    layer.register_full_backward_pre_hook(lambda m, grads: (grads[0] * 10,))
    layer.register_full_backward_hook(lambda m, into, out: seen.append((into[0].shape, out[0].shape)))
    layer.register_full_backward_hook(lambda m, into, out: (into[0] * 0 + 7,))
    layer(x).sum().backward()
    assert seen == [((4, 3), (4, 2))]
    assert (x.grad == 7).all() and (layer.bias.grad == 40).all()


def test_a_backward_hook_on_a_first_layer_gets_no_input_gradient():
    layer, seen = nn.Linear(3, 2), []
    layer.register_full_backward_hook(lambda m, into, out: seen.append((into, out[0].shape)))
    layer(lamina.ones(4, 3)).sum().backward()
    assert seen == [((), (4, 2))]


# ---- state ----


def test_state_dict_shares_memory_and_loads_in_place():
    a, b = Net(), Net()
    state = a.state_dict()
    assert list(state) == ["scale", "steps", "hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    assert not any(v.requires_grad for v in state.values())
    weight = b.hidden.weight
    assert b.load_state_dict(state) == ([], [])
    assert b.hidden.weight is weight and (b.hidden.weight == a.hidden.weight).all()
    a.hidden.weight.detach().zero_()
    assert not state["hidden.weight"].any() and b.hidden.weight.any()
    assert a.state_dict(prefix="net.", keep_vars=True)["net.scale"] is a.scale


def test_loading_takes_numpy_and_can_assign():
    net = nn.Linear(3, 2)
    arrays = {"weight": np.ones((2, 3)), "bias": np.zeros(2, np.float32)}
    net.load_state_dict(arrays)
    assert net.weight.dtype is lamina.float32 and (net.weight == 1).all()
    state = {"weight": lamina.zeros(2, 3), "bias": lamina.zeros(2)}
    net.load_state_dict(state, assign=True)
    state["weight"].fill_(5)
    assert isinstance(net.weight, nn.Parameter) and (net.weight == 5).all()


def test_a_state_that_does_not_fit_is_refused_whole():
    net = Net()
    before = copy.deepcopy(net.state_dict())
    state = {"hidden.weight": lamina.ones(8, 5), "hidden.bias": lamina.ones(8), "extra": lamina.ones(1)}
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    for words in (
        "not of Net",
        "missing",
        "scale",
        "unknown",
        "extra",
        "hidden.weight: the module has shape (8, 4), the state (8, 5)",
    ):
        assert words in message
    assert all((before[k] == v).all() for k, v in net.state_dict().items())
    result = net.load_state_dict({"hidden.bias": lamina.ones(8), "extra": 0}, strict=False)
    assert result.unexpected_keys == ["extra"] and "scale" in result.missing_keys and (net.hidden.bias == 1).all()
    with pytest.raises(RuntimeError, match=r"hidden.bias: the module has shape \(8,\)"):
        net.load_state_dict({"hidden.bias": lamina.ones(9)}, strict=False)
    with pytest.raises(TypeError, match="mapping"):
        net.load_state_dict([1])


def test_copies_and_pickles_are_independent():
    net = nn.Sequential(Net(), nn.Linear(3, 3))
    net[1].bias = net[0].scale
    net(lamina.ones(2, 4)).sum().backward()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), pickle.loads(pickle.dumps(net, 4))):
        assert (other(lamina.ones(2, 4)) == net(lamina.ones(2, 4))).all()
        assert other[1].bias is other[0].scale and isinstance(other[0].scale, nn.Parameter)
        other[0].scale.detach().zero_()
        assert net[0].scale.all()
    deep = copy.deepcopy(net)
    for (name, p), (_, q) in zip(net.named_parameters(), deep.named_parameters(), strict=True):
        assert (p.grad == q.grad).all(), name


# ---- containers ----


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b, c)
    x = lamina.randn(4, 2)
    assert (net(x) == c(b(a(x)))).all()
    assert net[0] is a and net[-1] is c and len(net) == 3 and list(net) == [a, b, c]
    assert list(net[1:]) == [b, c] and isinstance(net[:2], nn.Sequential)
    del net[1]
    assert list(net) == [a, c] and list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    net.insert(1, b)
    net.append(nn.Tanh()).extend([nn.Identity()])
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear", "Tanh", "Identity"]
    assert isinstance(net.pop(), nn.Identity) and len(net + [b]) == 5
    named = nn.Sequential({"first": a, "second": b})
    assert named.first is a and list(named.state_dict()) == ["first.weight", "first.bias"]
    assert list(named[1:]._modules) == ["second"]
    del named[0]
    assert list(named._modules) == ["second"]
    with pytest.raises(IndexError, match="index 7 is out of range for 4"):
        net[7]


@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.ReLU(inplace=True), nn.Tanh(), nn.Sigmoid(), nn.Sigmoid(2.0), nn.GELU()]
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_activations_inside_a_linears_kernel_give_the_same_bits(activation, dtype, rows):
    net = nn.Sequential(nn.Linear(9, 33), activation, nn.Linear(33, 7, bias=False), nn.Linear(7, 3), activation)
    net.to(getattr(lamina, dtype))
    x = lamina.randn(rows, 9).to(getattr(lamina, dtype))
    results = []
    for apart in (False, True):
        if apart:
            for module in net:
                module.register_forward_hook(lambda *_: None)  # now each runs by itself
        net.zero_grad()
        y = net(x)
        y.sum().backward()
        results.append([y.detach(), *[p.grad for p in net.parameters()]])
    for a, b in zip(*results, strict=True):
        assert (a == b).all()


def test_module_list_and_dict():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    layers += [nn.ReLU()]
    layers[0] = nn.Identity()
    assert len(layers) == 4 and [type(m).__name__ for m in layers] == ["Identity", "Linear", "Linear", "ReLU"]
    assert len(list(layers.parameters())) == 4
    with pytest.raises(NotImplementedError, match="cannot be called"):
        layers(1)
    branches = nn.ModuleDict({"left": nn.Linear(2, 2), "right": nn.ReLU()})
    branches["middle"] = nn.Tanh()
    branches.update([("last", nn.Sigmoid())])
    assert list(branches) == branches.keys() == ["left", "right", "middle", "last"] and "left" in branches
    assert isinstance(branches.pop("right"), nn.ReLU) and len(branches) == 3 and branches.get("right") is None
    with pytest.raises(KeyError, match="has no 'right', only left, middle, last"):
        branches["right"]
    branches.clear()
    assert not branches.items() and not list(branches.parameters())


def test_parameter_list_and_dict():
    weights = nn.ParameterList([lamina.ones(2), nn.Parameter(lamina.zeros(3))])
    weights.append(lamina.ones(1))
    assert [tuple(p.shape) for p in weights] == [(2,), (3,), (1,)] and len(list(weights.parameters())) == 3
    assert list(weights.state_dict()) == ["0", "1", "2"] and "(1): Parameter of shape (3,), float32" in repr(weights)
    named = nn.ParameterDict({"a": lamina.ones(2)})
    named["b"] = lamina.zeros(1)
    assert list(named.state_dict()) == ["a", "b"] and all(isinstance(p, nn.Parameter) for p in named.values())


# ---- for people ----


def test_repr_counts_parameters():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), *[nn.Linear(8, 8) for _ in range(3)])
    assert repr(net) == (
        "Sequential(  # 256 parameters\n"
        "  (0): Linear(in_features=4, out_features=8, bias=True)  # 40\n"
        "  (1): ReLU()\n"
        "  (2-4): 3 x Linear(in_features=8, out_features=8, bias=True)  # 72\n"
        ")"
    )


def test_summary_runs_without_a_trace():
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    net[0].requires_grad_(False)
    before = lamina.get_rng_state()
    table = net.summary(lamina.ones(5, 4))
    assert net.training and net._hooks.forward == {} and (lamina.get_rng_state() == before).all()
    assert [row[2] for row in table.rows] == ["(5, 3)", "(5, 8)", "(5, 8)", "(5, 3)"]
    assert table.total_params == 67 and table.trainable_params == 27
    assert "67 parameters, 268 bytes; 27 trained, 40 frozen" in repr(table)


def test_parameters_share_the_memory_they_are_made_of():
    t = lamina.zeros(3)
    p = nn.Parameter(t)
    t.fill_(4)
    assert (p == 4).all() and p.requires_grad and not nn.Parameter(t, requires_grad=False).requires_grad
    assert "Parameter containing" in repr(p)
