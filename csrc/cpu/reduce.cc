// Folds: sum, mean, products, extremes, norms, truth.
#include "cpu/reduce_fold.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <FoldKind kind, class In>
struct Types {  // of lane and result
  static constexpr bool floating = kIsFloating<In>;
  static constexpr bool widens = !floating && (kind == FoldKind::widening || kind == FoldKind::counting);
  using Lane = std::conditional_t<floating, FloatLane<In>, std::conditional_t<widens, std::uint64_t, In>>;
  using Same = std::conditional_t<!floating && kind == FoldKind::widening, std::int64_t, In>;
  using Out = std::conditional_t<kind == FoldKind::predicate, std::uint8_t,
                                 std::conditional_t<kind == FoldKind::counting, std::int64_t, Same>>;
};

template <class Op, FoldKind kind, class In>
constexpr Reduce kFold = reduce<Fold<Op, In, typename Types<kind, In>::Lane, typename Types<kind, In>::Out>>;

template <class Op>
constexpr bool kReadsHalves = std::is_same_v<Op, folds::sum_op> || std::is_same_v<Op, folds::mean_op>;

template <class Op, FoldKind kind>
void fill_fold(Reduce* row) {
  row[static_cast<int>(DType::f32)] = kFold<Op, kind, float>;
  row[static_cast<int>(DType::f64)] = kFold<Op, kind, double>;
  if constexpr (kReadsHalves<Op>) {
    row[static_cast<int>(DType::f16)] = kFold<Op, kind, float16>;
    row[static_cast<int>(DType::bf16)] = kFold<Op, kind, bfloat16>;
  }
  if constexpr (kind != FoldKind::floating) {
    row[static_cast<int>(DType::i64)] = kFold<Op, kind, std::int64_t>;
    row[static_cast<int>(DType::i32)] = kFold<Op, kind, std::int32_t>;
    row[static_cast<int>(DType::u8)] = kFold<Op, kind, std::uint8_t>;
    row[static_cast<int>(DType::b8)] = kFold<Op, kind, std::uint8_t>;
  }
}

}  // namespace

void fill_reduce_extreme(ReduceTable&);
void fill_reduce_moments(ReduceTable&);
void fill_reduce_scan(ReduceTable&);
void fill_reduce_scan_extreme(ReduceTable&);
void fill_reduce_scan_log(ReduceTable&);
void fill_reduce_softmax(ReduceTable&);

void fill_reduce(ReduceTable& t) {
#define LAMINA_FILL_FOLD(name, kind) \
  fill_fold<folds::name##_op, FoldKind::kind>(t.fold[static_cast<int>(FoldOp::name)]);
  LAMINA_FOLDS(LAMINA_FILL_FOLD)
  fill_reduce_extreme(t);
  fill_reduce_moments(t);
  fill_reduce_scan(t);
  fill_reduce_scan_extreme(t);
  fill_reduce_scan_log(t);
  fill_reduce_softmax(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
