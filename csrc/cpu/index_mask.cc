// Masks become positions: true elements are counted per chunk, then every chunk knows where to write its own.
#include "core/parallel.h"
#include "cpu/walk.h"
#include "kernels/index.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

static_assert(kMaskChunk == kGrain);

std::int64_t chunk_end(std::int64_t chunk, std::int64_t n) {
  const std::int64_t end = (chunk + 1) * kMaskChunk;
  return end < n ? end : n;
}

// Bytes are summed in short stretches, so that the sums stay in bytes and vectorise.
std::int64_t count_chunk(const std::uint8_t* mask, std::int64_t n) {
  std::int64_t total = 0;
  for (std::int64_t at = 0; at < n; at += 128) {
    const std::int64_t end = at + 128 < n ? at + 128 : n;
    std::uint8_t sum = 0;
    for (std::int64_t i = at; i < end; ++i) sum = static_cast<std::uint8_t>(sum + (mask[i] != 0));
    total += sum;
  }
  return total;
}

void count_true(const std::uint8_t* mask, std::int64_t n, std::int64_t* counts) {
  const std::int64_t chunks = (n + kMaskChunk - 1) / kMaskChunk;
  parallel_for(chunks, 1, [&](std::int64_t c, std::int64_t last) {
    for (; c < last; ++c) counts[c] = count_chunk(mask + c * kMaskChunk, chunk_end(c, n) - c * kMaskChunk);
  });
  std::int64_t before = 0;
  for (std::int64_t c = 0; c < chunks; ++c) {
    const std::int64_t here = counts[c];
    counts[c] = before;
    before += here;
  }
  counts[chunks] = before;
}

void list_true(const std::uint8_t* mask, std::int64_t n, const std::int64_t* counts, std::int64_t* out) {
  const std::int64_t chunks = (n + kMaskChunk - 1) / kMaskChunk;
  parallel_for(chunks, 1, [&](std::int64_t c, std::int64_t last) {
    for (; c < last; ++c) {
      const std::int64_t end = chunk_end(c, n);
      std::int64_t* to = out + counts[c];
      std::int64_t* const stop = out + counts[c + 1];
      // Every element writes, only true ones move on: no branch to mispredict. The last one must not write past the
      // end.
      std::int64_t i = c * kMaskChunk;
      for (; i < end && to < stop; ++i) {
        *to = i;
        to += mask[i] != 0;
      }
    }
  });
}

void unravel_true(const std::uint8_t* mask, Loop shape, const std::int64_t* counts, std::int64_t total,
                  std::int64_t* out) {
  const std::int64_t n = shape.numel, chunks = (n + kMaskChunk - 1) / kMaskChunk;
  parallel_for(chunks, 1, [&](std::int64_t chunk, std::int64_t last) {
    for (; chunk < last; ++chunk) {
      std::int64_t at = counts[chunk];
      for_each_run(shape, chunk * kMaskChunk, chunk_end(chunk, n),
                   [&](const Cursor& c, std::int64_t first, std::int64_t length) {
                     const int inner = shape.ndim - 1;
                     for (std::int64_t i = 0; i < length; ++i) {
                       if (!mask[first + i]) continue;
                       for (int d = 0; d < inner; ++d) out[d * total + at] = c.index[d];
                       out[inner * total + at++] = c.index[inner] + i;
                     }
                   });
    }
  });
}

void survey(const std::int64_t* values, std::int64_t n, std::int64_t* out) {
  std::int64_t least = values[0], most = values[0];
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    least = values[i] < least ? values[i] : least;
    most = values[i] > most ? values[i] : most;
    sum += static_cast<std::uint64_t>(values[i]);
  }
  out[0] = least;
  out[1] = most;
  out[2] = static_cast<std::int64_t>(sum);
}

void repeat_index(const std::int64_t* repeats, std::int64_t n, std::int64_t* out) {
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t k = 0; k < repeats[i]; ++k) *out++ = i;
}

}  // namespace

void fill_index_mask(IndexTable& t) {
  t.count_true = count_true;
  t.list_true = list_true;
  t.unravel_true = unravel_true;
  t.survey = survey;
  t.repeat_index = repeat_index;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
