// What crosses the boundary between Python and the library. decoder_library.py has the same structs.
//
// Plain C: no Python and no torch in here, and no exception ever crosses it.

#pragma once

#include <cstdint>

extern "C" {

// Raise it whenever a library and a Python of different versions would misread each other: a function, a struct, the
// order in which quantization.py packs weights.
constexpr int32_t ABI_VERSION = 2;

// Weights of (rows, columns): plain, or quantized as quantization.py packs them.
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

struct Decoder;

// ABI_VERSION, then the bytes of Matrix, Layer and Model. Data, not a function: Python reads it before it calls
// anything of a library that may be of another version.
extern const int32_t timebill_decoder_stamp[4];

// Returns the name of the instruction set of that rank, the best first; null past the last.
const char* timebill_instruction_set(int32_t rank) noexcept;

// Returns why this thread's last call failed, as a clause.
const char* timebill_decoder_error() noexcept;

// The functions that may fail return 0, or 1 if they did.

// The model's struct is copied; what it points to must live as long as the decoder.
int32_t timebill_decoder_create(const Model* model, int32_t threads, int32_t rank, Decoder** decoder) noexcept;

// Runs one step. `embedding` (hidden), `cosine` and `sine` (head_size) are the token's; `logits` (vocabulary) is
// written to. Keys and values are appended to the layers' caches, whose lengths grow by one. If one of the caches is
// full, nothing is written.
int32_t timebill_decoder_step(
  Decoder* decoder, const float* embedding, const float* cosine, const float* sine, float* logits) noexcept;

void timebill_decoder_destroy(Decoder* decoder) noexcept;

}  // extern "C"
