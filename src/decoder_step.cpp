// A Llama-like model on CPU threads: everything between tokens and the next token's logits.
//
// A step, of one to four tokens, reads all weights once; its time is that of the memory. So the weights stay in 4 or 8 bits until they are in
// a register, each row block is one stream, attention reads a KV head once for all its query heads, and the threads
// meet five times a layer in a barrier instead of starting anew for each product. A prefill, of many tokens, multiplies
// as fast as the processor can: see prefill_kernels.inc.
//
// Python calls what decoder_abi.h declares.

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "decoder_abi.h"
#include "instruction_sets.h"
#include "model_check.h"
#include "weight_rows.h"

// A model, and the threads that run its steps.
struct Decoder {
  Model model;
  Step step;
  Prefill prefill;
  Evicting evicting;
  InstructionSet set;
  std::vector<float> memory, before_penalty;
  std::vector<std::thread> workers;
  std::atomic<uint32_t> begun{0};
  std::atomic<bool> closed{false};

  Decoder(const Model& given, int threads, InstructionSet chosen) : model(given), set(chosen)
  {
    for (int i = 0; i < threads; ++i) step.threads.emplace_back(model);
    const int64_t padded = BLOCK;  // a block's last rows may be padding
    const int64_t query = model.heads * model.head_size + padded, key = model.kv_heads * model.head_size + padded;
    const std::pair<Rows&, int64_t> all[] = {
      {step.hidden, model.hidden + padded}, {step.query, query}, {step.key, key}, {step.value, key},
      {step.gate, model.intermediate + padded}};
    int64_t size = 0;
    for (const auto& [rows, stride] : all) size += MOST_TOKENS * stride;
    memory.resize(size);
    float* next = memory.data();
    for (const auto& [rows, stride] : all) {
      rows = {next, stride};
      next += MOST_TOKENS * stride;
    }
  }

  // Not in the constructor: if the system has no more threads, the destructor ends those that there are.
  void start()
  {
    const int threads = static_cast<int>(step.threads.size());
    for (int i = 1; i < threads; ++i) workers.emplace_back([this, i, threads] { work(i, threads); });
  }

  ~Decoder()
  {
    closed = true;
    ++begun;
    begun.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  void work(int thread, int threads) noexcept
  {
    for (uint32_t seen = 0;; ++seen) {
      // The next step usually follows soon; after that the core is left to others.
      for (int spins = 0; spins < 20000 && begun.load(std::memory_order_acquire) == seen; ++spins) relax();
      begun.wait(seen, std::memory_order_acquire);
      if (closed) return;
      run_part(thread, threads);
    }
  }

  void run_part(int thread, int threads) noexcept
  {
    if (prefill.is_running)
      set.run_prefill(model, step, prefill, thread, threads);
    else if (evicting.is_running)
      set.run_eviction(model, evicting, thread);
    else
      set.run(model, step, thread, threads);
    step.barrier(threads);
  }

  void run() noexcept
  {
    const int threads = static_cast<int>(step.threads.size());
    if (threads > 1) {
      begun.fetch_add(1, std::memory_order_release);
      begun.notify_all();
    }
    run_part(0, threads);
  }

  // Returns whether the pass came to its end.
  bool run(const Pass& pass)
  {
    prefill.prepare(model, pass, step.threads.size(), number_bytes());
    prefill.is_running = true;
    run();
    prefill.is_running = false;
    return !prefill.interruption.is_due;
  }

  // Returns whether the eviction came to its end.
  bool run(const Eviction& eviction)
  {
    evicting.prepare(model, eviction, step.threads.size(), number_bytes());
    evicting.is_running = true;
    run();
    evicting.is_running = false;
    return !evicting.interruption.is_due;
  }

  // Of a number that is multiplied where many are.
  size_t number_bytes() const { return model.cache_kind == BFLOAT16 ? set.bytes_in_bfloat16 : sizeof(float); }

  void expect_room(int first_layer, int last_layer, int64_t tokens) const
  {
    for (int i = first_layer; i < last_layer; ++i) {
      const Layer& layer = model.layer[i];
      if (layer.length < 0 || layer.capacity - layer.length < tokens)
        throw std::length_error(
          "the cache of layer " + std::to_string(i) + " is full: it has " + std::to_string(layer.length) +
          " tokens and room for " + std::to_string(layer.capacity) + ", and " + std::to_string(tokens) + " more are to come");
    }
  }
};

namespace {

thread_local char last_error[256];

int32_t failed(const char* why, const char* detail = "") noexcept
{
  std::snprintf(last_error, sizeof last_error, "%s%s", why, detail);
  return 1;
}

// Does what may throw, and returns what a function of the library returns.
template <class Work>
int32_t guarded(Work work) noexcept
{
  try {
    work();
    return 0;
  } catch (const std::bad_alloc&) {
    return failed("there is not enough memory");
  } catch (const std::system_error& error) {
    return failed("the system has no more threads: ", error.what());
  } catch (const std::exception& error) {
    return failed(error.what());
  } catch (...) {
    return failed("an exception of an unknown kind");
  }
}

}  // namespace

extern "C" {

const int32_t timebill_decoder_stamp[7] = {
  ABI_VERSION, sizeof(Matrix), sizeof(Layer), sizeof(Model), sizeof(Pass), sizeof(EvictedLayer), sizeof(Eviction)};

const char* timebill_instruction_set(int32_t rank) noexcept { return instruction_set(rank).name; }

const char* timebill_decoder_error() noexcept { return last_error; }

int32_t timebill_decoder_create(const Model* model, int32_t threads, int32_t rank, Decoder** decoder) noexcept
{
  return guarded([&] {
    const InstructionSet set = instruction_set(rank);
    expect(set.name, "there is no instruction set " + std::to_string(rank));
    expect(threads > 0, "there must be a thread, not " + std::to_string(threads));
    expect_sound(*model);
    auto made = std::make_unique<Decoder>(*model, threads, set);
    made->start();
    *decoder = made.release();
  });
}

int32_t timebill_decoder_step(
  Decoder* decoder, int32_t tokens, const float* embeddings, const float* cosine, const float* sine,
  float* logits) noexcept
{
  return guarded([&] {
    const Model& model = decoder->model;
    Step& step = decoder->step;
    expect(0 < tokens && tokens <= MOST_TOKENS, "a step has " + std::to_string(tokens) + " tokens");
    decoder->expect_room(0, model.layers, tokens);
    step.tokens = tokens;
    for (int i = 0; i < tokens; ++i)
      std::memcpy(step.hidden[i], embeddings + static_cast<int64_t>(i) * model.hidden, model.hidden * sizeof(float));
    step.cosine = cosine;
    step.sine = sine;
    step.logits = {logits, model.head.rows};
    decoder->run();
    for (int i = 0; i < model.layers; ++i) model.layer[i].length += tokens;
  });
}

int32_t timebill_decoder_prefill(Decoder* decoder, Pass* pass) noexcept
{
  bool is_whole = false;
  const int32_t has_failed = guarded([&] {
    expect_sound(decoder->model, *pass);
    decoder->expect_room(pass->first_layer, pass->last_layer, pass->tokens);
    is_whole = decoder->run(*pass);
    pass->longest_unchecked_ns = longest_unchecked_ns(decoder->prefill.threads);
    if (is_whole)
      for (int i = pass->first_layer; i < pass->last_layer; ++i) decoder->model.layer[i].length += pass->tokens;
  });
  return has_failed ? has_failed : is_whole ? 0 : INTERRUPTED;
}

int32_t timebill_decoder_evict(Decoder* decoder, Eviction* eviction) noexcept
{
  bool is_whole = false;
  const int32_t has_failed = guarded([&] {
    expect_sound(decoder->model, *eviction);
    is_whole = decoder->run(*eviction);
    eviction->longest_unchecked_ns = longest_unchecked_ns(decoder->evicting.threads);
  });
  return has_failed ? has_failed : is_whole ? 0 : INTERRUPTED;
}

int32_t timebill_decoder_choose(
  Decoder* decoder, float* logits, const int64_t* seen, int64_t count, float penalty, int64_t* token,
  float* log_probability) noexcept
{
  return guarded([&] {
    const int vocabulary = decoder->model.head.rows;
    for (int64_t i = 0; i < count; ++i)
      if (seen[i] < 0 || seen[i] >= vocabulary) expect(false, "there is no token " + std::to_string(seen[i]));
    std::vector<float>& memory = decoder->before_penalty;
    if (memory.size() < static_cast<size_t>(count)) memory.resize(count);
    *token = decoder->set.choose(logits, vocabulary, seen, count, penalty, memory.data(), log_probability);
    expect(*token >= 0, "no logit is a number");
  });
}

int32_t timebill_decoder_lookup(const Matrix* matrix, const int64_t* rows, int64_t count, float* output) noexcept
{
  return guarded([&] {
    expect_shape(*matrix, matrix->rows, matrix->columns);
    for (int64_t i = 0; i < count; ++i) {
      expect(rows[i] >= 0 && rows[i] < matrix->rows, "there is no row " + std::to_string(rows[i]));
      dequantize_row(*matrix, rows[i], output + i * matrix->columns);
    }
  });
}

void timebill_decoder_destroy(Decoder* decoder) noexcept { delete decoder; }

}  // extern "C"
