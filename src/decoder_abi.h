// What crosses the boundary between Python and the library. decoder_library.py has the same structs.
//
// Plain C: no Python and no torch in here, and no exception ever crosses it.

#pragma once

#include <cstdint>

extern "C" {

// Raise it whenever a library and a Python of different versions would misread each other: a function, a struct, the
// order in which packed_weight.py packs weights.
constexpr int32_t ABI_VERSION = 7;

// Weights of (rows, columns): plain, or quantized as weight_kinds.h says.
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

// Tokens that go through some of the layers together.
struct Pass {
  int32_t tokens, first_layer, last_layer;  // layers [first, last)
  int32_t rows;           // tokens, the last ones, whose states are wanted behind the last of these layers
  int32_t logit_rows;     // of these, so many have logits
  int32_t observed_rows;  // tokens, the last ones, whose queries and sums are written out
  float* hidden;          // (tokens, hidden): embeddings or states before, states after
  const float *cosine, *sine;  // (tokens, head_size)
  float* logits;               // (logit_rows, vocabulary)
  void* observed;        // (layers, heads, observed_rows, head_size), as the cache; behind the rotary embedding
  float* log_sums;       // (layers, heads, observed_rows), of the exponentials of all scores of such a query
  const int32_t* abort;  // null, or another thread makes it other than 0 to end the pass
  int64_t deadline_ns;   // on the monotonic clock
  int64_t longest_unchecked_ns;  // written: the longest time in which `abort` and the deadline were not looked at
};

// One layer's part of an eviction.
struct EvictedLayer {
  const void* queries;    // (heads, window, head_size), as the cache; of the prompt's last tokens
  const float* log_sums;  // (heads, window), of the exponentials of all scores of such a query
  void *keys, *values;    // (kv_heads, capacity, head_size), where what stays is written to; null: all stays where it is
  int64_t capacity;
  int64_t* positions;     // (kv_heads, kept_tokens), written: of the prompt's tokens that stay, in their order
};

// The prompt's part of the caches shrinks to the tokens that SnapKV rates best. See snapkv.py for its settings.
struct Eviction {
  int32_t window;       // queries a head, at most always_last
  int32_t kernel;       // width of the averages along the prompt, odd
  int32_t sinks;        // tokens that always stay: the first of the prompt
  int32_t always_last;  // and its last
  int64_t prompt_tokens, kept_tokens;  // a KV head
  const EvictedLayer* layer;           // of all layers
  const int32_t* abort;                // this and what follows: as of a pass
  int64_t deadline_ns;
  int64_t longest_unchecked_ns;
};

constexpr int32_t INTERRUPTED = 2;

struct Decoder;

// ABI_VERSION, then the bytes of the structs. Data, not a function: Python reads it before it calls
// anything of a library that may be of another version.
extern const int32_t timebill_decoder_stamp[7];

// Returns the name of the instruction set of that rank, the best first; null past the last.
const char* timebill_instruction_set(int32_t rank) noexcept;

// Returns why this thread's last call failed, as a clause.
const char* timebill_decoder_error() noexcept;

// The functions that may fail return 0, or 1 if they did.

// The model's struct is copied; what it points to must live as long as the decoder.
int32_t timebill_decoder_create(const Model* model, int32_t threads, int32_t rank, Decoder** decoder) noexcept;

// Runs one step over 1 to 4 tokens that follow each other. `embeddings` (tokens, hidden), `cosine` and `sine`
// (tokens, head_size) are the tokens'; `logits` (tokens, vocabulary) is written to. Each token's are what they would be
// in a step of its own, bit for bit. Keys and values are appended to the layers' caches, whose lengths grow by the
// tokens; whoever lowers them takes tokens back. If one of the caches has no room for all tokens, nothing is written.
int32_t timebill_decoder_step(
  Decoder* decoder, int32_t tokens, const float* embeddings, const float* cosine, const float* sine,
  float* logits) noexcept;

// Runs several tokens through some layers; keys and values are appended to the caches of these layers. If the pass was
// aborted or its deadline passed, it returns INTERRUPTED and the lengths of the caches have not changed; `hidden` may
// have.
int32_t timebill_decoder_prefill(Decoder* decoder, Pass* pass) noexcept;

// Writes what stays of the caches to new memory: of the prompt, kept_tokens a KV head, in their order; then all tokens
// behind it. The caches of the decoder stay as they are. Returns INTERRUPTED as a pass does; the new memory holds
// nothing then.
int32_t timebill_decoder_evict(Decoder* decoder, Eviction* eviction) noexcept;

// Chooses the next token, the one with the highest logit, after the logits (vocabulary) of the `seen` tokens were divided
// by the penalty, or multiplied if they are negative: in place. `log_probability` is written: the token's, without it.
int32_t timebill_decoder_choose(
  Decoder* decoder, float* logits, const int64_t* seen, int64_t count, float penalty, int64_t* token,
  float* log_probability) noexcept;

// Dequantizes some rows of a matrix of one of the quantized kinds. `rows` are `count` row numbers, each below
// matrix->rows; `output` (count, columns) is written to. The bias is left out.
int32_t timebill_decoder_lookup(const Matrix* matrix, const int64_t* rows, int64_t count, float* output) noexcept;

void timebill_decoder_destroy(Decoder* decoder) noexcept;

}  // extern "C"
