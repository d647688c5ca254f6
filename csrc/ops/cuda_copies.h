// Copies between the host and a CUDA device for which the host does not wait.
#pragma once
#include "core/cuda_library.h"
#include "core/tensor.h"

namespace lamina {

// Is it memory that a device reads and writes while the host goes on?
bool is_pinned(const Tensor& t);
Tensor pin_memory(const Tensor& t);  // a copy there, or t itself

// A copy on the device, on its copy stream, beside what the device computes; kernels that come later wait for it. The
// host's memory is to be left alone until then. As to_device where the memory is not pinned.
Tensor upload(const Tensor& t, Device device);
// The other way, in order with the kernels before it, where `to` is pinned; false where it is not, or `from` does not
// lie as `to` does: then nothing has been done.
bool download(const Tensor& to, const Tensor& from);

void* cuda_stream(Device device, CudaStream which = CudaStream::compute);
// What `after` is given from now on begins when all that `before` has been given is done.
void order_streams(Device device, void* before, void* after);

}  // namespace lamina
