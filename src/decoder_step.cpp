// One decoding step of a Llama-like model on CPU threads: everything between a token and the next token's logits.
//
// A step reads all weights once; its time is that of the memory. So the weights stay in 4 or 8 bits until they are in
// a register, each row block is one stream, attention reads a KV head once for all its query heads, and the threads
// meet five times a layer in a barrier instead of starting anew for each product.
//
// Plain C from outside (see native_step.py): no Python and no torch in here.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

struct Bfloat16 { uint16_t bits; };
struct Float16 { uint16_t bits; };

constexpr int BLOCK = 32;      // rows that are multiplied together
constexpr int GROUP = 32;      // columns that share a scale
constexpr int MAX_HEAD = 256;  // elements
constexpr int SPINS = 2000;    // some 30 microseconds
constexpr int INT4_GROUP_BYTES = BLOCK * (GROUP / 2 + 4);
constexpr int INT8_GROUP_BYTES = BLOCK * (GROUP + 2);

enum Kind : int32_t { FLOAT32, BFLOAT16, INT8, INT4 };

}  // namespace

extern "C" {

// Weights of (rows, columns): plain, or quantized as native_step.py packs them.
struct Matrix {
  int32_t kind, rows, columns, unused;
  const void* weights;
  const float* bias;  // (rows) or null
};

struct Layer {
  const float *attention_norm, *mlp_norm;  // (hidden)
  const float *query_norm, *key_norm;      // (head_size) or null
  Matrix query, key, value, output, gate, up, down;
  void *keys, *values;  // (kv_heads, capacity, head_size)
  int64_t capacity, length;
  int64_t window;  // attend to so many tokens, the newest; 0: to all
};

struct Model {
  int32_t layers, hidden, heads, kv_heads, head_size, intermediate, cache_kind, unused;
  float epsilon, scaling;
  Layer* layer;
  const float* final_norm;
  Matrix head;
};

}  // extern "C"

namespace {

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

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SEVERAL_INSTRUCTION_SETS
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
namespace avx512 {
#define LANES 16
#include "decoder_kernels.inc"
#undef LANES
}
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define LANES 8
#include "decoder_kernels.inc"
#undef LANES
}
#pragma GCC pop_options
#endif

namespace baseline {
#define LANES 4
#include "decoder_kernels.inc"
#undef LANES
}

using Run = void (*)(const Model&, Step&, int, int);

struct InstructionSet { const char* name; Run run; };

std::vector<InstructionSet> instruction_sets()
{
  std::vector<InstructionSet> sets;
#if defined(SEVERAL_INSTRUCTION_SETS)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw")) sets.push_back({"avx512", avx512::run});
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back({"avx2", avx2::run});
#endif
  sets.push_back({"baseline", baseline::run});
  return sets;
}

}  // namespace

// A model, and the threads that run its steps.
struct Decoder {
  Model model;
  Step step;
  InstructionSet set;
  std::vector<float> memory;
  std::vector<std::thread> workers;
  std::atomic<uint32_t> begun{0};
  std::atomic<bool> closed{false};

  Decoder(const Model& given, int threads, InstructionSet chosen) : model(given), set(chosen)
  {
    for (int i = 0; i < threads; ++i) step.threads.emplace_back(model);
    const size_t padded = BLOCK;  // a block's last rows may be padding
    const size_t query = model.heads * model.head_size + padded, key = model.kv_heads * model.head_size + padded;
    memory.resize(model.hidden + padded + query + 2 * key + model.intermediate + padded);
    step.hidden = memory.data();
    step.query = step.hidden + model.hidden + padded;
    step.key = step.query + query;
    step.value = step.key + key;
    step.gate = step.value + key;
    for (int i = 1; i < threads; ++i) workers.emplace_back([this, i, threads] { work(i, threads); });
  }

  ~Decoder()
  {
    closed = true;
    ++begun;
    begun.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  void work(int thread, int threads)
  {
    for (uint32_t seen = 0;; ++seen) {
      // The next step usually follows soon; after that the core is left to others.
      for (int spins = 0; spins < 20000 && begun.load(std::memory_order_acquire) == seen; ++spins) relax();
      begun.wait(seen, std::memory_order_acquire);
      if (closed) return;
      set.run(model, step, thread, threads);
      step.barrier(threads);
    }
  }

  void run()
  {
    const int threads = static_cast<int>(step.threads.size());
    if (threads > 1) {
      begun.fetch_add(1, std::memory_order_release);
      begun.notify_all();
    }
    set.run(model, step, 0, threads);
    step.barrier(threads);
  }
};

extern "C" {

// Returns the name of the instruction set of that rank, the best first; null past the last.
const char* timebill_instruction_set(int rank)
{
  const auto sets = instruction_sets();
  return rank < static_cast<int>(sets.size()) ? sets[rank].name : nullptr;
}

// The model's struct is copied; what it points to must live as long as the decoder.
Decoder* timebill_decoder_create(const Model* model, int threads, int rank)
{
  return new Decoder(*model, threads, instruction_sets().at(rank));
}

void timebill_decoder_destroy(Decoder* decoder) { delete decoder; }

// Runs one step. `embedding` (hidden), `cosine` and `sine` (head_size) are the token's; `logits` (vocabulary) is
// written to. Keys and values are appended to the layers' caches, whose lengths grow by one.
void timebill_decoder_step(
  Decoder* decoder, const float* embedding, const float* cosine, const float* sine, float* logits)
{
  std::memcpy(decoder->step.hidden, embedding, decoder->model.hidden * sizeof(float));
  decoder->step.cosine = cosine;
  decoder->step.sine = sine;
  decoder->step.logits = logits;
  decoder->run();
  for (int i = 0; i < decoder->model.layers; ++i) ++decoder->model.layer[i].length;
}

}  // extern "C"
