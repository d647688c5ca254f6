#include "ops/parameter.h"

namespace lamina {

void take_over(const Tensor& t, const Tensor& from) {
  TensorImpl& impl = *t.impl();
  const GradState* state = impl.grad_state_or_null();
  check_as(ErrorKind::runtime, !impl.grad_fn && !(state && state->base.defined()),
           "only a tensor that is no view and no result of recorded operations can change its memory");
  check_as(ErrorKind::type, is_floating(from.dtype()) || !impl.leaf_requires_grad,
           "a tensor that requires grad cannot become ", name_of(from.dtype()));
  impl.set_grad({});  // it was of another type or elsewhere
  impl.storage = from.impl()->storage;
  impl.data = from.data();
  impl.dtype = from.dtype();
  impl.set_geometry(from.shape(), from.strides());
}

}  // namespace lamina
