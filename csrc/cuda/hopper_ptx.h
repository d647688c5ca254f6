// Instructions of Hopper (sm_90a): barriers that count bytes, the copy engine, products of a warpgroup. Only for units
// of their own (*_sm90.cu): for other targets there is no such code. For g++ there is what they mean, so that the
// kernels can be run on the CPU; all copies and products then happen at once.
#pragma once
#ifdef __CUDACC__
#include <cuda.h>
#endif

#include "cuda/hopper_layout.h"
#include "cuda/ptx.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

#ifdef __CUDACC__
using TensorMap = CUtensorMap;

// ---- barriers in shared memory: a phase ends when all have arrived and all announced bytes have landed ----

LAMINA_IN_KERNEL void barrier_init(std::uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
// Before others use it: the copy engine, too, must see that it is ready.
LAMINA_IN_KERNEL void barriers_ready() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async;" ::: "memory");
}
LAMINA_IN_KERNEL void barrier_arrive(std::uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
LAMINA_IN_KERNEL void barrier_arrive_expecting(std::uint64_t* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}
// Until the phase of this parity is over.
LAMINA_IN_KERNEL void barrier_wait(std::uint64_t* barrier, std::uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra over;\n"
      "bra again;\n"
      "over:\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

// ---- the copy engine ----

LAMINA_IN_KERNEL void prefetch_map(const TensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
// The box of a map at (x, y), x counting along the contiguous dimension; what lies outside is filled with zeros.
LAMINA_IN_KERNEL void copy_box(void* to, const TensorMap* map, int x, int y, std::uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
          shared_address(to)),
      "l"(map), "r"(x), "r"(y), "r"(shared_address(barrier))
      : "memory");
}

// ---- registers, and products of a warpgroup ----

template <int kRegisters>
LAMINA_IN_KERNEL void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
LAMINA_IN_KERNEL void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

LAMINA_IN_KERNEL void wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
LAMINA_IN_KERNEL void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kPending>
LAMINA_IN_KERNEL void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// d[64][256] (+)= a[64][16] b[256][16]^T of bfloat16, both K-major in shared memory; without `add` d is overwritten.
// `thread`, of 128, and `memory`, the beginning of shared memory, are for the emulation.
LAMINA_IN_KERNEL void wgmma_64x256x16(float (&d)[128], std::uint64_t a, std::uint64_t b, int add, int, const void*) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.b32 p, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
      "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
      "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, %128, %129, p, "
      "1, 1, 0, 0;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),
        "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),
        "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]),
        "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]),
        "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),
        "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]),
        "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]), "+f"(d[64]),
        "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71]), "+f"(d[72]),
        "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79]), "+f"(d[80]),
        "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), "+f"(d[88]),
        "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95]), "+f"(d[96]),
        "+f"(d[97]), "+f"(d[98]), "+f"(d[99]), "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), "+f"(d[104]),
        "+f"(d[105]), "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111]), "+f"(d[112]),
        "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]), "+f"(d[120]),
        "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])
      : "l"(a), "l"(b), "r"(add));
}

#else

// ---- the same on the CPU ----

struct TensorMap {
  const bfloat16* data;
  std::int64_t sizes[2], stride;  // in elements; sizes and box: contiguous dimension first
  int box[2];
};

// Words of shared memory are known by their last 18 bits, as in descriptors.
inline std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(p) & 0x3ffff);
}

// What the 64 bits of an emulated barrier hold.
struct BarrierState {
  std::uint16_t arrivals, pending;
  std::int32_t bytes_and_phase;  // bytes still to land, times 2, plus the parity of the phase that runs
};
inline BarrierState* state_of(std::uint64_t* barrier) { return reinterpret_cast<BarrierState*>(barrier); }
inline void barrier_check(BarrierState& b) {
  if (b.pending != 0 || b.bytes_and_phase / 2 != 0) return;
  b.pending = b.arrivals;
  b.bytes_and_phase ^= 1;
}
inline void barrier_init(std::uint64_t* barrier, int arrivals) {
  const auto n = static_cast<std::uint16_t>(arrivals);
  *state_of(barrier) = {n, n, 0};
}
inline void barriers_ready() {}
inline void barrier_arrive(std::uint64_t* barrier) {
  BarrierState& b = *state_of(barrier);
  if (b.pending == 0) std::abort();  // more arrivals than were announced
  --b.pending;
  barrier_check(b);
}
inline void barrier_arrive_expecting(std::uint64_t* barrier, int bytes) {
  state_of(barrier)->bytes_and_phase += 2 * bytes;
  barrier_arrive(barrier);
}
inline void barrier_wait(std::uint64_t* barrier, std::uint32_t parity) {
  while ((state_of(barrier)->bytes_and_phase & 1) == static_cast<std::int32_t>(parity)) emulation::yield();
}

inline void prefetch_map(const TensorMap*) {}
inline void copy_box(void* to, const TensorMap* map, int x, int y, std::uint64_t* barrier) {
  for (int row = 0; row < map->box[1]; ++row)
    for (int i = 0; i < map->box[0]; ++i) {
      const bool inside = x + i < map->sizes[0] && y + row < map->sizes[1];
      const bfloat16 value = inside ? map->data[(y + row) * map->stride + x + i] : bfloat16{0};
      std::memcpy(static_cast<char*>(to) + swizzled_128(row, 2 * i), &value, sizeof value);
    }
  BarrierState& b = *state_of(barrier);
  b.bytes_and_phase -= 2 * (map->box[0] * map->box[1] * 2);
  barrier_check(b);
}

template <int kRegisters>
void take_registers() {}
template <int kRegisters>
void give_registers() {}
inline void wgmma_begin() {}
inline void wgmma_commit() {}
template <int kPending>
void wgmma_wait() {}

// Element (row, k) of an operand as the hardware finds it by a descriptor. `memory`: any address in shared memory not
// above the operand's.
inline float described(std::uint64_t descriptor, int row, int k, const void* memory) {
  const std::uint64_t start = (descriptor & 0x3fff) << 4, group = (descriptor >> 32 & 0x3fff) << 4;
  if (descriptor >> 62 != 1) std::abort();  // not the 128-byte swizzle
  std::uint64_t address =
      start + static_cast<std::uint64_t>(row / 8) * group + static_cast<std::uint64_t>(row % 8 * 128 + 2 * k);
  address ^= address >> 3 & 0x70;
  const auto base = reinterpret_cast<std::uintptr_t>(memory);
  std::uintptr_t found = (base & ~std::uintptr_t{0x3ffff}) + (address & 0x3ffff);
  if (found < base) found += 0x40000;
  bfloat16 value;
  std::memcpy(&value, reinterpret_cast<const void*>(found), sizeof value);
  return brain_to_float(value);
}
inline void wgmma_64x256x16(float (&d)[128], std::uint64_t a, std::uint64_t b, int add, int thread,
                            const void* memory) {
  for (int r = 0; r < 128; ++r) {
    double sum = add ? d[r] : 0;
    for (int k = 0; k < 16; ++k)
      sum += static_cast<double>(described(a, WgmmaLanes::row(thread, r), k, memory)) *
             described(b, WgmmaLanes::col(thread, r), k, memory);
    d[r] = static_cast<float>(sum);
  }
}
#endif

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
