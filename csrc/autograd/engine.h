// Runs the recorded graph backwards, on the calling thread.
#pragma once
#include <vector>

#include "autograd/node.h"

namespace lamina {

// Accumulates d(sum of roots · grads)/d(leaf) into the leaves' .grad.
void backward(const std::vector<Tensor>& roots, const std::vector<Tensor>& grads, bool retain_graph);
// The same for `inputs` alone, leaves or not.
void backward_to(const std::vector<Tensor>& roots, const std::vector<Tensor>& grads, const std::vector<Tensor>& inputs,
                 bool retain_graph);

// Returns the gradients of `inputs`, each in memory of its own, and leaves every .grad alone; undefined where an input
// was not used. `function` is named in errors.
std::vector<Tensor> gradients(const char* function, const std::vector<Tensor>& roots, const std::vector<Tensor>& grads,
                              const std::vector<Tensor>& inputs, bool retain_graph);

// Memory that an optimiser sets aside for a leaf's gradient: where the first one to arrive is written, unless Python
// still holds that tensor from an earlier step.
void set_gradient_home(const Tensor& leaf, const Tensor& home);
Tensor gradient_home(const Tensor& leaf);  // may be undefined
// The home, for one pass to write to, if it is where the next gradient to arrive will go; else undefined.
Tensor lend_gradient_home(GradSlot& slot);
void return_gradient_home(GradSlot& slot);

// Does nobody else hold this tensor or its memory, so that it may be kept and changed?
bool only_ours(const Tensor& t);

// Called now and then during a long backward; throws to stop it (Ctrl-C). Set once by the binding.
extern void (*check_interrupt)();

// The little arithmetic that autograd itself needs; defined in ops/elementwise.cpp, for autograd knows no operation.
Tensor add_gradients(const Tensor& a, const Tensor& b);
void add_gradient_in_place(const Tensor& sum, const Tensor& grad);
void set_gradient(const Tensor& to, const Tensor& grad);
void add_gradient_to_window(const Tensor& window, const Tensor& grad);  // the window may overlap itself
void set_gradient_to_zero(const Tensor& grad);
Tensor clone_gradient(const Tensor& grad, const Dims& strides);  // holes between its elements hold zeros
Tensor zero_gradient(const Tensor& like, const Dims& shape, const Dims& strides);
Tensor ones_like_gradient(const Tensor& root);

}  // namespace lamina
