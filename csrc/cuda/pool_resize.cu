// Resizing by the nearest element, or by blends of the two nearest along each dimension. What an output reads, and
// which outputs read an element, is worked out once for each place of a dimension.
#include "cuda/pool_place.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kName[] = "interpolate";

// The outputs begin <= o < end that read an element.
struct Readers {
  std::int64_t begin, end;
};
struct Tables {
  Source* sources[3];   // [out]
  Readers* readers[3];  // [in]
};

struct FillTables {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = false;
  Resize r;
  Tables to;
  bool blends;

  // Sources do not fall from one output to the next: from a guess, on to where they reach `near`.
  LAMINA_KERNEL static std::int64_t first_from(const ResizeAxis& a, std::int64_t near) {
    const double guess = a.from > 0 ? (static_cast<double>(near) - a.shift) * a.to / a.from - a.offset : 0;
    std::int64_t o = guess <= 0 ? 0 : guess >= static_cast<double>(a.out) ? a.out : static_cast<std::int64_t>(guess);
    while (o > 0 && source_of(a, o - 1).near >= near) --o;
    while (o < a.out && source_of(a, o).near < near) ++o;
    return o;
  }
  LAMINA_KERNEL void operator()(const Thread& t) const {
    std::int64_t i = t.global();
    for (int k = 0; k < 3; ++k) {
      const ResizeAxis& a = r.axis[k];
      if (i < a.out) {
        to.sources[k][i] = source_of(a, i);
        return;
      }
      i -= a.out;
      if (!to.readers[k]) continue;
      if (i < a.in) {
        to.readers[k][i] = {first_from(a, blends ? i - 1 : i), first_from(a, i + 1)};
        return;
      }
      i -= a.in;
    }
  }
};

// In the workspace; false if there is none.
bool fill_tables(const Resize& r, bool blends, bool backward, Tables& tables) {
  std::int64_t outs = 0, ins = 0;
  for (const ResizeAxis& a : r.axis) outs += a.out, ins += backward ? a.in : 0;
  auto* source = static_cast<Source*>(cuda_runtime::workspace(static_cast<std::size_t>(outs) * sizeof(Source) +
                                                              static_cast<std::size_t>(ins) * sizeof(Readers)));
  if (!source) return false;
  auto* reader = reinterpret_cast<Readers*>(source + outs);
  for (int k = 0; k < 3; ++k) {
    tables.sources[k] = source;
    tables.readers[k] = backward ? reader : nullptr;
    source += r.axis[k].out, reader += r.axis[k].in;
  }
  launch(kName, grid_for(outs + ins, FillTables::kThreads), FillTables{r, tables, blends});
  return true;
}

template <class T, bool blends>
struct Resample {
  Resize r;
  Tables tables;
  const T* x;
  T* y;

  LAMINA_KERNEL void operator()(std::int64_t plane, const int (&at)[3], std::int64_t element) const {
    const Source d = tables.sources[0][at[0]], h = tables.sources[1][at[1]], w = tables.sources[2][at[2]];
    const T* const from = x + plane * plane_in(r);
    const auto row_of = [&](std::int64_t z, std::int64_t v) { return from + (z * r.axis[1].in + v) * r.axis[2].in; };
    if constexpr (!blends) {
      y[element] = row_of(d.near, h.near)[w.near];
    } else {
      T near = 0, next = 0;
      for (int k = 0; k < 4; ++k) {
        const double part = (k & 2 ? d.far : 1 - d.far) * (k & 1 ? h.far : 1 - h.far);
        if (part == 0) continue;
        const T* const row = row_of(k & 2 ? d.next : d.near, k & 1 ? h.next : h.near);
        near += row[w.near] * static_cast<T>(part), next += row[w.next] * static_cast<T>(part);
      }
      y[element] = near + static_cast<T>(w.far) * (next - near);
    }
  }
};

// Each element of dx sums the gradients of the outputs that read it, in their order.
template <class T, bool blends>
struct ResampleGradient {
  Resize r;
  Tables tables;
  const T* dy;
  T* dx;

  LAMINA_KERNEL static double part_of(const Source& s, std::int64_t i) {
    if (!blends) return 1;
    return (s.near == i ? 1 - s.far : 0) + (s.next == i ? s.far : 0);
  }
  LAMINA_KERNEL void operator()(std::int64_t plane, const int (&at)[3], std::int64_t element) const {
    const Readers d = tables.readers[0][at[0]], h = tables.readers[1][at[1]], w = tables.readers[2][at[2]];
    const T* const from = dy + plane * plane_out(r);
    T sum = 0;
    for (std::int64_t z = d.begin; z < d.end; ++z)
      for (std::int64_t v = h.begin; v < h.end; ++v) {
        const double part = part_of(tables.sources[0][z], at[0]) * part_of(tables.sources[1][v], at[1]);
        if (part == 0) continue;
        const T* const row = from + (z * r.axis[1].out + v) * r.axis[2].out;
        T line = 0;
        for (std::int64_t u = w.begin; u < w.end; ++u)
          line += row[u] * static_cast<T>(part_of(tables.sources[2][u], at[2]));
        sum += line * static_cast<T>(part);
      }
    dx[element] = sum;
  }
};

template <class T, bool blends>
void forward(Resize r, const void* in, void* out) {
  Tables tables;
  if (!fill_tables(r, blends, false, tables)) return;
  for_places(kName, r.planes, {r.axis[0].out, r.axis[1].out, r.axis[2].out},
             Resample<T, blends>{r, tables, static_cast<const T*>(in), static_cast<T*>(out)});
}

template <class T, bool blends>
void backward(Resize r, const void* in, void* out) {
  Tables tables;
  if (!fill_tables(r, blends, true, tables)) return;
  for_places(kName, r.planes, {r.axis[0].in, r.axis[1].in, r.axis[2].in},
             ResampleGradient<T, blends>{r, tables, static_cast<const T*>(in), static_cast<T*>(out)});
}

template <class T>
void fill(PoolTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.nearest[i] = forward<T, false>;
  t.nearest_grad[i] = backward<T, false>;
  t.linear[i] = forward<T, true>;
  t.linear_grad[i] = backward<T, true>;
}

}  // namespace

void fill_pool_resize(PoolTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
