// The kernels, once for each instruction set, and the choice among them.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <utility>

#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "decoder_state.h"
#include "eviction_state.h"
#include "prefill_state.h"

namespace {

// What a level's instructions need is written once, so that all that the compiler may use is asked for.
#define PRAGMA(text) _Pragma(#text)
#define NAME(feature, ...) feature
#define TARGET(...) PRAGMA(GCC target(__VA_ARGS__))

inline bool all_of(std::initializer_list<bool> conditions)
{
  return std::find(conditions.begin(), conditions.end(), false) == conditions.end();
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LEVELS_OF_X86
// __builtin_cpu_supports() also asks whether the operating system saves the registers.
#define IS_SUPPORTED(feature) (__builtin_cpu_supports(feature) != 0)
#define AVX2_FEATURES(each) each("popcnt"), each("avx2"), each("fma")
#define AVX512_FEATURES(each) \
  AVX2_FEATURES(each), each("avx512f"), each("avx512bw"), each("avx512vl"), each("avx512dq"), each("avx512vnni")
#define AVX512_BF16_FEATURES(each) AVX512_FEATURES(each), each("avx512bf16")
#define AMX_FEATURES(each) AVX512_BF16_FEATURES(each), each("amx-tile"), each("amx-bf16")

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

#elif defined(__aarch64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define LEVELS_OF_ARM
// The kernel names what all cores have. Each feature with the word and the bits of its own; armv8.2-a lets the
// compiler use those of armv8.1-a.
#define HAS_BITS(feature, word, bits) ((getauxval(word) & (bits)) == (bits))
#define NEON_DOT_FEATURES(each) \
  each("arch=armv8.2-a", AT_HWCAP, HWCAP_CRC32 | HWCAP_ATOMICS | HWCAP_ASIMDRDM), \
  each("+dotprod", AT_HWCAP, HWCAP_ASIMDDP)
#define NEON_BF16_FEATURES(each) NEON_DOT_FEATURES(each), each("+bf16", AT_HWCAP2, HWCAP2_BF16)

#pragma GCC push_options
TARGET(NEON_BF16_FEATURES(NAME))
namespace neon_bf16 {
#define LANES 4
#define BFLOAT16_PRODUCTS
#define DOT_PRODUCTS
#include "kernels.inc"
#undef DOT_PRODUCTS
#undef BFLOAT16_PRODUCTS
#undef LANES
}
#pragma GCC pop_options
#pragma GCC push_options
TARGET(NEON_DOT_FEATURES(NAME))
namespace neon_dot {
#define LANES 4
#define DOT_PRODUCTS
#include "kernels.inc"
#undef DOT_PRODUCTS
#undef LANES
}
#pragma GCC pop_options
#endif

// Any processor. On ARM this is NEON, which all of them have.
#if defined(__aarch64__)
constexpr const char* BASELINE = "neon";
#else
constexpr const char* BASELINE = "baseline";
#endif

namespace baseline {
#define LANES 4
#include "kernels.inc"
#undef LANES
}

// It has nothing to throw: all memory is taken before. An exception in one thread would leave the others waiting.
using Run = void (*)(const Model&, Step&, int, int) noexcept;
using RunPrefill = void (*)(const Model&, Step&, Prefill&, int, int) noexcept;
using RunEviction = void (*)(const Model&, Evicting&, int) noexcept;
using Choose = int64_t (*)(float*, int, const int64_t*, int64_t, float, float*, float*) noexcept;

struct InstructionSet {
  const char* name;
  Run run;
  RunPrefill run_prefill;
  RunEviction run_eviction;
  Choose choose;
  size_t bytes_in_bfloat16;  // of a number that a prefill of a bf16 model multiplies
};

#define SET(name, level, bytes) \
  InstructionSet{name, level::run, level::run_prefill, level::run_eviction, level::choose, bytes}

// Returns that of a rank among those that this processor has, the best first; no name past the last.
InstructionSet instruction_set(int rank)
{
  const auto is_next = [&rank](bool is_supported) { return is_supported && rank-- == 0; };
#if defined(LEVELS_OF_X86)
  __builtin_cpu_init();
  if (has_matrix_registers() && is_next(all_of({AMX_FEATURES(IS_SUPPORTED)}))) return SET("amx", amx, 2);
  if (is_next(all_of({AVX512_BF16_FEATURES(IS_SUPPORTED)}))) return SET("avx512_bf16", avx512_bf16, 2);
  if (is_next(all_of({AVX512_FEATURES(IS_SUPPORTED)}))) return SET("avx512", avx512, 4);
  if (is_next(all_of({AVX2_FEATURES(IS_SUPPORTED)}))) return SET("avx2", avx2, 4);
#elif defined(LEVELS_OF_ARM)
  if (is_next(all_of({NEON_BF16_FEATURES(HAS_BITS)}))) return SET("neon_bf16", neon_bf16, 2);
  if (is_next(all_of({NEON_DOT_FEATURES(HAS_BITS)}))) return SET("neon_dot", neon_dot, 4);
#endif
  return is_next(true) ? SET(BASELINE, baseline, 4) : InstructionSet{};
}

}  // namespace
