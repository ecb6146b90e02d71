// An eviction through the library, against SnapKV in plain double precision. For decoder_levels.cpp and
// decoder_sanitized.cpp: each buffer is a heap block of exactly the size that decoder_abi.h names.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "decoder_abi.h"
#include "weight_kinds.h"

struct CheckedEviction {
  const Model& model;
  const int64_t answer_tokens;
  Eviction eviction{};
  std::vector<EvictedLayer> layers;
  std::vector<std::vector<float>> log_sums;
  std::vector<std::vector<char>> queries, keys, values;
  std::vector<std::vector<int64_t>> positions;

  // Of all tokens that the caches have, the last ones are the answer's.
  CheckedEviction(const Model& given, int64_t answer) : model(given), answer_tokens(answer), layers(given.layers)
  {
    eviction.window = 3, eviction.kernel = 5, eviction.sinks = 2, eviction.always_last = 4;
    eviction.prompt_tokens = model.layer[0].length - answer;
    eviction.kept_tokens = eviction.prompt_tokens / 2;
    eviction.layer = layers.data();
    eviction.deadline_ns = std::numeric_limits<int64_t>::max();
    const int64_t capacity = eviction.kept_tokens + answer;
    const size_t cached = model.kv_heads * capacity * model.head_size * bytes();
    for (int i = 0; i < model.layers; ++i) {
      queries.emplace_back(rows() * model.head_size * bytes());
      for (int64_t j = 0; j < rows() * model.head_size; ++j) put(queries.back(), j, std::sin(0.7f * j + i));
      log_sums.emplace_back(rows());
      keys.emplace_back(cached), values.emplace_back(cached);
      positions.emplace_back(model.kv_heads * eviction.kept_tokens, -1);
      for (int64_t row = 0; row < rows(); ++row) {
        double sum = 0;
        for (int64_t token = 0; token < eviction.prompt_tokens; ++token) sum += std::exp(score(i, row, token));
        log_sums.back()[row] = static_cast<float>(std::log(sum));
      }
      layers[i] = {queries.back().data(), log_sums.back().data(), keys.back().data(), values.back().data(), capacity,
                   positions.back().data()};
    }
  }

  size_t bytes() const { return model.cache_kind == FLOAT32 ? sizeof(float) : sizeof(uint16_t); }
  int group() const { return model.heads / model.kv_heads; }
  int64_t rows() const { return static_cast<int64_t>(model.heads) * eviction.window; }
  int64_t voted() const { return eviction.prompt_tokens - eviction.window; }

  // A bfloat16 is the high half of a float.
  void put(std::vector<char>& to, int64_t at, float value) const
  {
    std::memcpy(to.data() + at * bytes(), reinterpret_cast<const char*>(&value) + sizeof value - bytes(), bytes());
  }

  double number(const void* from, int64_t at) const
  {
    float value = 0;
    std::memcpy(reinterpret_cast<char*>(&value) + sizeof value - bytes(), static_cast<const char*>(from) + at * bytes(),
                bytes());
    return value;
  }

  double score(int index, int64_t row, int64_t token) const
  {
    const Layer& layer = model.layer[index];
    const int64_t head = row / eviction.window / group(), key = (head * layer.capacity + token) * model.head_size;
    double sum = 0;
    for (int i = 0; i < model.head_size; ++i)
      sum += number(queries[index].data(), row * model.head_size + i) * number(layer.keys, key + i);
    return sum * model.scaling;
  }

  // (voted)
  std::vector<double> votes(int index, int head) const
  {
    std::vector<double> pooled(voted(), 0.0);
    for (int member = head * group(); member < (head + 1) * group(); ++member) {
      std::vector<double> highest(voted(), 0.0);
      for (int64_t token = 0; token < voted(); ++token)
        for (int64_t row = member * eviction.window; row < (member + 1) * eviction.window; ++row)
          highest[token] = std::max(highest[token], std::exp(score(index, row, token) - log_sums[index][row]));
      for (int64_t token = 0; token < voted(); ++token) {
        double sum = 0;
        for (int64_t i = token - eviction.kernel / 2; i <= token + eviction.kernel / 2; ++i)
          if (0 <= i && i < voted()) sum += highest[i];
        pooled[token] = std::max(pooled[token], sum / eviction.kernel);
      }
    }
    return pooled;
  }

  // Returns what is wrong; '' if nothing is.
  std::string fault(Decoder* decoder)
  {
    if (timebill_decoder_evict(decoder, &eviction)) return timebill_decoder_error();
    for (int i = 0; i < model.layers; ++i)
      for (int head = 0; head < model.kv_heads; ++head) {
        const std::string where = " in layer " + std::to_string(i) + ", head " + std::to_string(head);
        const int64_t* const kept = positions[i].data() + head * eviction.kept_tokens;
        std::vector<double> best = votes(i, head);
        const int64_t first = eviction.sinks, end = eviction.prompt_tokens - eviction.always_last;
        double ours = 0, highest = 0;
        for (int64_t j = 0; j < eviction.kept_tokens; ++j) {
          if (kept[j] < 0 || kept[j] >= eviction.prompt_tokens || (j && kept[j] <= kept[j - 1]))
            return "positions are not in their order" + where;
          if (j < first && kept[j] != j) return "the first tokens do not stay" + where;
          if (kept[j] >= first && kept[j] < end) ours += best[kept[j]];
        }
        if (kept[eviction.kept_tokens - eviction.always_last] != end) return "the last tokens do not stay" + where;
        std::sort(best.begin() + first, best.begin() + end, [](double a, double b) { return a > b; });
        const int64_t chosen = eviction.kept_tokens - first - eviction.always_last;
        for (int64_t j = first; j < first + chosen; ++j) highest += best[j];
        if (!(ours > 0.99 * highest)) return "tokens with fewer votes stay" + where;
        if (!are_copied(i, head, kept)) return "what stays is not what was there" + where;
      }
    return "";
  }

  bool are_copied(int index, int head, const int64_t* kept) const
  {
    const Layer& layer = model.layer[index];
    const size_t row = model.head_size * bytes();
    for (int64_t j = 0; j < eviction.kept_tokens + answer_tokens; ++j) {
      const int64_t behind = j - eviction.kept_tokens;
      const int64_t from = head * layer.capacity + (behind < 0 ? kept[j] : eviction.prompt_tokens + behind);
      const int64_t to = head * layers[index].capacity + j;
      if (std::memcmp(keys[index].data() + to * row, static_cast<const char*>(layer.keys) + from * row, row)) return false;
      if (std::memcmp(values[index].data() + to * row, static_cast<const char*>(layer.values) + from * row, row)) return false;
    }
    return true;
  }
};
