// The kernels, once for each instruction set, and the choice among them.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <utility>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "decoder_state.h"
#include "prefill_state.h"

namespace {

// What a level's instructions need is written once, so that all that the compiler may use is asked for.
// __builtin_cpu_supports() also asks whether the operating system saves the registers.
#define AVX2_FEATURES(each) each("popcnt"), each("avx2"), each("fma")
#define AVX512_FEATURES(each) \
  AVX2_FEATURES(each), each("avx512f"), each("avx512bw"), each("avx512vl"), each("avx512dq"), each("avx512vnni")
#define AVX512_BF16_FEATURES(each) AVX512_FEATURES(each), each("avx512bf16")
#define AMX_FEATURES(each) AVX512_BF16_FEATURES(each), each("amx-tile"), each("amx-bf16")
#define PRAGMA(text) _Pragma(#text)
#define NAME(feature) feature
#define TARGET(...) PRAGMA(GCC target(__VA_ARGS__))
#define IS_SUPPORTED(feature) (__builtin_cpu_supports(feature) != 0)

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SEVERAL_INSTRUCTION_SETS
#pragma GCC push_options
TARGET(AMX_FEATURES(NAME))
namespace amx {
#define LANES 16
#define BFLOAT16_PRODUCTS
#define MATRIX_TILES
#include "kernels.inc"
#undef MATRIX_TILES
#undef BFLOAT16_PRODUCTS
#undef LANES
}
#pragma GCC pop_options
#pragma GCC push_options
TARGET(AVX512_BF16_FEATURES(NAME))
namespace avx512_bf16 {
#define LANES 16
#define BFLOAT16_PRODUCTS
#include "kernels.inc"
#undef BFLOAT16_PRODUCTS
#undef LANES
}
#pragma GCC pop_options
#pragma GCC push_options
TARGET(AVX512_FEATURES(NAME))
namespace avx512 {
#define LANES 16
#include "kernels.inc"
#undef LANES
}
#pragma GCC pop_options
#pragma GCC push_options
TARGET(AVX2_FEATURES(NAME))
namespace avx2 {
#define LANES 8
#include "kernels.inc"
#undef LANES
}
#pragma GCC pop_options

// Linux gives a process these registers when it asks for them, for all its threads.
bool has_matrix_registers()
{
#if defined(__linux__)
  constexpr int ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18;
  static const bool given = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
  return given;
#else
  return false;
#endif
}

bool all_of(std::initializer_list<bool> conditions)
{
  return std::find(conditions.begin(), conditions.end(), false) == conditions.end();
}
#endif

namespace baseline {
#define LANES 4
#include "kernels.inc"
#undef LANES
}

// It has nothing to throw: all memory is taken before. An exception in one thread would leave the others waiting.
using Run = void (*)(const Model&, Step&, int, int) noexcept;
using RunPrefill = void (*)(const Model&, Step&, Prefill&, int, int) noexcept;

struct InstructionSet {
  const char* name;
  Run run;
  RunPrefill run_prefill;
  size_t bytes_in_bfloat16;  // of a number that a prefill of a bf16 model multiplies
};

// Returns that of a rank among those that this processor has, the best first; no name past the last.
InstructionSet instruction_set(int rank)
{
  const auto is_next = [&rank](bool is_supported) { return is_supported && rank-- == 0; };
#if defined(SEVERAL_INSTRUCTION_SETS)
  __builtin_cpu_init();
  if (has_matrix_registers() && is_next(all_of({AMX_FEATURES(IS_SUPPORTED)}))) return {"amx", amx::run, amx::run_prefill, 2};
  if (is_next(all_of({AVX512_BF16_FEATURES(IS_SUPPORTED)}))) return {"avx512_bf16", avx512_bf16::run, avx512_bf16::run_prefill, 2};
  if (is_next(all_of({AVX512_FEATURES(IS_SUPPORTED)}))) return {"avx512", avx512::run, avx512::run_prefill, 4};
  if (is_next(all_of({AVX2_FEATURES(IS_SUPPORTED)}))) return {"avx2", avx2::run, avx2::run_prefill, 4};
#endif
  return is_next(true) ? InstructionSet{"baseline", baseline::run, baseline::run_prefill, 4} : InstructionSet{};
}

}  // namespace
