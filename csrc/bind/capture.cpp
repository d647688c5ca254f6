// Captured steps: the arguments they are called with, the recording, the results.
#include <chrono>
#include <mutex>

#include "autograd/node.h"
#include "bind/common.h"
#include "core/stream.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

// ---- nests: tensors and constants in tuples, lists and dicts ----

struct Nest {
  enum class Kind { tensor, constant, tuple, list, dict } kind = Kind::constant;
  Tensor tensor;
  py::object object;  // the constant; the type of a tuple
  std::vector<Nest> items;
  std::vector<py::object> keys;
};

bool is_named_tuple(PyObject* o) { return PyTuple_Check(o) && PyObject_HasAttrString(o, "_fields"); }
bool is_tuple(PyObject* o) { return PyTuple_CheckExact(o) || is_named_tuple(o); }

// `leaf(o, path, nest)` makes a nest of what is no container.
template <class Leaf>
Nest read_nest(PyObject* o, const std::string& path, const Leaf& leaf) {
  Nest n;
  const auto add = [&](PyObject* item, const std::string& key) {
    n.items.push_back(read_nest(item, concat(path, "[", key, "]"), leaf));
  };
  if (is_tuple(o)) {
    n.kind = Nest::Kind::tuple;
    n.object = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(Py_TYPE(o)));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); ++i) add(PyTuple_GET_ITEM(o, i), std::to_string(i));
  } else if (PyList_CheckExact(o)) {
    n.kind = Nest::Kind::list;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(o); ++i) add(PyList_GET_ITEM(o, i), std::to_string(i));
  } else if (PyDict_CheckExact(o)) {
    n.kind = Nest::Kind::dict;
    for (const auto& [key, item] : py::reinterpret_borrow<py::dict>(o)) {
      n.keys.push_back(py::reinterpret_borrow<py::object>(key));
      add(item.ptr(), std::string(py::repr(key)));
    }
  } else {
    leaf(o, path, n);
  }
  return n;
}

template <class Make>
py::object rebuild(const Nest& n, const Make& make) {
  switch (n.kind) {
    case Nest::Kind::tensor: return py::reinterpret_steal<py::object>(make(n.tensor));
    case Nest::Kind::constant: return n.object;
    case Nest::Kind::list: {
      py::list list(n.items.size());
      for (std::size_t i = 0; i < n.items.size(); ++i) list[i] = rebuild(n.items[i], make);
      return list;
    }
    case Nest::Kind::dict: {
      py::dict dict;
      for (std::size_t i = 0; i < n.items.size(); ++i) dict[n.keys[i]] = rebuild(n.items[i], make);
      return dict;
    }
    case Nest::Kind::tuple: break;
  }
  py::tuple tuple(n.items.size());
  for (std::size_t i = 0; i < n.items.size(); ++i) tuple[i] = rebuild(n.items[i], make);
  if (n.object.is(py::type::of(tuple))) return tuple;
  return n.object(*tuple);
}

void gather_tensors(const Nest& n, std::vector<Tensor>& out) {
  if (n.kind == Nest::Kind::tensor) out.push_back(n.tensor);
  for (const Nest& item : n.items) gather_tensors(item, out);
}

void describe(const Nest& n, std::string& out) {
  const auto list = [&](const char* open, const char* close) {
    out += open;
    for (std::size_t i = 0; i < n.items.size(); ++i) {
      if (i > 0) out += ", ";
      if (!n.keys.empty()) out += concat(py::str(n.keys[i]).cast<std::string>(), "=");
      describe(n.items[i], out);
    }
    out += close;
  };
  switch (n.kind) {
    case Nest::Kind::tensor: out += concat(name_of(n.tensor.dtype()), n.tensor.shape()); break;
    case Nest::Kind::constant: {
      const auto text = py::repr(n.object).cast<std::string>();
      out += text.size() <= 40 ? text : concat("<", Py_TYPE(n.object.ptr())->tp_name, ">");
      break;
    }
    case Nest::Kind::tuple: return list("(", ")");
    case Nest::Kind::list: return list("[", "]");
    case Nest::Kind::dict: return list("{", "}");
  }
}

// ---- arguments ----

void read_argument(PyObject* o, const std::string& path, Nest& n) {
  if (is_tensor(o) || looks_like_array(o)) {
    n.kind = Nest::Kind::tensor;
    n.tensor = is_tensor(o) ? tensor_of(o) : tensor_from_buffer(o);
    check(!n.tensor.requires_grad(), "capture: argument ", path,
          " requires grad, but a captured step works on copies of its arguments, so that a gradient or an update would "
          "be "
          "lost; let the step use the parameter directly, or pass detach()");
    return;
  }
  n.object = py::reinterpret_borrow<py::object>(o);
  if (PyObject_Hash(o) != -1) return;
  PyErr_Clear();
  fail(ErrorKind::type, "capture: argument ", path, " is of type ", Py_TYPE(o)->tp_name,
       "; expected tensors, arrays, hashable constants, and tuples, lists and dicts of them");
}

bool same_constant(PyObject* a, PyObject* b) {
  if (a == b) return true;
  if (Py_TYPE(a) != Py_TYPE(b)) return false;
  if (PyFloat_CheckExact(a)) {  // NaN is NaN, and 0 is not -0
    const double x = PyFloat_AS_DOUBLE(a), y = PyFloat_AS_DOUBLE(b);
    return std::memcmp(&x, &y, sizeof x) == 0;
  }
  const int equal = PyObject_RichCompareBool(a, b, Py_EQ);
  if (equal < 0) throw py::error_already_set();
  return equal == 1;
}

struct Source {
  const Tensor* fixed;
  Tensor given;
};

// Is `o` what the step was recorded for? Gathers what must be copied before a replay.
bool matches(const Nest& n, PyObject* o, std::vector<Source>& sources) {
  switch (n.kind) {
    case Nest::Kind::tensor: {
      if (!is_tensor(o) && !looks_like_array(o)) return false;
      const Tensor t = is_tensor(o) ? tensor_of(o) : tensor_from_buffer(o);
      if (t.dtype() != n.tensor.dtype() || t.shape() != n.tensor.shape() || !(t.device() == n.tensor.device()) ||
          t.requires_grad())
        return false;
      sources.push_back({&n.tensor, t});
      return true;
    }
    case Nest::Kind::constant: return same_constant(n.object.ptr(), o);
    case Nest::Kind::tuple: {
      if (reinterpret_cast<PyObject*>(Py_TYPE(o)) != n.object.ptr()) return false;
      if (static_cast<std::size_t>(PyTuple_GET_SIZE(o)) != n.items.size()) return false;
      for (std::size_t i = 0; i < n.items.size(); ++i)
        if (!matches(n.items[i], PyTuple_GET_ITEM(o, static_cast<Py_ssize_t>(i)), sources)) return false;
      return true;
    }
    case Nest::Kind::list: {
      if (!PyList_CheckExact(o) || static_cast<std::size_t>(PyList_GET_SIZE(o)) != n.items.size()) return false;
      for (std::size_t i = 0; i < n.items.size(); ++i)
        if (!matches(n.items[i], PyList_GET_ITEM(o, static_cast<Py_ssize_t>(i)), sources)) return false;
      return true;
    }
    case Nest::Kind::dict: break;
  }
  if (!PyDict_CheckExact(o) || static_cast<std::size_t>(PyDict_GET_SIZE(o)) != n.items.size()) return false;
  for (std::size_t i = 0; i < n.items.size(); ++i) {
    PyObject* item = PyDict_GetItemWithError(o, n.keys[i].ptr());
    if (!item && PyErr_Occurred()) throw py::error_already_set();
    if (!item || !matches(n.items[i], item, sources)) return false;
  }
  return true;
}

// ---- one recorded step ----

class Step {
 public:
  void open() {
    check_as(ErrorKind::runtime, !open_recording(),
             "capture: a step is being recorded on this thread already; a captured step cannot run inside another");
    recording_ = std::make_unique<Recording>(grad_enabled());
    grad_mode_ = grad_enabled();
    current_stream().set_recording(recording_.get());
  }
  void close(bool failed) {
    current_stream().set_recording(nullptr);
    if (failed) return recording_.reset();
    recording_->finish();
  }
  const Recording& recording() const {
    check_as(ErrorKind::runtime, recording_ && current_stream().recording() != recording_.get(),
             "nothing is recorded yet");
    return *recording_;
  }
  Recording& recording() { return const_cast<Recording&>(std::as_const(*this).recording()); }

  // The same arguments with fixed buffers in the place of tensors and arrays; called while the recording is open.
  py::object take_arguments(const py::tuple& args, const py::dict& kwargs) {
    const py::tuple both = py::make_tuple(args, kwargs);
    arguments_ = read_nest(both.ptr(), "", [](PyObject* o, const std::string& path, Nest& n) {
      read_argument(o, path.substr(3), n);  // without the [0] or [1] of `both`
      if (n.kind != Nest::Kind::tensor) return;
      const Tensor given = detach(n.tensor), fixed = empty(given.shape(), given.dtype(), given.device());
      const Unrecorded beside;
      write_copy(fixed, given);
      n.tensor = fixed;
    });
    return rebuild(arguments_, [](const Tensor& t) { return wrap(t); });
  }

  // What the step returned. Histories end here: a replay makes none.
  void take_results(PyObject* results) {
    results_ = read_nest(results, "", [](PyObject* o, const std::string&, Nest& n) {
      if (!is_tensor(o)) return void(n.object = py::reinterpret_borrow<py::object>(o));
      n.kind = Nest::Kind::tensor;
      n.tensor = tensor_of(o).impl()->grad_fn ? detach(tensor_of(o)) : tensor_of(o);
    });
    std::vector<Tensor> fixed;
    gather_tensors(arguments_, fixed);
    for (const Tensor& t : fixed)
      check_as(
          ErrorKind::runtime, t.version() == 0, "capture: the step changed an argument of shape ", t.shape(),
          " in place, but it works on a copy, so that the caller would not see it; clone() the argument, or let the "
          "step use the tensor directly");
  }
  py::object results(bool copied) const {
    return rebuild(results_, [&](const Tensor& t) {
      return wrap(copied && t.storage().home() == &recording_->memory() ? clone(detach(t)) : t);
    });
  }
  std::size_t survivors() const {
    std::vector<Tensor> expected;
    gather_tensors(arguments_, expected);
    gather_tensors(results_, expected);
    return recording().survivors(expected);
  }
  // What Python does after each replay: schedules.
  void at_the_end(const py::object& call) { at_the_end_.push_back(call); }
  void watch(const py::object& module) { flags_.emplace_back(module, module.attr("training")); }

  bool fits(PyObject* args, PyObject* kwargs, std::vector<Source>& sources) const {
    if (grad_mode_ != grad_enabled()) return false;
    if (!matches(arguments_.items[0], args, sources) || !matches(arguments_.items[1], kwargs, sources)) return false;
    static PyObject* const training = PyUnicode_InternFromString("training");
    for (const auto& [module, flag] : flags_) {
      const auto now = py::reinterpret_steal<py::object>(PyObject_GetAttr(module.ptr(), training));
      if (!now.is(flag)) return PyErr_Clear(), false;
    }
    return recording_->grads_are_as_found();
  }

  py::object run(const std::vector<Source>& sources, bool copied) {
    // Whoever waits for another thread's replay must not hold what that thread needs to end it.
    std::unique_lock lock(running_, std::try_to_lock);
    if (!lock) {
      const py::gil_scoped_release waiting;
      lock.lock();
    }
    for (const Source& s : sources) write_copy(*s.fixed, s.given);
    const auto start = std::chrono::steady_clock::now();
    if (long_) {
      const py::gil_scoped_release others;
      recording_->replay();
    } else {
      recording_->replay();
    }
    long_ = std::chrono::steady_clock::now() - start > kWorthReleasing;
    py::object returned = results(copied);
    lock.unlock();
    for (const py::object& call : at_the_end_) call();
    return returned;
  }

  std::string signature() const {
    std::string out;
    describe(arguments_.items[0], out);
    if (!arguments_.items[1].items.empty()) describe(arguments_.items[1], out);
    return out;
  }

 private:
  // A thread that gives up Python's lock may wait milliseconds to have it back.
  static constexpr auto kWorthReleasing = std::chrono::milliseconds(1);

  std::unique_ptr<Recording> recording_;
  Nest arguments_, results_;
  std::vector<std::pair<py::object, py::object>> flags_;
  std::vector<py::object> at_the_end_;
  bool grad_mode_ = true;
  bool long_ = false;
  std::mutex running_;
};

// _replay(steps, args, kwargs, copied): the results of the first step recorded for such arguments, or NotImplemented.
PyObject* replay(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return guarded([&]() -> PyObject* {
    check_as(ErrorKind::type, count == 4 && PyList_Check(args[0]) && PyTuple_Check(args[1]) && PyDict_Check(args[2]),
             "_replay: expected a list, a tuple, a dict and a bool");
    check_as(ErrorKind::runtime, !open_recording(),
             "capture: a step is being recorded on this thread; a captured step cannot run inside another");
    const py::list steps = py::reinterpret_borrow<py::list>(args[0]);
    std::vector<Source> sources;
    for (const py::handle step : steps) {
      sources.clear();
      auto* s = step.cast<Step*>();
      const py::object alive = py::reinterpret_borrow<py::object>(step);
      if (s->fits(args[1], args[2], sources)) return s->run(sources, args[3] == Py_True).release().ptr();
    }
    return Py_NewRef(Py_NotImplemented);
  });
}

PyMethodDef functions[] = {
    {"_replay", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(replay)), METH_FASTCALL,
     "_replay(steps, args, kwargs, copied, /)\n--\n\n"
     "The results of the first step that was recorded for such arguments, or NotImplemented."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void bind_capture(py::module_& m) {
  py::class_<Step>(m, "_Recording", "Opened with `with`; everything launched inside on this thread is written down.")
      .def(py::init())
      .def(
          "__enter__", [](Step& s) -> Step& { return s.open(), s; }, py::return_value_policy::reference)
      .def("__exit__", [](Step& s, const py::object& kind, const py::args&) { s.close(!kind.is_none()); })
      .def("__len__", [](const Step& s) { return s.recording().size(); })
      .def(
          "replay", [](Step& s) { s.recording().replay(); }, ReleaseGil())
      .def("take_arguments", &Step::take_arguments, py::arg("args"), py::arg("kwargs"))
      .def(
          "take_results", [](Step& s, const py::object& results) { s.take_results(results.ptr()); }, py::arg("results"))
      .def("results", &Step::results, py::arg("copied"))
      .def(
          "timings", [](Step& s, int replays) { return s.recording().timings(replays); }, py::arg("replays"))
      .def("at_the_end", &Step::at_the_end, py::arg("call"))
      .def("watch", &Step::watch, py::arg("module"))
      .def_property_readonly("survivors", &Step::survivors)
      .def_property_readonly("signature", &Step::signature)
      .def_property_readonly("memory", [](const Step& s) { return s.recording().memory().bytes(); });
  m.def("_is_recording", [] { return open_recording() != nullptr; });
  if (PyModule_AddFunctions(m.ptr(), functions) != 0) throw py::error_already_set();
}

}  // namespace lamina::bind
