// Prefills and steps of small random models, of every kind of weights, against the same model in plain double
// precision. The first line names the instruction sets, the best first. Then for each kind of weights and of cache:
// how far the logits of the best set are off, as a share of their root mean square, in steps and in a prefill. An eviction
// from each cache must keep what plain arithmetic would, and the token that follows must be that of plain arithmetic.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "checked_eviction.h"
#include "decoder_abi.h"
#include "weight_kinds.h"

namespace {

constexpr const char* NAMES[] =
  {"float32", "bfloat16", "int8", "int4", "int5", "super4", "super5", "super6", "float16"};
constexpr int VOCABULARY = 77, LAYERS = 2, HEADS = 8, KV_HEADS = 2, HEAD = 32, WINDOW = 5;
constexpr int TOKENS = 37, FIRST = 20, STEPS = 7;  // a prefill in two passes; steps from the beginning
constexpr float EPSILON = 1e-5f, SCALING = 0.15f;

using Doubles = std::vector<double>;

[[noreturn]] void fail(const std::string& why)
{
  std::cerr << why << std::endl;
  std::exit(1);
}

void expect_done(int32_t failed)
{
  if (failed) fail(failed == INTERRUPTED ? "a pass was interrupted" : timebill_decoder_error());
}

double from_half(uint16_t half)
{
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double size = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
  return half & 0x8000 ? -size : size;
}

// A model of random weights, and the memory that it points to.
struct RandomModel {
  int32_t kind;
  int hidden, intermediate;
  uint32_t state;
  std::list<std::vector<char>> memory;
  std::vector<Layer> layers{LAYERS};
  Model model{};

  RandomModel(int32_t weights, int32_t cache) : kind(weights), state(weights + 1)
  {
    const bool is_super = column_multiple(kind) == SUPER;
    hidden = is_super ? SUPER : 96, intermediate = is_super ? SUPER : 160;
    for (int i = 0; i < LAYERS; ++i) {
      Layer& layer = layers[i];
      layer = {};
      layer.attention_norm = floats(hidden, 1, 0.5), layer.mlp_norm = floats(hidden, 1, 0.5);
      if (i > 0) layer.query_norm = floats(HEAD, 1, 0.5), layer.key_norm = floats(HEAD, 1, 0.5);
      layer.query = matrix(HEADS * HEAD, hidden);
      layer.key = matrix(KV_HEADS * HEAD, hidden), layer.value = matrix(KV_HEADS * HEAD, hidden);
      layer.output = matrix(hidden, HEADS * HEAD);
      layer.gate = matrix(intermediate, hidden), layer.up = matrix(intermediate, hidden);
      layer.down = matrix(hidden, intermediate);
      layer.capacity = TOKENS + 3;
      layer.window = i > 0 ? WINDOW : 0;
      const size_t cached = KV_HEADS * HEAD * layer.capacity * sizeof(float);
      layer.keys = block(cached), layer.values = block(cached);
    }
    model.layers = LAYERS, model.hidden = hidden, model.intermediate = intermediate;
    model.heads = HEADS, model.kv_heads = KV_HEADS, model.head_size = HEAD;
    model.cache_kind = cache, model.epsilon = EPSILON, model.scaling = SCALING;
    model.layer = layers.data(), model.final_norm = floats(hidden, 1, 0.5), model.head = matrix(VOCABULARY, hidden);
  }

  char* block(size_t bytes) { return memory.emplace_back(bytes).data(); }

  double random()  // in [-1, 1)
  {
    state = state * 1664525u + 1013904223u;
    return static_cast<double>(state >> 8) / (1 << 23) - 1;
  }

  float* floats(int count, double middle, double spread)
  {
    auto* const values = reinterpret_cast<float*>(block(count * sizeof(float)));
    for (int i = 0; i < count; ++i) values[i] = static_cast<float>(middle + spread * random());
    return values;
  }

  // Half-precision numbers of all fractions: of that sign and exponent, and of the one below it.
  char* halves(char* to, int count, uint16_t upper_bits)
  {
    for (int i = 0; i < count; ++i, to += sizeof(uint16_t)) {
      const auto number = static_cast<uint16_t>(upper_bits + static_cast<int>(1024 * random()));
      std::memcpy(to, &number, sizeof number);
    }
    return to;
  }

  char* any_bytes(char* to, int count)
  {
    for (int i = 0; i < count; ++i) *to++ = static_cast<char>(static_cast<int>(std::floor(128 * random())));
    return to;
  }

  const void* plain(int count)
  {
    if (kind == FLOAT32) return floats(count, 0, 0.2);
    char* const values = block(count * sizeof(uint16_t));
    for (int i = 0; i < count; ++i) {
      const auto value = static_cast<float>(0.2 * random());  // its high half is a bfloat16
      std::memcpy(values + 2 * i, reinterpret_cast<const char*>(&value) + 2, 2);
      if (kind == FLOAT16) halves(values + 2 * i, 1, random() < 0 ? 0xac00 : 0x2c00);  // +-2^-4
    }
    return values;
  }

  // Scales are positive and minimums negative, so that weights lie around 0.
  const void* quantized(int rows, int columns)
  {
    const int blocks = (rows + BLOCK - 1) / BLOCK;
    char* const bytes = block(blocks * block_bytes(kind, columns));
    char* to = bytes;
    for (int group = 0; group < blocks * columns / GROUP; ++group) {
      const bool is_first = group % (SUPER / GROUP) == 0;
      switch (kind) {
        case INT8: to = halves(any_bytes(to, code_bytes(4)), BLOCK, 0x1400); break;  // 2^-10
        case INT4: to = halves(halves(any_bytes(to, code_bytes(0)), BLOCK, 0x2400), BLOCK, 0xb000); break;  // 2^-6, -2^-3
        case INT5: to = halves(halves(any_bytes(to, code_bytes(1)), BLOCK, 0x2000), BLOCK, 0xb000); break;
        case SUPER4: case SUPER5:
          if (is_first) to = halves(halves(to, BLOCK, kind == SUPER4 ? 0x0800 : 0x0400), BLOCK, 0x9400);
          to = any_bytes(to, code_bytes(kind == SUPER4 ? 0 : 1) + 2 * BLOCK);
          break;
        case SUPER6:
          if (is_first) to = halves(to, BLOCK, 0x0400);  // below 2^-14 are numbers without a leading one
          to = any_bytes(to, code_bytes(2) + 2 * BLOCK);
          break;
      }
    }
    return bytes;
  }

  Matrix matrix(int rows, int columns)
  {
    const bool is_plain = kind == FLOAT32 || kind == BFLOAT16 || kind == FLOAT16;
    const void* const weights = is_plain ? plain(rows * columns) : quantized(rows, columns);
    return {kind, rows, columns, 0, weights, floats(rows, 0, 0.3)};
  }
};

// Returns (rows, columns).
Doubles weights_of(const Matrix& matrix)
{
  const int64_t count = static_cast<int64_t>(matrix.rows) * matrix.columns;
  if (matrix.kind == FLOAT32) {
    const auto* const from = static_cast<const float*>(matrix.weights);
    return Doubles(from, from + count);
  }
  if (matrix.kind == BFLOAT16 || matrix.kind == FLOAT16) {
    Doubles all;
    for (const auto* from = static_cast<const uint16_t*>(matrix.weights); all.size() < static_cast<size_t>(count); ++from) {
      float high_half = 0;
      std::memcpy(reinterpret_cast<char*>(&high_half) + 2, from, 2);
      all.push_back(matrix.kind == FLOAT16 ? from_half(*from) : high_half);
    }
    return all;
  }
  std::vector<int64_t> rows(matrix.rows);
  for (int row = 0; row < matrix.rows; ++row) rows[row] = row;
  std::vector<float> found(count);
  expect_done(timebill_decoder_lookup(&matrix, rows.data(), matrix.rows, found.data()));
  return Doubles(found.begin(), found.end());
}

// The model in plain double precision: slow, and easy to read.
struct PlainModel {
  const Model& model;

  static Doubles normalised(const double* x, const float* weight, int size)
  {
    double squares = 0;
    for (int i = 0; i < size; ++i) squares += x[i] * x[i];
    Doubles y(size);
    for (int i = 0; i < size; ++i) y[i] = x[i] / std::sqrt(squares / size + EPSILON) * weight[i];
    return y;
  }

  static Doubles product(const Matrix& matrix, const Doubles& weights, const Doubles& x)
  {
    Doubles y(matrix.rows);
    for (int row = 0; row < matrix.rows; ++row) {
      y[row] = matrix.bias[row];
      for (int i = 0; i < matrix.columns; ++i) y[row] += weights[row * matrix.columns + i] * x[i];
    }
    return y;
  }

  // Each head of a token.
  static void position(Doubles& heads, const float* norm, const float* cosine, const float* sine)
  {
    for (size_t first = 0; first < heads.size(); first += HEAD) {
      Doubles x(heads.begin() + first, heads.begin() + first + HEAD);
      if (norm) x = normalised(x.data(), norm, HEAD);
      for (int i = 0; i < HEAD; ++i) {
        const int other = (i + HEAD / 2) % HEAD;
        heads[first + i] = x[i] * cosine[i] + (i < HEAD / 2 ? -1 : 1) * x[other] * sine[i];
      }
    }
  }

  static Doubles attended(const Doubles& query, const std::vector<Doubles>& keys, const std::vector<Doubles>& values, int from)
  {
    Doubles output(query.size());
    for (int head = 0; head < HEADS; ++head) {
      const int shared = head / (HEADS / KV_HEADS) * HEAD;
      double total = 0;
      for (size_t token = from; token < keys.size(); ++token) {
        double score = 0;
        for (int i = 0; i < HEAD; ++i) score += query[head * HEAD + i] * keys[token][shared + i];
        const double weight = std::exp(score * SCALING);
        total += weight;
        for (int i = 0; i < HEAD; ++i) output[head * HEAD + i] += weight * values[token][shared + i];
      }
      for (int i = 0; i < HEAD; ++i) output[head * HEAD + i] /= total;
    }
    return output;
  }

  // Returns (TOKENS, VOCABULARY).
  Doubles logits(const float* embeddings, const float* cosine, const float* sine) const
  {
    const int hidden = model.hidden;
    std::vector<Doubles> states;
    for (int token = 0; token < TOKENS; ++token)
      states.emplace_back(embeddings + token * hidden, embeddings + (token + 1) * hidden);
    for (int index = 0; index < model.layers; ++index) {
      const Layer& layer = model.layer[index];
      const Doubles query = weights_of(layer.query), key = weights_of(layer.key), value = weights_of(layer.value);
      const Doubles out = weights_of(layer.output), gate = weights_of(layer.gate), up = weights_of(layer.up);
      const Doubles down = weights_of(layer.down);
      std::vector<Doubles> keys, values;
      for (int token = 0; token < TOKENS; ++token) {
        Doubles x = normalised(states[token].data(), layer.attention_norm, hidden);
        Doubles q = product(layer.query, query, x);
        keys.push_back(product(layer.key, key, x)), values.push_back(product(layer.value, value, x));
        position(q, layer.query_norm, cosine + token * HEAD, sine + token * HEAD);
        position(keys.back(), layer.key_norm, cosine + token * HEAD, sine + token * HEAD);
        const int from = layer.window > 0 ? std::max<int>(0, token + 1 - layer.window) : 0;
        add(states[token], product(layer.output, out, attended(q, keys, values, from)));
        x = normalised(states[token].data(), layer.mlp_norm, hidden);
        Doubles gates = product(layer.gate, gate, x);
        const Doubles ups = product(layer.up, up, x);
        for (size_t i = 0; i < gates.size(); ++i) gates[i] *= ups[i] / (1 + std::exp(-gates[i]));
        add(states[token], product(layer.down, down, gates));
      }
    }
    const Doubles head = weights_of(model.head);
    Doubles all;
    for (const Doubles& state : states)
      for (const double logit : product(model.head, head, normalised(state.data(), model.final_norm, hidden)))
        all.push_back(logit);
    return all;
  }

  static void add(Doubles& to, const Doubles& x)
  {
    for (size_t i = 0; i < to.size(); ++i) to[i] += x[i];
  }
};

// What every run of a model gets.
struct Inputs {
  std::vector<float> embeddings, cosine, sine;

  explicit Inputs(int hidden)
  {
    for (int i = 0; i < TOKENS * hidden; ++i) embeddings.push_back(std::sin(0.37f * i + 0.001f * i * i));
    for (int i = 0; i < TOKENS * HEAD; ++i) {
      const float angle = 0.03f * (i / HEAD) * (1 + i % (HEAD / 2));
      cosine.push_back(std::cos(angle)), sine.push_back(std::sin(angle));
    }
  }
};

using Logits = std::vector<float>;  // (tokens, VOCABULARY)

// So many tokens at a time.
Logits stepped(RandomModel& random, Decoder* decoder, const Inputs& inputs, int together)
{
  Logits logits(STEPS * VOCABULARY);
  for (Layer& layer : random.layers) layer.length = 0;
  for (int i = 0; i < STEPS; i += together)
    expect_done(timebill_decoder_step(
      decoder, std::min(together, STEPS - i), &inputs.embeddings[i * random.hidden], &inputs.cosine[i * HEAD],
      &inputs.sine[i * HEAD], &logits[i * VOCABULARY]));
  return logits;
}

Logits prefilled(RandomModel& random, Decoder* decoder, const Inputs& inputs)
{
  Logits logits(TOKENS * VOCABULARY);
  std::vector<float> states = inputs.embeddings;
  for (Layer& layer : random.layers) layer.length = 0;
  for (const auto& [first, last] : {std::pair(0, FIRST), std::pair(FIRST, TOKENS)}) {
    Pass pass{};
    pass.tokens = pass.rows = pass.logit_rows = last - first;
    pass.last_layer = LAYERS;
    pass.hidden = &states[first * random.hidden], pass.logits = &logits[first * VOCABULARY];
    pass.cosine = &inputs.cosine[first * HEAD], pass.sine = &inputs.sine[first * HEAD];
    pass.deadline_ns = std::numeric_limits<int64_t>::max();
    expect_done(timebill_decoder_prefill(decoder, &pass));
  }
  return logits;
}

// The largest difference, as a share of the root mean square; infinite if a logit is no number.
double distance(const Logits& found, const Doubles& expected)
{
  double largest = 0, squares = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!std::isfinite(found[i])) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::abs(found[i] - expected[i]));
    squares += expected[i] * expected[i];
  }
  return largest / std::sqrt(squares / found.size());
}

// The token that follows, against plain arithmetic. The likeliest is among those that were seen.
void check_choice(Decoder* decoder, Logits logits)
{
  const auto likeliest = std::max_element(logits.begin(), logits.end()) - logits.begin();
  const std::vector<int64_t> seen{3, likeliest == 70 ? 71 : 70, likeliest};
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  Logits penalised = logits;
  for (const int64_t token : seen) penalised[token] = logits[token] < 0 ? logits[token] * 1.5f : logits[token] / 1.5f;
  const auto expected = std::max_element(penalised.begin(), penalised.end()) - penalised.begin();
  const double log_probability = logits[expected] - std::log(total);
  int64_t token = -1;
  float found = 0;
  expect_done(timebill_decoder_choose(decoder, logits.data(), seen.data(), seen.size(), 1.5f, &token, &found));
  if (token != expected || logits != penalised) fail("another token is chosen");
  if (!(std::abs(found - log_probability) < 1e-4)) fail("the token has another probability");
}

}  // namespace

int main()
{
  for (int rank = 0; const char* name = timebill_instruction_set(rank); ++rank) std::cout << (rank ? " " : "") << name;
  std::cout << std::endl;
  for (int32_t kind = 0; kind < KINDS; ++kind) {
    Doubles expected;
    for (const int32_t cache : {FLOAT32, BFLOAT16}) {
      RandomModel random(kind, cache);
      const Inputs inputs(random.hidden);
      if (expected.empty())
        expected = PlainModel{random.model}.logits(inputs.embeddings.data(), inputs.cosine.data(), inputs.sine.data());
      Decoder* decoder = nullptr;
      expect_done(timebill_decoder_create(&random.model, cache == FLOAT32 ? 1 : 2, 0, &decoder));
      const Logits steps = stepped(random, decoder, inputs, 1);
      bool is_same = true;  // bit for bit
      for (const int together : {2, 3, 4}) is_same &= stepped(random, decoder, inputs, together) == steps;
      std::cout << NAMES[kind] << ' ' << NAMES[cache] << ' ' << distance(steps, expected) << ' '
                << distance(prefilled(random, decoder, inputs), expected) << ' ' << is_same << std::endl;
      check_choice(decoder, {steps.end() - VOCABULARY, steps.end()});
      if (const std::string fault = CheckedEviction(random.model, 4).fault(decoder); !fault.empty()) fail(fault);
      timebill_decoder_destroy(decoder);
    }
  }
}
