#include "autograd/engine.h"
#include "bind/common.h"

namespace lamina::bind {
namespace {

// A Python callable that may be dropped on any thread.
std::shared_ptr<py::object> shared_callable(py::object f) {
  return {new py::object(std::move(f)), [](py::object* o) {
            if (!Py_IsInitialized()) return;
            py::gil_scoped_acquire gil;
            delete o;
          }};
}

Hook python_hook(py::object f, const char* node) {
  return [f = shared_callable(std::move(f)), node](const Tensor& grad) {
    py::gil_scoped_acquire gil;
    py::object result;
    try {
      result = (*f)(grad);
    } catch (py::error_already_set& e) {
      add_note(e, concat("in a hook on the gradient of ", node));
      throw;
    }
    if (result.is_none()) return Tensor();
    check_as(ErrorKind::type, is_tensor(result.ptr()), "a hook must return a Tensor or None, got ",
             Py_TYPE(result.ptr())->tp_name);
    return tensor_of(result.ptr());
  };
}

using MaybeTensors = std::vector<std::optional<Tensor>>;
std::vector<Tensor> or_undefined(const MaybeTensors& tensors) {
  std::vector<Tensor> out;
  for (const auto& t : tensors) out.push_back(t.value_or(Tensor()));
  return out;
}

}  // namespace

void bind_autograd(py::module_& m) {
  m.def(
      "_backward",
      [](const std::vector<Tensor>& tensors, const MaybeTensors& grads, bool retain_graph) {
        backward(tensors, or_undefined(grads), retain_graph);
      },
      py::arg("tensors"), py::arg("gradients"), py::arg("retain_graph"), ReleaseGil());
  m.def(
      "_backward_to",
      [](const std::vector<Tensor>& tensors, const MaybeTensors& grads, const std::vector<Tensor>& inputs,
         bool retain_graph) { backward_to(tensors, or_undefined(grads), inputs, retain_graph); },
      py::arg("tensors"), py::arg("gradients"), py::arg("inputs"), py::arg("retain_graph"), ReleaseGil());
  m.def(
      "_gradients",
      [](const std::vector<Tensor>& outputs, const MaybeTensors& grads, const std::vector<Tensor>& inputs,
         bool retain_graph) { return gradients("grad", outputs, or_undefined(grads), inputs, retain_graph); },
      py::arg("outputs"), py::arg("gradients"), py::arg("inputs"), py::arg("retain_graph"), ReleaseGil());
  m.def("is_grad_enabled", &grad_enabled);
  m.def("_set_grad_enabled", &set_grad_enabled, py::arg("mode"));
  py::class_<HookHandle>(m, "HookHandle", "What register_hook returns.").def("remove", &remove_hook);
  def_method(
      "register_hook",
      [](const Tensor& t, py::object hook) {
        check_as(ErrorKind::type, PyCallable_Check(hook.ptr()), "register_hook: expected a callable, got ",
                 Py_TYPE(hook.ptr())->tp_name);
        const Edge edge = gradient_edge(t);
        return add_hook(t, python_hook(std::move(hook), edge.node ? edge.node->name() : ""));
      },
      py::arg("hook"));
  def_method("detach_", [](const Tensor& t) { return forget_history(t), t; });
  def_method("retain_grad", &retain_grad);
  def_method(
      "requires_grad_", [](const Tensor& t, bool on) { return set_requires_grad(t, on), t; },
      py::arg("requires_grad") = true);
}

}  // namespace lamina::bind
