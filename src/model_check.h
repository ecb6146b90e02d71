// What the kernels take for granted of a model: one that differs would be read or written past its end.

#pragma once

#include <stdexcept>
#include <string>

#include "decoder_state.h"

namespace {

void expect(bool condition, const std::string& otherwise)
{
  if (!condition) throw std::invalid_argument(otherwise);
}

void expect_shape(const Matrix& matrix, int64_t rows, int64_t columns)
{
  expect(
    matrix.weights && matrix.kind >= FLOAT32 && matrix.kind < KINDS && matrix.rows == rows &&
    matrix.columns == columns && columns % column_multiple(matrix.kind) == 0,
    "a matrix of kind " + std::to_string(matrix.kind) + " is " + std::to_string(matrix.rows) + " x " +
    std::to_string(matrix.columns) + ", not " + std::to_string(rows) + " x " + std::to_string(columns));
}

void expect_sound(const Model& model)
{
  const int hidden = model.hidden, size = model.head_size;
  expect(size > 0 && size % GROUP == 0 && size <= MAX_HEAD, "the head size is " + std::to_string(size));
  expect(hidden > 0 && hidden % GROUP == 0, "the hidden size is " + std::to_string(hidden));
  expect(
    model.intermediate > 0 && model.intermediate % GROUP == 0,
    "the intermediate size is " + std::to_string(model.intermediate));
  expect(
    model.kv_heads > 0 && model.heads > 0 && model.heads % model.kv_heads == 0,
    std::to_string(model.heads) + " heads share " + std::to_string(model.kv_heads) + " KV heads");
  expect(
    model.cache_kind == FLOAT32 || model.cache_kind == BFLOAT16,
    "the cache is of kind " + std::to_string(model.cache_kind));
  for (int i = 0; i < model.layers; ++i) {
    const Layer& layer = model.layer[i];
    expect_shape(layer.query, model.heads * size, hidden);
    expect_shape(layer.key, model.kv_heads * size, hidden);
    expect_shape(layer.value, model.kv_heads * size, hidden);
    expect_shape(layer.output, hidden, model.heads * size);
    expect_shape(layer.gate, model.intermediate, hidden);
    expect_shape(layer.up, model.intermediate, hidden);
    expect_shape(layer.down, hidden, model.intermediate);
  }
  expect_shape(model.head, model.head.rows, hidden);
}

void expect_sound(const Model& model, const Pass& pass)
{
  expect(pass.tokens > 0, "a pass has " + std::to_string(pass.tokens) + " tokens");
  expect(
    0 <= pass.first_layer && pass.first_layer < pass.last_layer && pass.last_layer <= model.layers,
    "a pass is through layers " + std::to_string(pass.first_layer) + " to " + std::to_string(pass.last_layer));
  for (const int rows : {pass.rows, pass.logit_rows, pass.observed_rows})
    expect(0 <= rows && rows <= pass.tokens, std::to_string(rows) + " of " + std::to_string(pass.tokens) + " rows");
  expect(
    pass.logit_rows <= pass.rows && (pass.logit_rows == 0 || pass.last_layer == model.layers),
    "logits of " + std::to_string(pass.logit_rows) + " rows need their states behind the last layer");
}

void expect_sound(const Model& model, const Eviction& eviction)
{
  const int64_t prompt = eviction.prompt_tokens, kept = eviction.kept_tokens;
  expect(
    0 < eviction.window && eviction.window <= eviction.always_last && 0 <= eviction.sinks,
    std::to_string(eviction.window) + " queries of the last " + std::to_string(eviction.always_last) + " tokens");
  expect(eviction.kernel > 0 && eviction.kernel % 2 == 1, "the kernel is " + std::to_string(eviction.kernel));
  expect(
    static_cast<int64_t>(eviction.sinks) + eviction.always_last <= kept && kept <= prompt,
    std::to_string(kept) + " of " + std::to_string(prompt) + " tokens are to stay");
  for (int i = 0; i < model.layers; ++i) {
    const EvictedLayer& evicted = eviction.layer[i];
    const int64_t length = model.layer[i].length;
    if (!evicted.keys) continue;
    expect(
      evicted.queries && evicted.log_sums && evicted.values && evicted.positions,
      "something of layer " + std::to_string(i) + " is missing");
    expect(
      prompt <= length && evicted.capacity >= length - prompt + kept,
      "layer " + std::to_string(i) + " has " + std::to_string(length) + " tokens and room for " +
      std::to_string(evicted.capacity));
  }
}

}  // namespace
