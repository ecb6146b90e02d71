// The kernels, once for each instruction set, and the choice among them.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "decoder_state.h"

namespace {

// What a level's instructions need is written once, so that all that the compiler may use is asked for.
// __builtin_cpu_supports() also asks whether the operating system saves the registers.
#define AVX2_FEATURES(each) each("popcnt"), each("avx2"), each("fma")
#define AVX512_FEATURES(each) \
  AVX2_FEATURES(each), each("avx512f"), each("avx512bw"), each("avx512vl"), each("avx512dq"), each("avx512vnni")
#define PRAGMA(text) _Pragma(#text)
#define NAME(feature) feature
#define TARGET(...) PRAGMA(GCC target(__VA_ARGS__))
#define IS_SUPPORTED(feature) (__builtin_cpu_supports(feature) != 0)

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SEVERAL_INSTRUCTION_SETS
#pragma GCC push_options
TARGET(AVX512_FEATURES(NAME))
namespace avx512 {
#define LANES 16
#include "decoder_kernels.inc"
#undef LANES
}
#pragma GCC pop_options
#pragma GCC push_options
TARGET(AVX2_FEATURES(NAME))
namespace avx2 {
#define LANES 8
#include "decoder_kernels.inc"
#undef LANES
}
#pragma GCC pop_options

bool all_of(std::initializer_list<bool> conditions)
{
  return std::find(conditions.begin(), conditions.end(), false) == conditions.end();
}
#endif

namespace baseline {
#define LANES 4
#include "decoder_kernels.inc"
#undef LANES
}

// It has nothing to throw: all memory is taken before. An exception in one thread would leave the others waiting.
using Run = void (*)(const Model&, Step&, int, int) noexcept;

struct InstructionSet { const char* name; Run run; };

// Returns that of a rank among those that this processor has, the best first; no name past the last.
InstructionSet instruction_set(int rank)
{
  const auto is_next = [&rank](bool is_supported) { return is_supported && rank-- == 0; };
#if defined(SEVERAL_INSTRUCTION_SETS)
  __builtin_cpu_init();
  if (is_next(all_of({AVX512_FEATURES(IS_SUPPORTED)}))) return {"avx512", avx512::run};
  if (is_next(all_of({AVX2_FEATURES(IS_SUPPORTED)}))) return {"avx2", avx2::run};
#endif
  return is_next(true) ? InstructionSet{"baseline", baseline::run} : InstructionSet{};
}

}  // namespace
