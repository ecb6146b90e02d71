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

constexpr int MAX_HEAD = 256;  // elements
constexpr int SPINS = 2000;    // some 30 microseconds

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
  Input input;
  std::vector<float> query_memory;
  std::vector<Partial> partial_memory;
  float* query;
  Partial* partials;

  explicit Thread(const Model& model)
  : input(std::max({model.hidden, model.intermediate, model.heads * model.head_size})),
    query_memory(model.heads * model.head_size),
    partial_memory(model.heads),
    query(query_memory.data()),
    partials(partial_memory.data())
  {
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

// What the threads share during a step.
struct Step {
  float *hidden, *query, *key, *value, *gate, *logits;
  const float *cosine, *sine;
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
