"""What all optimisers share: parameter groups, the step, saving and loading."""

from __future__ import annotations

from lamina import _C, _capture
from lamina._C import Tensor
from lamina._capture import is_capturing
from lamina.autograd.grad_mode import enable_grad, no_grad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, ClassVar, TypedDict

    class Others(TypedDict, total=False):
        """Options of every optimiser that none names among its arguments."""

        maximize: bool
        l1: float
        max_norm: float | None
        max_norm_per_tensor: bool
        foreach: bool | None
        fused: bool | None
        capturable: bool

    class Common(Others, total=False):
        """Options of every optimiser."""

        decoupled_weight_decay: bool


__all__ = ["Optimizer", "ParamGroup"]

_COMMON: dict[str, Any] = {
    "maximize": False,
    "l1": 0.0,
    "decoupled_weight_decay": False,
    "max_norm": None,
    "max_norm_per_tensor": False,
}
_IGNORED = ("foreach", "fused", "capturable")  # PyTorch's ways to be fast: here there is one way, and it is
_EXTRA = (
    "name",
    "initial_lr",
    "max_lr",
    "min_lr",
    "max_momentum",
    "base_momentum",
)  # allowed in a group beside options

_FRACTIONS = ("alpha", "rho", "betas")
_FLAGS = (
    "maximize", "decoupled_weight_decay", "max_norm_per_tensor", "amsgrad", "centered", "lr_in_momentum",
    "eps_inside_sqrt",
)  # fmt: skip
_NONNEGATIVE = (
    "lr", "weight_decay", "l1", "eps", "momentum", "lr_decay", "momentum_decay", "max_norm", "initial_accumulator_value",
)  # fmt: skip
_IN_KERNELS = ({*_NONNEGATIVE, *_FLAGS, *_FRACTIONS, "dampening", "nesterov"}) - {"initial_accumulator_value"}
_SPELLED: dict[str, tuple[str, ...]] = {"betas": ("beta1", "beta2"), "alpha": ("beta2",), "rho": ("beta2",)}


def _number(owner: str, option: str, value: Any) -> Any:
    """The value of an option, checked and as plain Python numbers."""
    if option in _FLAGS:
        if not isinstance(value, bool):
            raise TypeError(f"{owner}: {option} must be True or False, got {value!r}")
        return value
    if option == "betas":
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise TypeError(f"{owner}: betas must be two numbers, got {value!r}")
        return tuple(_fraction(owner, option, beta) for beta in value)
    if option in _FRACTIONS:
        return _fraction(owner, option, value)
    if option == "max_norm" and value is None:
        return None
    if option in _NONNEGATIVE or option == "dampening":
        number = _real(owner, option, value)
        if option in _NONNEGATIVE and not number >= 0:
            raise ValueError(f"{owner}: {option} must be 0 or more, got {value!r}")
        return number
    return value


def _real(owner: str, option: str, value: Any) -> float:
    try:
        if isinstance(value, str):  # float() would read it
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{owner}: {option} must be a number, got {value!r}") from None


def _fraction(owner: str, option: str, value: Any) -> float:
    number = _real(owner, option, value)
    if not 0 <= number < 1:
        raise ValueError(f"{owner}: {option} must be at least 0 and below 1, got {value!r}")
    return number


class ParamGroup(dict[str, "Any"]):
    """The options of one group of parameters; assigning to one changes the steps to come, captured ones too."""

    _engine: _C._OptimGroup | None = None
    _owner = ""

    def __setitem__(self, option: str, value: Any) -> None:
        if option == "params" and self._engine is not None:
            raise KeyError(f"{self._owner}: the parameters of a group cannot be exchanged; use add_param_group")
        value = _number(self._owner, option, value)
        if self._engine is not None:
            if is_capturing():
                raise RuntimeError(
                    f"{self._owner}: {option} cannot be set inside a captured step, every replay would set it to {value!r} "
                    "again; set it between the calls"
                )
            for name, number in self._numbers(option, value):
                self._engine.set(name, number)
        super().__setitem__(option, value)

    def update(self, *args: Any, **options: Any) -> None:
        for option, value in dict(*args, **options).items():
            self[option] = value

    def setdefault(self, option: str, default: Any = None) -> Any:
        if option not in self:
            self[option] = default
        return self[option]

    @staticmethod
    def _numbers(option: str, value: Any) -> Iterator[tuple[str, float]]:
        """The numbers that the kernels read for an option; none for what only Python knows."""
        if option not in _IN_KERNELS:
            return
        values = value if isinstance(value, tuple) else (value,)
        for name, number in zip(_SPELLED.get(option, (option,)), values, strict=True):
            yield name, float(number is True if option == "nesterov" else number or 0)

    def _start(self, rule: str) -> _C._OptimGroup:
        numbers = dict(pair for option, value in self.items() for pair in self._numbers(option, value))
        self._engine = _C._OptimGroup(rule, numbers, self["params"])
        return self._engine


class _States:
    """optimizer.state[parameter]: a dict of the parameter's state, whose tensors are the optimiser's own."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    def __getitem__(self, parameter: Tensor) -> dict[str, Any]:
        for group, engine in zip(self._optimizer.param_groups, self._optimizer._engines, strict=True):
            for i, p in enumerate(group["params"]):
                if p is parameter:
                    return self._optimizer._state_of(engine, i, *engine.counts()[i])
        raise KeyError(f"{type(self._optimizer).__name__}: this tensor is not one of its parameters")

    def __iter__(self) -> Iterator[Tensor]:
        return (p for group in self._optimizer.param_groups for p in group["params"])

    def __len__(self) -> int:
        return sum(len(group["params"]) for group in self._optimizer.param_groups)

    def __contains__(self, parameter: object) -> bool:
        return any(parameter is p for p in self)

    def items(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        return ((p, self[p]) for p in self)


class Optimizer:
    """The base of all optimisers: `rule` names the kernel, `states` what it keeps for every parameter.

    Every optimiser knows these options, for all its parameters or group by group: `weight_decay`, L2 as part of the
    gradient, or beside it with `decoupled_weight_decay`; `l1`, likewise (both: the elastic net); `max_norm`, to which
    the norm of every row of a weight is scaled down after a step, or with `max_norm_per_tensor` of every parameter as a
    whole; `maximize`.
    """

    rule: ClassVar[str]
    states: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Any, defaults: dict[str, Any], common: Mapping[str, Any]) -> None:
        name = type(self).__name__
        for option in common:
            if option not in _COMMON and option not in _IGNORED:
                raise TypeError(f"{name}: unknown option {option!r}")
        given = {option: value for option, value in common.items() if option in _COMMON}
        self.defaults: dict[str, Any] = {
            option: _number(name, option, value) for option, value in (_COMMON | defaults | given).items()
        }
        self.param_groups: list[ParamGroup] = []
        self._engines: list[_C._OptimGroup] = []
        if isinstance(params, Tensor):
            raise TypeError(
                f"{name}: expected an iterable of parameters or of groups, got a single tensor; wrap it in []"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{name}: there are no parameters to train")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Trains further parameters: {"params": …, option: value …}; options left out have the optimiser's defaults."""
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"{name}: a parameter group must be a dict with 'params', got {param_group!r}")
        for option in param_group:
            if option != "params" and option not in self.defaults and option not in _EXTRA + _IGNORED:
                raise ValueError(
                    f"{name}: unknown option {option!r} in a parameter group; it knows {', '.join(self.defaults)}"
                )
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        params = [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in params]  # named_parameters()
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: parameter {i} of a group must be a Tensor, got {type(p).__name__}")
            if any(p is other for group in self.param_groups for other in group["params"]):
                raise ValueError(f"{name}: parameter {i} of shape {p.shape} is already in another group")
        group = ParamGroup()
        group._owner = name
        group["params"] = params
        for option, value in (self.defaults | param_group).items():
            if option != "params":
                group[option] = value
        self._check(group)
        self._engines.append(group._start(self.rule))
        self.param_groups.append(group)

    def _check(self, group: ParamGroup) -> None:
        """Options that must fit each other."""

    @property
    def state(self) -> _States:
        """state[parameter]["exp_avg"] …: what the optimiser keeps for a parameter. Writing to the tensors changes it."""
        return _States(self)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient. closure: recomputes the loss and its gradients; returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if _capture.at_the_end and any(of is self for of, _ in _capture.at_the_end):
            raise RuntimeError(
                f"{type(self).__name__}: step() after its schedule's in a captured function, where a schedule takes effect "
                "only at the end; call the schedule's step() last"
            )
        for engine in self._engines:
            engine.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or sets them to zero."""
        for engine in self._engines:
            engine.zero_grad(set_to_none)

    # ---- saving and loading ----

    def _state_of(self, engine: _C._OptimGroup, i: int, step: float, memory: float) -> dict[str, Any]:
        if step == 0:
            return {}
        tensors = ((name, engine.state(i, k)) for k, name in enumerate(self.states))
        return {"step": _C.tensor(step)} | {name: t for name, t in tensors if t is not None}

    def _counts_of(self, state: Mapping[str, Any]) -> tuple[float, float]:
        return (float(state["step"]), 0.0) if state else (0.0, 0.0)

    def _initial(self, group: ParamGroup) -> float:
        """What states begin with."""
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's layout: "state" by the parameter's number, "param_groups" with their options and numbers."""
        state: dict[int, dict[str, Any]] = {}
        groups: list[dict[str, Any]] = []
        first = 0
        for group, engine in zip(self.param_groups, self._engines, strict=True):
            numbers = range(first, first := first + len(group["params"]))
            groups.append({option: value for option, value in group.items() if option != "params"})
            groups[-1]["params"] = list(numbers)
            for i, (number, counts) in enumerate(zip(numbers, engine.counts(), strict=True)):
                if own := self._state_of(engine, i, *counts):
                    state[number] = own
        return {"state": state, "param_groups": groups}

    @no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copies what state_dict() of an optimiser of the same kind, ours or PyTorch's, has returned. All or nothing."""
        name = type(self).__name__
        if not hasattr(state_dict, "keys") or not {"state", "param_groups"} <= set(state_dict.keys()):
            raise ValueError(f"{name}: expected a mapping with 'state' and 'param_groups', as state_dict() returns it")
        groups, states = state_dict["param_groups"], state_dict["state"]
        sizes = [len(group["params"]) for group in self.param_groups], [len(group["params"]) for group in groups]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"{name}: this state is of groups with {sizes[1]} parameters, the optimizer's have {sizes[0]}"
            )
        loads = []
        for group, saved in zip(self.param_groups, groups, strict=True):
            found = [states.get(key, states.get(str(key), {})) for key in saved["params"]]
            options = {option: value for option, value in saved.items() if option in self.defaults or option in _EXTRA}
            trial = ParamGroup(group)  # without an engine: only checks
            trial._owner = name
            trial.update({option: value for option, value in options.items() if option != "params"})
            self._check(trial)
            for p, own in zip(group["params"], found, strict=True):
                self._check_state(p, own)
            loads.append((group, options, found))

        for (group, options, found), engine in zip(loads, self._engines, strict=True):
            group.update(options)
            for i, own in enumerate(found):
                for k, state_name in enumerate(self.states):
                    target = engine.state(i, k)
                    if target is None:
                        continue
                    value = own.get(state_name)
                    if value is None:
                        target.fill_(self._initial(group))
                    else:
                        target.copy_(_as_tensor(value))
            engine.set_counts([self._counts_of(own) for own in found])

    def _check_state(self, parameter: Tensor, state: Mapping[str, Any]) -> None:
        name = type(self).__name__
        for state_name in self.states:
            value = state.get(state_name)
            if value is not None and tuple(value.shape) != parameter.shape:
                raise ValueError(
                    f"{name}: {state_name} of shape {tuple(value.shape)} for a parameter of shape {parameter.shape}; "
                    "nothing was loaded"
                )
        try:
            self._counts_of(state)
        except KeyError as error:
            raise ValueError(f"{name}: a parameter's state lacks {error}; nothing was loaded") from None

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}("]
        for i, group in enumerate(self.param_groups):
            params: Iterable[Tensor] = group["params"]
            count = len(group["params"])
            numbers = sum(p.numel() for p in params)
            title = group.get("name", f"group {i}")
            lines.append(f"  {title}: {count} parameter{'s' * (count != 1)}, {numbers:,} numbers")
            shown = ((k, v) for k, v in group.items() if k not in ("params", "name") and v not in (0, None))
            lines.append("    " + ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in shown))
        return "\n".join([*lines, ")"])


def _as_tensor(value: Any) -> Tensor:
    """Ours as they are, other frameworks' and NumPy's without a copy."""
    if isinstance(value, Tensor):
        return value.detach()
    return _C.from_dlpack(value.detach() if hasattr(value, "detach") else value)
