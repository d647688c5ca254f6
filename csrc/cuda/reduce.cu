// Folds: sum, mean, products, extremes, norms, truth. Formulas: kernels/reduce_formulas.h.
#include "cuda/reduce_driver.h"
#include "kernels/elementwise_convert.h"
#include "kernels/reduce_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

#define LAMINA_FOLD_TEXT(name, ...) #name,
constexpr const char* kNames[] = {LAMINA_FOLDS(LAMINA_FOLD_TEXT)};

template <class T>
constexpr bool kIsFloating = std::is_floating_point_v<T> || std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;

template <FoldKind kind, class In>
struct Types {  // of what an element becomes, of what is joined, of the result
  static constexpr bool floating = kIsFloating<In>;
  static constexpr bool widens = !floating && (kind == FoldKind::widening || kind == FoldKind::counting);
  using Float = std::conditional_t<std::is_same_v<In, double>, double, float>;
  using Element = std::conditional_t<floating, Float, std::conditional_t<widens, std::uint64_t, In>>;
  using Same = std::conditional_t<!floating && kind == FoldKind::widening, std::int64_t, In>;
  using Out = std::conditional_t<kind == FoldKind::predicate, std::uint8_t,
                                 std::conditional_t<kind == FoldKind::counting, std::int64_t, Same>>;
};

template <FoldOp op, class Op, FoldKind kind, class In_>
struct Fold {
  using In = In_;
  using Element = typename Types<kind, In>::Element;
  using Out = typename Types<kind, In>::Out;
  using Partial = typename Op::template Wide<Element>;
  static constexpr const char* name = kNames[static_cast<int>(op)];

  LAMINA_INLINE static Partial none(const Reduction&) { return static_cast<Partial>(Op::template neutral<Element>()); }
  LAMINA_INLINE static void add(Partial& p, In x, std::int64_t, const Reduction& g) {
    const Element element = static_cast<Element>(widen(x));
    p = Op::join(p, static_cast<Partial>(Op::map(element, g.p)));
  }
  LAMINA_INLINE static Partial merge(Partial a, Partial b) { return Op::join(a, b); }
  LAMINA_INLINE static void store(const Reduction& g, std::int64_t at, Partial p) {
    static_cast<Out*>(g.out)[at] = convert<Out>(Op::finish(p, folds::Finish{g.count, g.p}));
  }
};

template <FoldOp op, class Op, FoldKind kind>
void fill_fold(ReduceTable& t) {
  Reduce* row = t.fold[static_cast<int>(op)];
  row[static_cast<int>(DType::f32)] = reduce<Fold<op, Op, kind, float>>;
  row[static_cast<int>(DType::f64)] = reduce<Fold<op, Op, kind, double>>;
  if constexpr (op == FoldOp::sum || op == FoldOp::mean) {
    row[static_cast<int>(DType::f16)] = reduce<Fold<op, Op, kind, float16>>;
    row[static_cast<int>(DType::bf16)] = reduce<Fold<op, Op, kind, bfloat16>>;
  }
  if constexpr (kind != FoldKind::floating) {
    row[static_cast<int>(DType::i64)] = reduce<Fold<op, Op, kind, std::int64_t>>;
    row[static_cast<int>(DType::i32)] = reduce<Fold<op, Op, kind, std::int32_t>>;
    row[static_cast<int>(DType::u8)] = reduce<Fold<op, Op, kind, std::uint8_t>>;
    row[static_cast<int>(DType::b8)] = reduce<Fold<op, Op, kind, std::uint8_t>>;
  }
}

}  // namespace

void fill_reduce_scan(ReduceTable&);
void fill_reduce_softmax(ReduceTable&);
void fill_reduce_statistics(ReduceTable&);

void fill_reduce(ReduceTable& t) {
#define LAMINA_FILL_FOLD(name, kind) fill_fold<FoldOp::name, folds::name##_op, FoldKind::kind>(t);
  LAMINA_FOLDS(LAMINA_FILL_FOLD)
  fill_reduce_scan(t);
  fill_reduce_softmax(t);
  fill_reduce_statistics(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
