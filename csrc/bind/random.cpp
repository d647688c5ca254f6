#include "ops/random.h"

#include "autograd/node.h"
#include "bind/rows.h"

namespace lamina::bind {
namespace {

// Any integer of 64 bits, signed or not, is a seed.
std::uint64_t seed_from(const py::int_& seed) {
  int overflow;
  const long long as_signed = PyLong_AsLongLongAndOverflow(seed.ptr(), &overflow);
  if (!overflow) return static_cast<std::uint64_t>(as_signed);
  const unsigned long long as_unsigned = PyLong_AsUnsignedLongLong(seed.ptr());
  if (!PyErr_Occurred()) return as_unsigned;
  PyErr_Clear();
  fail(ErrorKind::value, "manual_seed: expected an integer between -2**63 and 2**64 - 1, got ",
       py::repr(seed).cast<std::string>());
}

void bind_generator(py::module_& m) {
  py::class_<Generator, std::shared_ptr<Generator>>(
      m, "Generator",
      "A source of random numbers: a seed and how far its stream is used up. A new one always "
      "starts from the same seed; lamina.default_generator starts from one of the system's.")
      .def(py::init([](Device device) { return std::make_shared<Generator>(device); }), py::arg("device") = Device{})
      .def(
          "manual_seed",
          [](std::shared_ptr<Generator> g, const py::int_& seed) { return g->manual_seed(seed_from(seed)), g; },
          py::arg("seed"), "Starts the stream of this seed from its beginning.")
      .def("seed", &Generator::seed, "Starts a stream that nobody can foresee and returns its seed.")
      .def("initial_seed", &Generator::initial_seed, "The seed of the current stream.")
      .def("get_state", &Generator::state, "The state as an int64 tensor: the seed, the next counter.")
      .def(
          "set_state", [](std::shared_ptr<Generator> g, const Tensor& state) { return g->set_state(state), g; },
          py::arg("new_state"))
      .def_property_readonly("device", &Generator::device)
      .def("__repr__", [](const Generator& g) {
        return concat("<lamina.Generator device='", g.device(), "' seed=", g.initial_seed(), ">");
      });
  m.def("_seed_default_generators", [](const py::int_& seed) { seed_default_generators(seed_from(seed)); });
  m.attr("default_generator") = std::shared_ptr<Generator>(&default_generator(), [](Generator*) {});
}

// x.name_(numbers…, generator=None), returning x. Numbers: as many doubles as `draw` takes.
template <class... Numbers>
struct Draw {
  template <class... Names>
  static void def(const char* name, void (*draw)(const Tensor&, Numbers..., Generator*), const Names&... names) {
    def_method(
        name, [draw](const Tensor& t, Numbers... numbers, Generator* g) { return draw(t, numbers..., g), t; }, names...,
        py::kw_only(), py::arg("generator") = py::none(), ReleaseGil());
  }
};

Generator* generator_of(const Arguments& a, int i) {
  PyObject* const given = a.get(i);
  if (!given) return nullptr;
  check_as(ErrorKind::type, py::isinstance<Generator>(given), a.function(), ": generator must be a Generator, got ",
           py::repr(given).cast<std::string>());
  return py::cast<Generator*>(py::handle(given));
}

using Draw2 = void (*)(const Tensor&, double, double, Generator*);

// x.uniform_(from, to), x.normal_(mean, std)
template <Draw2 draw>
PyObject* draw_in_place(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const double first = a.number(1, Scalar(0.0)).as_double(), second = a.number(2, Scalar(1.0)).as_double();
  Generator* const generator = generator_of(a, 3);
  {
    MaybeReleaseGil gil(x.numel());
    draw(x, first, second, generator);
  }
  return Py_NewRef(a.get(0));
}
constexpr CallRow kDraws[] = {
    {"uniform_", "from=0.0, to=1.0, *, generator=None", "Overwrites with uniform numbers in [from, to).",
     draw_in_place<uniform_>},
    {"normal_", "mean=0.0, std=1.0, *, generator=None", "Overwrites with normal numbers.", draw_in_place<normal_>},
};

// lamina.rand(*size, …), lamina.randn(*size, …)
template <Draw2 draw>
PyObject* drawn(const char* name, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded(name, [&] {
    const Arguments a(name, {"size", "generator", "dtype", "device", "requires_grad"}, 0, args + nargs, 0, keywords);
    PyObject* const size = a.get(0);
    const Dims shape = size ? sizes_from(name, &size, 1) : sizes_from(name, args, nargs);
    Generator* const generator = generator_of(a, 1);
    const Factory factory(a, 2);
    const Tensor t = empty(shape, factory.dtype.value_or(DType::f32), factory.device.value_or(Device{}));
    {
      MaybeReleaseGil gil(t.numel());
      draw(t, 0, 1, generator);
    }
    if (factory.requires_grad) set_requires_grad(t, true);
    return wrap(t);
  });
}
PyObject* rand(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return drawn<uniform_>("rand", args, nargs, keywords);
}
PyObject* randn(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return drawn<normal_>("randn", args, nargs, keywords);
}
constexpr const char* kDrawn = "*size, generator=None, dtype=float32, device='cpu', requires_grad=False";

}  // namespace

void bind_random(py::module_& m) {
  bind_generator(m);
  const auto generator = py::arg("generator") = py::none();

  add_methods<kDraws>();
  add_function(m, "rand", kDrawn, "Uniform numbers in [0, 1).", rand);
  add_function(m, "randn", kDrawn, "Normal numbers with mean 0 and standard deviation 1.", randn);
  Draw<double, double, double, double>::def("trunc_normal_", &truncated_normal_, py::arg("mean") = 0.0,
                                            py::arg("std") = 1.0, py::arg("a") = -2.0, py::arg("b") = 2.0);
  Draw<double>::def("exponential_", &exponential_, py::arg("lambd") = 1.0);
  def_method(
      "bernoulli_", [](const Tensor& t, const ArgHolder& p, Generator* g) { return bernoulli_(t, p, g), t; },
      py::arg("p") = 0.5, py::kw_only(), generator, ReleaseGil());
  // random_(), random_(to), random_(from, to). pybind11 tries an overload without positional arguments only once, and
  // then takes None for an optional but not for a pointer.
  def_method(
      "random_",
      [](const Tensor& t, std::optional<Generator*> g) {
        return integers_(t, 0, std::nullopt, g.value_or(nullptr)), t;
      },
      py::kw_only(), generator, ReleaseGil());
  def_method(
      "random_", [](const Tensor& t, std::int64_t to, Generator* g) { return integers_(t, 0, to, g), t; },
      py::arg("to"), py::kw_only(), generator, ReleaseGil());
  def_method(
      "random_",
      [](const Tensor& t, std::int64_t from, std::optional<std::int64_t> to, Generator* g) {
        return integers_(t, from, to, g), t;
      },
      py::arg("from"), py::arg("to"), py::kw_only(), generator, ReleaseGil());

  def_both(m, "bernoulli", &bernoulli, py::kw_only(), generator, ReleaseGil());
  def_both(m, "multinomial", &multinomial, py::arg("num_samples"), py::arg("replacement") = false, py::kw_only(),
           generator, ReleaseGil());
  m.def(
      "_normal", [](const ArgHolder& mean, const ArgHolder& std, Generator* g) { return normal(mean, std, g); },
      py::arg("mean"), py::arg("std"), generator, ReleaseGil());
  m.def("_randperm", &permutation, py::arg("n"), py::arg("dtype"), py::arg("device"), generator, ReleaseGil());

  m.def("dropout", &dropout, py::arg("input"), py::arg("p") = 0.5, py::arg("train") = true, py::kw_only(), generator,
        ReleaseGil(), "Zeroes each element with probability p and scales the others by 1 / (1 - p).");
  m.def(
      "dropout_", [](const Tensor& x, double p, bool train, Generator* g) { return dropout_(x, p, train, g), x; },
      py::arg("input"), py::arg("p") = 0.5, py::arg("train") = true, py::kw_only(), generator, ReleaseGil(),
      "dropout in place.");
  m.def("_dropout_shared", &dropout_shared, py::arg("input"), py::arg("p"), py::arg("train"), py::arg("mask_shape"),
        generator, ReleaseGil());
}

}  // namespace lamina::bind
