// Steps of small random models, compiled with sanitizers by test_decoder_sanitized.py. Each buffer is a heap block of
// exactly the size that decoder_abi.h names, so that an access past its end is seen. A failure is a line on stderr.

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <list>
#include <string>
#include <vector>

#include "checked_eviction.h"
#include "decoder_abi.h"
#include "weight_kinds.h"

namespace {

constexpr const char* NAMES[] =
  {"float32", "bfloat16", "int8", "int4", "int5", "super4", "super5", "super6", "float16"};
constexpr int VOCABULARY = 77, LAYERS = 3, CAPACITY = 45, WINDOW = 7;
constexpr int SHORTEST = 40;  // capacity of the second layer, which is the first to be full
constexpr int STEPS = 4;      // from the beginning, and again until it is full
constexpr int MOST_TOKENS = 4;  // of a step

void check(bool condition, const std::string& what)
{
  if (condition) return;
  std::cerr << "failed: " << what << std::endl;
  std::exit(1);
}

struct Shape { int heads, kv_heads, head_size; };
constexpr Shape SHAPES[] = {{6, 2, 64}, {4, 1, 32}, {2, 2, 256}};

// A model of random weights, and the memory that it points to.
struct RandomModel {
  Shape shape;
  int32_t kind, cache_kind;
  int hidden, intermediate;
  uint32_t state = 1;
  std::list<std::vector<char>> memory;
  std::vector<Layer> layers{LAYERS};
  std::vector<std::vector<char>*> caches;
  Model model{};

  RandomModel(Shape given, int32_t weights, int32_t cache) : shape(given), kind(weights), cache_kind(cache)
  {
    hidden = column_multiple(kind) == SUPER ? SUPER : 96;
    intermediate = column_multiple(kind) == SUPER ? 2 * SUPER : 160;
    const int queries = shape.heads * shape.head_size, keys = shape.kv_heads * shape.head_size;
    for (int i = 0; i < LAYERS; ++i) {
      Layer& layer = layers[i];
      layer = {};
      layer.attention_norm = floats(hidden);
      layer.mlp_norm = floats(hidden);
      if (i > 0) layer.query_norm = floats(shape.head_size), layer.key_norm = floats(shape.head_size);
      layer.query = matrix(queries, hidden), layer.key = matrix(keys, hidden), layer.value = matrix(keys, hidden);
      layer.output = matrix(hidden, queries);
      layer.gate = matrix(intermediate, hidden), layer.up = matrix(intermediate, hidden);
      layer.down = matrix(hidden, intermediate);
      layer.capacity = i == 1 ? SHORTEST : CAPACITY;
      layer.window = i == 2 ? WINDOW : 0;
      layer.keys = plain(keys * layer.capacity, cache_kind), caches.push_back(&memory.back());
      layer.values = plain(keys * layer.capacity, cache_kind), caches.push_back(&memory.back());
    }
    model.layers = LAYERS, model.hidden = hidden, model.intermediate = intermediate;
    model.heads = shape.heads, model.kv_heads = shape.kv_heads, model.head_size = shape.head_size;
    model.cache_kind = cache_kind, model.epsilon = 1e-5f, model.scaling = 0.2f;
    model.layer = layers.data(), model.final_norm = floats(hidden), model.head = matrix(VOCABULARY, hidden);
  }

  char* block(size_t bytes) { return memory.emplace_back(bytes).data(); }

  float random()  // in [-0.5, 0.5)
  {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(state >> 8) / (1 << 24) - 0.5f;
  }

  void* plain(int count, int32_t as)
  {
    const size_t bytes = as == FLOAT32 ? sizeof(float) : sizeof(uint16_t);
    char* const values = block(count * bytes);
    if (as == FLOAT16) {
      halves(values, count, 0x3000);  // +-2^-3
      return values;
    }
    for (int i = 0; i < count; ++i) {
      const float value = random();  // its high half is a bfloat16
      std::memcpy(values + i * bytes, reinterpret_cast<const char*>(&value) + sizeof value - bytes, bytes);
    }
    return values;
  }

  float* floats(int count) { return static_cast<float*>(plain(count, FLOAT32)); }

  char* halves(char* to, int count, uint16_t half)
  {
    for (int i = 0; i < count; ++i, to += sizeof half) {
      const uint16_t number = half | (random() < 0 ? 0x8000 : 0);
      std::memcpy(to, &number, sizeof number);
    }
    return to;
  }

  char* any_bytes(char* to, int count)
  {
    for (int i = 0; i < count; ++i) *to++ = static_cast<char>(256 * random());
    return to;
  }

  const void* quantized(int rows, int columns)
  {
    const int codes = code_bytes(kind == INT4 || kind == SUPER4 ? 0 : kind == INT8 ? 4 : kind == SUPER6 ? 2 : 1);
    const int blocks = (rows + BLOCK - 1) / BLOCK, scales = kind == INT8 || kind == SUPER6 ? BLOCK : 2 * BLOCK;
    char* const bytes = block(blocks * block_bytes(kind, columns));
    char* to = bytes;
    for (int group = 0; group < blocks * columns / GROUP; ++group)
      if (column_multiple(kind) == SUPER) {
        if (group % (SUPER / GROUP) == 0) to = halves(to, scales, 0x0400);  // +-2^-14
        to = any_bytes(to, codes + 2 * BLOCK);
      } else {
        to = halves(any_bytes(to, codes), scales, 0x1800);  // +-2^-9
      }
    return bytes;
  }

  Matrix matrix(int rows, int columns)
  {
    const bool is_plain = kind == FLOAT32 || kind == BFLOAT16 || kind == FLOAT16;
    const void* weights = is_plain ? plain(rows * columns, kind) : quantized(rows, columns);
    return {kind, rows, columns, 0, weights, floats(rows)};
  }
};

Decoder* created(RandomModel& random, int threads, int rank)
{
  Decoder* decoder = nullptr;
  const int32_t failed = timebill_decoder_create(&random.model, threads, rank, &decoder);
  check(!failed, failed ? timebill_decoder_error() : "");
  return decoder;
}

// Runs tokens, so many a step, until the caches have that many more than `length`; returns the last one's logits.
std::vector<float> logits_after(RandomModel& random, Decoder* decoder, int length, int tokens, int together = 1)
{
  const int hidden = random.hidden, head = random.shape.head_size;
  for (Layer& layer : random.layers) layer.length = length;
  std::vector<float> logits;
  for (int first = 0; first < tokens; first += together) {
    const int count = std::min(together, tokens - first);
    std::vector<float> embeddings(count * hidden), cosine(count * head), sine(count * head);
    logits.assign(count * VOCABULARY, NAN);
    for (int i = 0; i < count; ++i) {
      for (int j = 0; j < hidden; ++j) embeddings[i * hidden + j] = std::sin(first + i + 0.3f * j);
      for (int j = 0; j < head; ++j)
        cosine[i * head + j] = std::cos(0.01f * (first + i) * j), sine[i * head + j] = std::sin(0.01f * (first + i) * j);
    }
    const int32_t failed =
      timebill_decoder_step(decoder, count, embeddings.data(), cosine.data(), sine.data(), logits.data());
    check(!failed, failed ? timebill_decoder_error() : "");
  }
  for (const Layer& layer : random.layers) check(layer.length == length + tokens, "lengths grow");
  return {logits.end() - VOCABULARY, logits.end()};
}

void check_full_cache(RandomModel& random, Decoder* decoder)
{
  std::vector<std::vector<char>> before;
  for (const auto* cache : random.caches) before.push_back(*cache);
  std::vector<float> any(2 * (random.shape.head_size + random.hidden)), logits(2 * VOCABULARY, 3.0f);
  for (const int tokens : {1, 2}) {
    for (Layer& layer : random.layers) layer.length = SHORTEST + 1 - tokens;
    check(
      timebill_decoder_step(decoder, tokens, any.data(), any.data(), any.data(), logits.data()), "a full cache is refused");
    check(std::string(timebill_decoder_error()).find("layer 1 is full") != std::string::npos, timebill_decoder_error());
    for (const Layer& layer : random.layers) check(layer.length == SHORTEST + 1 - tokens, "no length grows");
  }
  for (const int tokens : {0, MOST_TOKENS + 1}) {
    check(
      timebill_decoder_step(decoder, tokens, any.data(), any.data(), any.data(), logits.data()), "so many are refused");
    const std::string why = "a step has " + std::to_string(tokens) + " tokens";
    check(timebill_decoder_error() == why, timebill_decoder_error());
  }
  check(logits == std::vector<float>(2 * VOCABULARY, 3.0f), "no logits are written");
  for (size_t i = 0; i < before.size(); ++i) check(before[i] == *random.caches[i], "no cache is written");
}

void check_near(const std::vector<float>& found, const std::vector<float>& expected, const std::string& what)
{
  float largest = 0, difference = 0;
  for (int i = 0; i < VOCABULARY; ++i) {
    check(std::isfinite(found[i]), what + " is finite");
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(found[i] - expected[i]));
  }
  check(difference < 0.02f * largest, what + " gives the same logits");
}

void run_all(Shape shape, int32_t kind)
{
  RandomModel random(shape, kind, kind == BFLOAT16 ? BFLOAT16 : FLOAT32);
  std::vector<float> expected_first, expected_last;
  for (int rank = 0; const char* set = timebill_instruction_set(rank); ++rank)
    for (const int threads : {1, 2, 5}) {
      Decoder* decoder = created(random, threads, rank);
      const auto first = logits_after(random, decoder, 0, STEPS);
      const auto over_tile = logits_after(random, decoder, 30, STEPS);  // writes what `last` reads
      const auto last = logits_after(random, decoder, SHORTEST - STEPS, STEPS);
      if (expected_first.empty()) expected_first = first, expected_last = last;
      const std::string what = std::string(set) + " " + NAMES[kind] + " on " + std::to_string(threads);
      check_near(first, expected_first, what);
      check_near(last, expected_last, what + ", full");
      for (int together = 2; together <= MOST_TOKENS; ++together) {
        const std::string several = what + ", " + std::to_string(together) + " together";
        check(logits_after(random, decoder, 0, STEPS, together) == first, several);
        check(logits_after(random, decoder, SHORTEST - STEPS, STEPS, together) == last, several + ", full");
        check(
          logits_after(random, decoder, 30, STEPS, together) == over_tile, several + ", over the end of a tile");
      }
      check_full_cache(random, decoder);
      for (Layer& layer : random.layers) layer.length = SHORTEST;
      for (const int answer : {0, 6}) {
        const std::string fault = CheckedEviction(random.model, answer).fault(decoder);
        check(fault.empty(), what + ": " + fault);
      }
      timebill_decoder_destroy(decoder);
    }
}

void check_lookups()
{
  for (const int32_t kind : {INT8, INT4, INT5, SUPER4, SUPER5, SUPER6}) {
    RandomModel random(SHAPES[2], kind, FLOAT32);
    const Matrix matrix = random.matrix(VOCABULARY, random.hidden);
    const std::vector<int64_t> rows{0, VOCABULARY - 1, 31}, none{VOCABULARY}, negative{-1};
    std::vector<float> found(rows.size() * random.hidden, NAN);
    check(!timebill_decoder_lookup(&matrix, rows.data(), rows.size(), found.data()), timebill_decoder_error());
    for (const float value : found) check(std::isfinite(value), "a row that was looked up is finite");
    check(timebill_decoder_lookup(&matrix, none.data(), 1, found.data()), "a row past the end is refused");
    check(timebill_decoder_lookup(&matrix, negative.data(), 1, found.data()), "a row before the first is refused");
  }
}

void check_refused_evictions()
{
  RandomModel random(SHAPES[0], FLOAT32, FLOAT32);
  Decoder* decoder = created(random, 2, 0);
  for (Layer& layer : random.layers) layer.length = SHORTEST;
  const auto check_refused = [&](auto change, const char* why) {
    CheckedEviction checked(random.model, 0);
    change(checked);
    check(timebill_decoder_evict(decoder, &checked.eviction) == 1, why);
    check(std::string(timebill_decoder_error()).find(why) != std::string::npos, timebill_decoder_error());
  };
  check_refused([](auto& one) { one.eviction.window = 5; }, "5 queries of the last 4 tokens");
  check_refused([](auto& one) { one.eviction.window = 0; }, "0 queries of the last 4 tokens");
  check_refused([](auto& one) { one.eviction.kernel = 4; }, "the kernel is 4");
  check_refused([](auto& one) { one.eviction.kept_tokens = 5; }, "5 of 40 tokens are to stay");
  check_refused([](auto& one) { one.eviction.kept_tokens = 41; }, "41 of 40 tokens are to stay");
  check_refused([](auto& one) { --one.layers[1].capacity; }, "layer 1 has 40 tokens and room for 19");
  check_refused([](auto& one) { one.layers[2].positions = nullptr; }, "something of layer 2 is missing");

  const int32_t aborted = 1;
  CheckedEviction checked(random.model, 0);
  checked.eviction.abort = &aborted;
  check(timebill_decoder_evict(decoder, &checked.eviction) == INTERRUPTED, "an abort is seen");
  checked.eviction.abort = nullptr, checked.eviction.deadline_ns = 0;
  check(timebill_decoder_evict(decoder, &checked.eviction) == INTERRUPTED, "a deadline is seen");
  timebill_decoder_destroy(decoder);
}

void create_and_destroy()
{
  RandomModel random(SHAPES[0], INT4, BFLOAT16);
  for (int i = 0; i < 60; ++i) {
    Decoder* decoder = created(random, 1 + i % 5, 0);
    if (i % 3) logits_after(random, decoder, 0, i % 3);
    timebill_decoder_destroy(decoder);
  }
}

void check_refusals()
{
  RandomModel random(SHAPES[0], FLOAT32, FLOAT32);
  const auto check_refused = [](const Model& model, int threads, int rank, const char* why) {
    Decoder* decoder = nullptr;
    check(timebill_decoder_create(&model, threads, rank, &decoder) && !decoder, why);
    check(std::string(timebill_decoder_error()).find(why) != std::string::npos, timebill_decoder_error());
  };
  check_refused(random.model, 1, 99, "no instruction set 99");
  check_refused(random.model, 1, -1, "no instruction set -1");
  check_refused(random.model, 0, 0, "must be a thread, not 0");
  Model other = random.model;
  other.head_size = 512;
  check_refused(other, 1, 0, "head size is 512");
  other = random.model;
  other.heads = 7;
  check_refused(other, 1, 0, "7 heads share 2");
  other = random.model;
  other.head.columns = 64;
  check_refused(other, 1, 0, "77 x 64, not 77 x 96");
  other = random.model;
  other.head.kind = 9;
  check_refused(other, 1, 0, "kind 9");
  other = random.model;
  other.cache_kind = INT8;
  check_refused(other, 1, 0, "cache is of kind 2");
}

}  // namespace

int main()
{
  check(timebill_decoder_stamp[0] == ABI_VERSION && timebill_decoder_stamp[2] == sizeof(Layer), "the stamp is its own");
  for (const Shape& shape : SHAPES)
    for (int32_t kind = 0; kind < KINDS; ++kind)
      if (shape.heads * shape.head_size % column_multiple(kind) == 0) run_all(shape, kind);
  check_lookups();
  create_and_destroy();
  check_refusals();
  check_refused_evictions();
}
