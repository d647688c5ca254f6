// Einstein summation over matrix products. Each operand carries a label per dimension; two operands are contracted by
// sorting their labels into batch, contracted and free ones, which makes the pair one batched product.
#include <algorithm>
#include <cctype>
#include <map>

#include "ops/gemm.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace lamina {
namespace {

// Letters stand for themselves; the dimensions of an ellipsis are numbered from the right: -1, -2, ….
using Label = int;
using Labels = std::vector<Label>;

bool has(const Labels& labels, Label l) { return std::find(labels.begin(), labels.end(), l) != labels.end(); }

struct Term {
  Tensor tensor;
  Labels labels;
};

struct Equation {
  std::vector<std::string> inputs;
  std::optional<std::string> output;
};

Equation split(const std::string& text) {
  std::string bare;
  for (char c : text)
    if (c != ' ') bare += c;
  Equation e;
  const std::size_t arrow = bare.find("->");
  if (arrow != std::string::npos) e.output = bare.substr(arrow + 2);
  std::string left = bare.substr(0, arrow);
  for (std::size_t comma; (comma = left.find(',')) != std::string::npos; left = left.substr(comma + 1))
    e.inputs.push_back(left.substr(0, comma));
  e.inputs.push_back(left);
  return e;
}

// "b...ij" for a tensor with ellipsis dimensions in the place of the dots; -1: as many as the tensor has left.
Labels parse(const std::string& text, int ellipsis_dims, const std::string& equation) {
  Labels labels;
  bool dotted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 3, "...") == 0) {
      check(!dotted, "einsum: two ellipses in one operand of '", equation, "'");
      dotted = true;
      for (int d = ellipsis_dims; d > 0; --d) labels.push_back(-d);
      i += 2;
    } else {
      check(std::isalpha(static_cast<unsigned char>(text[i])), "einsum: unexpected '", text[i], "' in '", equation,
            "'");
      labels.push_back(text[i]);
    }
  }
  return labels;
}

bool dotted(const std::string& text) { return text.find("...") != std::string::npos; }

// Labels that appear twice in one operand select its diagonal.
void take_diagonals(Term& t) {
  for (std::size_t i = 0; i < t.labels.size(); ++i)
    for (std::size_t j = i + 1; j < t.labels.size(); ++j) {
      if (t.labels[i] != t.labels[j]) continue;
      check(t.tensor.shape()[static_cast<int>(i)] == t.tensor.shape()[static_cast<int>(j)],
            "einsum: the repeated index '", static_cast<char>(t.labels[i]), "' has sizes ",
            t.tensor.shape()[static_cast<int>(i)], " and ", t.tensor.shape()[static_cast<int>(j)]);
      t.tensor = diagonal(t.tensor, 0, static_cast<std::int64_t>(i), static_cast<std::int64_t>(j));
      const Label label = t.labels[i];  // the diagonal becomes the last dimension
      t.labels.erase(t.labels.begin() + static_cast<std::ptrdiff_t>(j));
      t.labels.erase(t.labels.begin() + static_cast<std::ptrdiff_t>(i));
      t.labels.push_back(label);
      return take_diagonals(t);
    }
}

// Sums the dimensions whose labels nobody needs any more.
void sum_out(Term& t, const Labels& needed) {
  Dims dims;
  Labels left;
  for (std::size_t i = 0; i < t.labels.size(); ++i) {
    if (has(needed, t.labels[i]))
      left.push_back(t.labels[i]);
    else
      dims.push_back(static_cast<std::int64_t>(i));
  }
  if (dims.empty()) return;
  t.tensor = sum(t.tensor, dims);
  t.labels = left;
}

// The dimensions in the order of `order`, each label of which t has.
Tensor ordered(const Term& t, const Labels& order) {
  Dims dims;
  bool already = true;
  for (Label l : order) {
    const auto at = std::find(t.labels.begin(), t.labels.end(), l) - t.labels.begin();
    already &= at == dims.size();
    dims.push_back(at);
  }
  return already ? t.tensor : permute(t.tensor, dims);
}

Labels joined(std::initializer_list<const Labels*> parts) {
  Labels all;
  for (const Labels* p : parts) all.insert(all.end(), p->begin(), p->end());
  return all;
}

std::int64_t size_of(const Term& t, Label l) {
  return t.tensor.shape()[static_cast<int>(std::find(t.labels.begin(), t.labels.end(), l) - t.labels.begin())];
}

// Both operands' common labels get the same size: a 1 is stretched.
void match_sizes(Term& a, const Term& b) {
  Dims shape = a.tensor.shape();
  bool stretched = false;
  for (std::size_t i = 0; i < a.labels.size(); ++i) {
    if (!has(b.labels, a.labels[i])) continue;
    const std::int64_t other = size_of(b, a.labels[i]);
    std::int64_t& own = shape[static_cast<int>(i)];
    check(own == other || own == 1 || other == 1, "einsum: index '",
          a.labels[i] > 0 ? std::string(1, static_cast<char>(a.labels[i])) : "...", "' has size ", own,
          " in one operand and ", other, " in another");
    stretched |= own == 1 && other != 1;
    if (own == 1) own = other;
  }
  if (stretched) a.tensor = expand(a.tensor, shape);
}

Term contract(Term a, Term b, const Labels& needed) {
  sum_out(a, joined({&needed, &b.labels}));
  sum_out(b, joined({&needed, &a.labels}));
  match_sizes(a, b);
  match_sizes(b, a);
  Labels batch, contracted, left, right;
  for (Label l : a.labels) (!has(b.labels, l) ? left : has(needed, l) ? batch : contracted).push_back(l);
  for (Label l : b.labels)
    if (!has(a.labels, l)) right.push_back(l);

  const auto sizes = [](const Term& t, const Labels& labels) {
    Dims d;
    for (Label l : labels) d.push_back(size_of(t, l));
    return d;
  };
  const Dims outer = sizes(a, batch);
  const std::int64_t k = count(sizes(a, contracted));
  Dims shape_a = outer, shape_b = outer, shape = outer;
  shape_a.push_back(count(sizes(a, left)));
  shape_a.push_back(k);
  shape_b.push_back(k);
  shape_b.push_back(count(sizes(b, right)));
  for (std::int64_t n : sizes(a, left)) shape.push_back(n);
  for (std::int64_t n : sizes(b, right)) shape.push_back(n);
  const Tensor product = matmul(reshape(ordered(a, joined({&batch, &left, &contracted})), shape_a),
                                reshape(ordered(b, joined({&batch, &contracted, &right})), shape_b));
  return {reshape(product, shape), joined({&batch, &left, &right})};
}

}  // namespace

Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands) {
  const Equation e = split(equation);
  check(!operands.empty(), "einsum: needs at least one operand");
  check(e.inputs.size() == operands.size(), "einsum: '", equation, "' names ", e.inputs.size(), " operands, ",
        operands.size(), " given");
  std::vector<Term> terms;
  int widest = 0;
  bool any_dots = false;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const int letters = static_cast<int>(e.inputs[i].size()) - (dotted(e.inputs[i]) ? 3 : 0);
    const int dots = operands[i].ndim() - letters;
    check(dotted(e.inputs[i]) ? dots >= 0 : dots == 0, "einsum: operand ", i, " of '", equation, "' has shape ",
          operands[i].shape(), " but ", letters, dotted(e.inputs[i]) ? " indices beside the ellipsis" : " indices");
    if (dotted(e.inputs[i])) widest = std::max(widest, dots), any_dots = true;
    terms.push_back({operands[i], parse(e.inputs[i], dots, equation)});
    take_diagonals(terms.back());
  }

  Labels output;
  if (e.output) {
    output = parse(*e.output, any_dots ? widest : 0, equation);
  } else {  // the ellipsis, then every letter that appears once, in alphabetical order
    std::map<Label, int> seen;
    for (const std::string& input : e.inputs)
      for (Label l : parse(input, 0, equation)) ++seen[l];
    for (int d = widest; d > 0; --d) output.push_back(-d);
    for (const auto& [label, times] : seen)
      if (times == 1) output.push_back(label);
  }
  for (std::size_t i = 0; i < output.size(); ++i) {
    const Label l = output[i];
    const bool known = std::any_of(terms.begin(), terms.end(), [l](const Term& t) { return has(t.labels, l); });
    check(known, "einsum: output index '", static_cast<char>(l), "' of '", equation, "' appears in no operand");
    check(std::count(output.begin(), output.end(), l) == 1, "einsum: output index '", static_cast<char>(l), "' of '",
          equation, "' appears twice");
  }

  Term result = terms[0];
  for (std::size_t i = 1; i < terms.size(); ++i) {
    Labels needed = output;
    for (std::size_t j = i + 1; j < terms.size(); ++j)
      needed.insert(needed.end(), terms[j].labels.begin(), terms[j].labels.end());
    result = contract(std::move(result), terms[i], needed);
  }
  sum_out(result, output);
  return ordered(result, output);
}

}  // namespace lamina
