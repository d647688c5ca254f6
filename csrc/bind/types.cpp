// dtype and device objects, the named tuple (values, indices), and the conversions of numbers and shapes.
#include <array>
#include <cstring>
#include <string>

#include "bind/common.h"

namespace lamina::bind {
namespace {

struct DTypeObject {
  DType value;
};
std::array<PyObject*, kDTypeCount> dtype_objects{};
PyObject* cpu_device = nullptr;
PyTypeObject* values_indices_type = nullptr;

bool dtype_from_name(const char* name, DType& out) {
  for (int i = 0; i < kDTypeCount; ++i)
    if (!std::strcmp(name, name_of(static_cast<DType>(i)))) {
      out = static_cast<DType>(i);
      return true;
    }
  return false;
}

std::string device_string(Device d) { return concat(d); }

}  // namespace

const char* text_of(PyObject* str) {
  const char* text = PyUnicode_AsUTF8(str);
  if (!text) throw py::error_already_set();
  return text;
}

PyObject* wrap(DType t) { return Py_NewRef(dtype_objects[static_cast<int>(t)]); }

PyObject* wrap(Device d) {
  if (d == Device{}) return Py_NewRef(cpu_device);
  return py::detail::type_caster_base<Device>::cast(d, py::return_value_policy::copy, {}).ptr();
}

PyObject* wrap(const ValuesIndices& v) {
  PyObject* o = PyStructSequence_New(values_indices_type);
  if (!o) throw py::error_already_set();
  PyStructSequence_SetItem(o, 0, wrap(v.values));
  PyStructSequence_SetItem(o, 1, wrap(v.indices));
  return o;
}

bool to_dtype(PyObject* o, DType& out) {
  for (int i = 0; i < kDTypeCount; ++i)
    if (dtype_objects[i] == o) {
      out = static_cast<DType>(i);
      return true;
    }
  if (o == reinterpret_cast<PyObject*>(&PyFloat_Type)) return out = DType::f32, true;
  if (o == reinterpret_cast<PyObject*>(&PyLong_Type)) return out = DType::i64, true;
  if (o == reinterpret_cast<PyObject*>(&PyBool_Type)) return out = DType::b8, true;
  if (PyUnicode_Check(o)) return dtype_from_name(text_of(o), out);
  // np.float32 (a type) has __name__, np.dtype("float32") has name.
  for (const char* attribute : {"name", "__name__"}) {
    const py::object name = py::reinterpret_steal<py::object>(PyObject_GetAttrString(o, attribute));
    if (!name) {
      PyErr_Clear();
      continue;
    }
    if (PyUnicode_Check(name.ptr()) && dtype_from_name(text_of(name.ptr()), out)) return true;
  }
  return false;
}

bool to_device(PyObject* o, Device& out) {
  if (PyUnicode_Check(o)) {
    const std::string name = text_of(o);
    if (name == "cpu") return out = Device{}, true;
    if (name.rfind("cuda", 0) == 0) {
      int index = 0;
      const bool plain = name == "cuda";
      if (!plain && (name.size() < 6 || name[4] != ':' ||
                     name.find_first_not_of("0123456789", 5) != std::string::npos || name.size() > 7))
        return false;
      if (!plain) index = std::stoi(name.substr(5));
      return out = Device{DeviceType::cuda, static_cast<std::int8_t>(index)}, true;
    }
    return false;
  }
  py::detail::type_caster_base<Device> caster;
  if (!caster.load(o, false)) return false;
  out = static_cast<Device&>(caster);
  return true;
}

std::int64_t to_int64(PyObject* o) {
  const py::object integer = py::reinterpret_steal<py::object>(PyNumber_Index(o));
  if (!integer) throw py::error_already_set();
  int overflow;
  const long long v = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
  if (overflow) {
    const auto bits = py::cast<std::int64_t>(integer.attr("bit_length")());
    fail_unnamed(ErrorKind::value, "an integer of ", bits, " bits is out of the range of int64");
  }
  return v;
}

bool to_scalar(PyObject* o, Scalar& out) {
  if (PyFloat_Check(o)) return out = Scalar(PyFloat_AS_DOUBLE(o)), true;
  if (PyBool_Check(o)) return out = Scalar(o == Py_True), true;
  if (PyLong_Check(o)) {
    return out = Scalar(to_int64(o)), true;
  }
  if (is_tensor(o) || PySequence_Check(o)) return false;
  // NumPy numbers: np.bool_ by name, the others through __index__ and __float__.
  const char* type = Py_TYPE(o)->tp_name;
  if (!std::strcmp(type, "numpy.bool_") || !std::strcmp(type, "numpy.bool"))
    return out = Scalar(PyObject_IsTrue(o) == 1), true;
  if (PyIndex_Check(o)) return out = Scalar(to_int64(o)), true;
  if (Py_TYPE(o)->tp_as_number && Py_TYPE(o)->tp_as_number->nb_float) {
    const double v = PyFloat_AsDouble(o);
    if (v == -1.0 && PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
    return out = Scalar(v), true;
  }
  return false;
}

bool to_dims(PyObject* o, Dims& out) {
  if (!PySequence_Check(o) || PyUnicode_Check(o) || is_tensor(o)) return false;
  const Py_ssize_t n = PySequence_Size(o);
  if (n < 0) {
    PyErr_Clear();
    return false;
  }
  Dims dims;
  for (Py_ssize_t i = 0; i < n; ++i) {
    const py::object item = py::reinterpret_steal<py::object>(PySequence_GetItem(o, i));
    if (!item) throw py::error_already_set();
    if (!PyIndex_Check(item.ptr())) return false;
    dims.push_back(to_int64(item.ptr()));
  }
  out = dims;
  return true;
}

bool to_arg(PyObject* o, ArgHolder& out) {
  if (is_tensor(o)) return out.tensor = tensor_of(o), true;
  if (to_scalar(o, out.number)) return true;
  if (!looks_like_array(o)) return false;
  return out.tensor = tensor_from_buffer(o), true;
}

void bind_types(py::module_& m) {
  py::class_<DTypeObject> dtype(m, "dtype", "The type of a tensor's elements.");
  dtype.def("__repr__", [](const DTypeObject& d) { return std::string("lamina.") + name_of(d.value); })
      .def_property_readonly("name", [](const DTypeObject& d) { return name_of(d.value); })
      .def_property_readonly("itemsize", [](const DTypeObject& d) { return item_size(d.value); })
      .def_property_readonly("is_floating_point", [](const DTypeObject& d) { return is_floating(d.value); })
      .def("__reduce__", [](py::object self) { return py::str(self.attr("name")); });
  for (int i = 0; i < kDTypeCount; ++i) {
    py::object o = py::cast(DTypeObject{static_cast<DType>(i)});
    m.attr(name_of(static_cast<DType>(i))) = o;
    dtype_objects[i] = o.release().ptr();
  }
  py::class_<Device>(m, "device", "Where a tensor's memory lies.")
      .def(py::init([](py::handle name) {
             Device d;
             check(to_device(name.ptr(), d), "device: expected 'cpu', 'cuda' or 'cuda:<n>', got ",
                   py::repr(name).cast<std::string>());
             return d;
           }),
           py::arg("name"))
      .def("__repr__", [](const Device& d) { return "device('" + device_string(d) + "')"; })
      .def("__str__", &device_string)
      .def("__eq__",
           [](const Device& d, py::handle o) {
             Device other;
             return to_device(o.ptr(), other) && d == other;
           })
      .def("__hash__", [](const Device& d) { return static_cast<int>(d.type) * 256 + d.index; })
      .def("__reduce__",
           [](py::object self) { return py::make_tuple(py::type::of(self), py::make_tuple(py::str(self))); })
      .def_property_readonly("type", [](const Device& d) { return d.type == DeviceType::cpu ? "cpu" : "cuda"; })
      .def_property_readonly("index", [](const Device& d) { return int{d.index}; });
  PyStructSequence_Field fields[] = {
      {"values", "The elements."}, {"indices", "Where along the dimension they were."}, {nullptr, nullptr}};
  PyStructSequence_Desc description{"lamina.ValuesIndices", "A named tuple (values, indices).", fields, 2};
  values_indices_type = PyStructSequence_NewType(&description);
  if (!values_indices_type) throw py::error_already_set();
  m.add_object("ValuesIndices", py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(values_indices_type)));
  cpu_device = py::detail::type_caster_base<Device>::cast(Device{}, py::return_value_policy::copy, {}).ptr();
}

}  // namespace lamina::bind
