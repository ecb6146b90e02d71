// What the threads of a prefill work on. All memory is taken before they begin.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "decoder_abi.h"
#include "decoder_state.h"
#include "interruption.h"

namespace {

constexpr int64_t CACHED_BYTES = 1 << 20;  // of the activations that meet one panel: they stay in a core's own cache
constexpr int MOST_ROWS = 512;             // so that a unit of work is soon done
constexpr int LEAST_ROWS = 96;             // so that panels are used more than they cost to make
constexpr int KEY_BLOCK = 256;             // keys whose scores are weighed at once
constexpr int QUERY_ROWS = 96;             // queries that read the keys together
constexpr int PADDING = 32;                // rows that may be read or written past the last

// Memory that grows when more is asked for; what was in it is lost then. Aligned to a cache line.
struct Memory {
  struct Free { void operator()(void* memory) const { ::operator delete(memory, std::align_val_t{64}); } };
  std::unique_ptr<void, Free> memory;
  size_t size = 0;

  void reserve(size_t bytes)
  {
    if (bytes <= size) return;
    memory.reset();
    size = 0;
    memory.reset(::operator new(bytes, std::align_val_t{64}));
    size = bytes;
  }
};

inline int blocks_of(int64_t rows) { return static_cast<int>((rows + BLOCK - 1) / BLOCK); }

// A thread's own: room for panels, a row, and the attention of QUERY_ROWS queries.
struct PrefillThread {
  Memory panels, row, outputs, scores, weights;
  std::vector<float> bounds, totals;
  Asked asked;
};

struct Prefill {
  Pass pass{};
  Memory input, wide, key_panels, value_panels;
  std::vector<PrefillThread> threads;
  std::atomic<int> next[2];  // unit of work, in this phase and in the one after it
  Interruption interruption;
  bool is_running = false;  // the threads run this, not a step

  // Numbers between a row and the next, of activations that are multiplied. Not a power of two: rows would share lines
  // of the cache.
  static int64_t stride(int64_t columns) { return columns + 32; }

  // Rows that meet a panel before the next panel is made: whole tiles of any instruction set's, or MOST_ROWS.
  static int rows_at_once(int64_t columns, size_t number_bytes)
  {
    const auto fitting = static_cast<int>(CACHED_BYTES / (columns * number_bytes)) / LEAST_ROWS * LEAST_ROWS;
    return std::clamp(fitting, LEAST_ROWS, MOST_ROWS);
  }

  void prepare(const Model& model, const Pass& given, size_t count, size_t number_bytes)
  {
    const int64_t tokens = given.tokens, size = model.head_size, queries = model.heads * size;
    const int64_t hidden = model.hidden, intermediate = model.intermediate, group = model.heads / model.kv_heads;
    int64_t end = 0;
    for (int i = given.first_layer; i < given.last_layer; ++i) end = std::max(end, model.layer[i].length + tokens);
    pass = given;
    input.reserve((tokens + PADDING) * stride(std::max(hidden, queries)) * number_bytes);
    wide.reserve((tokens + PADDING) * std::max(stride(intermediate), queries) * number_bytes);
    const size_t cached = static_cast<size_t>(model.kv_heads) * blocks_of(end) * BLOCK * size * number_bytes;
    key_panels.reserve(cached);
    value_panels.reserve(cached);
    threads.resize(count);
    const int64_t columns = std::max({hidden * std::max<int64_t>(size, 2 * BLOCK), std::max(intermediate, queries) * BLOCK});
    const int64_t rows = std::max<int64_t>(QUERY_ROWS, group);
    for (PrefillThread& thread : threads) {
      thread.panels.reserve(columns * number_bytes);
      thread.row.reserve(hidden * sizeof(float));
      thread.outputs.reserve((rows + PADDING) * size * sizeof(float));
      thread.scores.reserve(BLOCK * stride(KEY_BLOCK) * sizeof(float));
      thread.weights.reserve(BLOCK * stride(KEY_BLOCK) * number_bytes);
      thread.bounds.resize(rows);
      thread.totals.resize(rows);
      thread.asked.begin();
    }
    next[0] = next[1] = 0;
    interruption.begin(given.abort, given.deadline_ns);
  }
};

}  // namespace
