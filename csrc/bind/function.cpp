// Operations written in Python (lamina.autograd.Function): a node whose backward is a Python method.
#include <set>
#include <string>

#include "autograd/node.h"
#include "bind/common.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

// What a gradient must look like; nothing for arguments that are no tensors.
struct Like {
  bool tensor = false;
  Dims shape;
  DType dtype = DType::f32;
};
Like like(const py::handle& o) {
  if (!is_tensor(o.ptr())) return {};
  const Tensor& t = tensor_of(o.ptr());
  return {true, t.shape(), t.dtype()};
}

class PythonBackward {
 public:
  PythonBackward(const char* name, py::object method, py::object ctx, std::vector<Like> inputs,
                 std::vector<Like> outputs)
      : name_(name),
        held_(new Held{std::move(method), std::move(ctx)}, &drop),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)) {}

  void operator()(Gradients& g) const {
    py::gil_scoped_acquire gil;
    try {
      run(g);
    } catch (py::error_already_set& e) {  // keeps its type and traceback, and says where it came from
      add_note(e, concat("in the backward of ", name_));
      throw;
    }
  }

 private:
  struct Held {
    py::object method, ctx;
  };
  static void drop(Held* held) {  // on whatever thread the graph dies
    if (!Py_IsInitialized()) return;
    py::gil_scoped_acquire gil;
    delete held;
  }

  void run(Gradients& g) const {
    const bool materialize = held_->ctx.attr("_materialize").cast<bool>();
    py::tuple arguments(outputs_.size() + 1);
    arguments[0] = held_->ctx;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const Tensor& grad = g.of_output(static_cast<int>(i));
      const bool missing = !grad.defined() && materialize && outputs_[i].tensor;
      arguments[i + 1] = missing ? full(outputs_[i].shape, Scalar(0), outputs_[i].dtype) : grad;
    }
    py::object result = py::reinterpret_steal<py::object>(PyObject_Call(held_->method.ptr(), arguments.ptr(), nullptr));
    if (!result) throw py::error_already_set();
    if (!py::isinstance<py::tuple>(result)) result = py::make_tuple(result);
    give(g, result);
  }

  void give(Gradients& g, const py::tuple& grads) const {
    std::size_t count = grads.size();
    while (count > inputs_.size() && grads[count - 1].is_none()) --count;
    check_as(ErrorKind::runtime, count == inputs_.size(), "backward must return one gradient or None for each of the ",
             inputs_.size(), " arguments of forward, it returned ", grads.size());
    for (std::size_t i = 0; i < count; ++i) {
      const py::object o = grads[i];
      if (o.is_none()) continue;
      check_as(ErrorKind::type, is_tensor(o.ptr()), "gradient ", i, " must be a Tensor or None, got ",
               Py_TYPE(o.ptr())->tp_name);
      check_as(ErrorKind::runtime, inputs_[i].tensor, "gradient ", i, " must be None, for argument ", i,
               " of forward is no tensor");
      const Tensor& grad = tensor_of(o.ptr());
      check_as(ErrorKind::runtime, grad.shape() == inputs_[i].shape, "gradient ", i, " has shape ", grad.shape(),
               ", but argument ", i, " of forward has shape ", inputs_[i].shape);
      if (g.wants(static_cast<int>(i))) g.give(static_cast<int>(i), lamina::to_dtype(grad, inputs_[i].dtype));
    }
  }

  const char* name_;
  std::shared_ptr<Held> held_;
  std::vector<Like> inputs_, outputs_;
};

// Nodes keep a plain pointer to their name; there are as many as Functions were written.
const char* interned(const std::string& name) {
  static std::set<std::string> names;
  return names.insert(name).first->c_str();
}

bool contains(const py::sequence& objects, const py::handle& o) {
  for (const py::handle& each : objects)
    if (each.is(o)) return true;
  return false;
}

// Gives the outputs of a forward their history; returns them as forward did, one or a tuple.
py::object record_function(const py::object& function, const py::object& ctx, const py::tuple& args,
                           const py::object& result) {
  const bool single = !py::isinstance<py::tuple>(result);
  const py::tuple returned = single ? py::make_tuple(result) : py::tuple(result);
  const py::tuple constant = ctx.attr("_constant");
  py::list outputs;
  std::vector<Tensor> recorded, inputs;
  std::vector<Like> out_like, in_like;
  for (const py::handle& o : returned) {
    const bool tensor = is_tensor(o.ptr());
    // History belongs to a tensor of its own, not to an input passed through.
    const bool passed_on = tensor && (tensor_of(o.ptr()).requires_grad() || contains(args, o));
    const py::object output = passed_on ? py::cast(detach(tensor_of(o.ptr()))) : py::reinterpret_borrow<py::object>(o);
    const bool differentiable = tensor && is_floating(tensor_of(o.ptr()).dtype()) && !contains(constant, o);
    outputs.append(output);
    recorded.push_back(differentiable ? tensor_of(output.ptr()) : Tensor());
    out_like.push_back(differentiable ? like(output) : Like{});
  }
  for (const py::handle& o : args) {
    inputs.push_back(is_tensor(o.ptr()) ? tensor_of(o.ptr()) : Tensor());
    in_like.push_back(like(o));
  }
  // An output that was saved would own its own history.
  const py::tuple saved = ctx.attr("_saved");
  py::list kept;
  for (const py::handle& s : saved)
    kept.append(contains(outputs, s) && !s.is_none() ? py::cast(detach(tensor_of(s.ptr())))
                                                     : py::reinterpret_borrow<py::object>(s));
  ctx.attr("_saved") = py::tuple(kept);

  bool any = false;
  for (const Tensor& t : recorded) any |= t.defined();
  if (any) {
    const char* name = interned(function.attr("__name__").cast<std::string>());
    record(name, recorded, inputs,
           PythonBackward(name, function.attr("backward"), ctx, std::move(in_like), std::move(out_like)));
  }
  return single ? py::object(outputs[0]) : py::object(py::tuple(outputs));
}

}  // namespace

void bind_function(py::module_& m) {
  m.def("_record_function", &record_function, py::arg("function"), py::arg("ctx"), py::arg("args"), py::arg("result"));
}

}  // namespace lamina::bind
