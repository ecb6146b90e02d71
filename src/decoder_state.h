// What the threads of a step work on, and where they meet.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "decoder_abi.h"
#include "weight_kinds.h"

namespace {

struct Bfloat16 { uint16_t bits; };
struct Float16 { uint16_t bits; };

constexpr int MAX_HEAD = 256;   // elements
constexpr int MOST_TOKENS = 4;  // of a step
constexpr int KEY_TILE = 32;    // cached tokens whose scores are weighed at once
constexpr int SPINS = 2000;     // some 30 microseconds

// A vector that is multiplied with a matrix.
struct Input {
  std::vector<float> memory;
  std::vector<int16_t> integers;
  std::vector<float> scales, sums;  // a group
  float* values = nullptr;

  explicit Input(int size)
  : memory(size + GROUP), integers(size + GROUP), scales(size / GROUP + 1), sums(size / GROUP + 1), values(memory.data())
  {
  }
};

// One head's attention to a part of the tokens: weights are relative to e^bound.
struct Partial {
  float bound, total;
  alignas(64) float values[MAX_HEAD];
};

struct Thread {
  std::vector<Input> inputs;  // a token
  std::vector<float> query_memory;
  std::vector<Partial> partial_memory;
  float* query;
  Partial* partials;

  explicit Thread(const Model& model)
  : query_memory(MOST_TOKENS * model.heads * model.head_size),
    partial_memory(MOST_TOKENS * model.heads),
    query(query_memory.data()),
    partials(partial_memory.data())
  {
    for (int i = 0; i < MOST_TOKENS; ++i)
      inputs.emplace_back(std::max({model.hidden, model.intermediate, model.heads * model.head_size}));
  }
};

inline void relax()
{
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A vector a token.
struct Rows {
  float* first;
  int64_t stride;

  float* operator[](int token) const { return first + token * stride; }
};

// What the threads share during a step.
struct Step {
  int tokens;
  Rows hidden, query, key, value, gate, logits;
  const float *cosine, *sine;  // (tokens, head_size)
  std::vector<Thread> threads;
  std::atomic<int> waiting{0};
  std::atomic<uint32_t> round{0};

  void barrier(int count)
  {
    const uint32_t current = round.load(std::memory_order_relaxed);
    if (waiting.fetch_add(1, std::memory_order_acq_rel) == count - 1) {
      waiting.store(0, std::memory_order_relaxed);
      round.store(current + 1, std::memory_order_release);
      round.notify_all();
      return;
    }
    // The others are usually there within microseconds. If not, a neighbour has one's core: a thread that goes on
    // spinning uses up its share of its own, and is then waited for in its turn.
    for (int spins = 0; spins < SPINS; ++spins) {
      if (round.load(std::memory_order_acquire) != current) return;
      relax();
    }
    round.wait(current, std::memory_order_acquire);
  }
};

}  // namespace
