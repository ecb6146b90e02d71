// What the threads of an eviction work on. All memory is taken before they begin.

#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "decoder_abi.h"
#include "interruption.h"
#include "prefill_state.h"

namespace {

// A thread's own, for one KV head: its queries, a panel of keys, their scores; the votes of its query heads, and of all
// of them together; the sums of votes along the prompt, and the votes in another order.
struct EvictionThread {
  Memory queries, panel, scores, votes, pooled, sums, ordered;
  Asked asked;
};

struct Evicting {
  Eviction eviction{};
  std::vector<EvictionThread> threads;
  std::atomic<int> next{0};
  Interruption interruption;
  bool is_running = false;

  void prepare(const Model& model, const Eviction& given, size_t count, size_t number_bytes)
  {
    const int64_t size = model.head_size, group = model.heads / model.kv_heads;
    const int64_t padded = blocks_of(given.prompt_tokens) * static_cast<int64_t>(BLOCK), rows = group * given.window + PADDING;
    eviction = given;
    threads.resize(count);
    for (EvictionThread& thread : threads) {
      thread.queries.reserve(rows * size * number_bytes);
      thread.panel.reserve(BLOCK * size * number_bytes);
      thread.scores.reserve(rows * BLOCK * sizeof(float));
      thread.votes.reserve(group * padded * sizeof(float));
      thread.pooled.reserve(padded * sizeof(float));
      thread.sums.reserve((padded + 1) * sizeof(double));
      thread.ordered.reserve(padded * sizeof(float));
      thread.asked.begin();
    }
    next = 0;
    interruption.begin(given.abort, given.deadline_ns);
  }
};

}  // namespace
