// Single rows of quantized weights as floats: the embedding of a token is one.

#pragma once

#include <cstring>
#include <stdexcept>

#include "decoder_abi.h"
#include "weight_kinds.h"

namespace {

template <class T>
T read_at(const uint8_t* from)
{
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// A row's float16 of several rows' ones, exact.
inline float half_at(const uint8_t* halves, int row)
{
  const uint32_t half = read_at<uint16_t>(halves + row * 2), bits = (half & 0x7fff) << 13;
  float magnitude;
  std::memcpy(&magnitude, &bits, sizeof bits);
  magnitude *= 0x1p112f;
  return half & 0x8000 ? -magnitude : magnitude;
}

// Some columns of a group, of codes of 4 bits and `more` in words of their own.
template <int more>
void dequantize_codes(
  const uint8_t* codes, int row, int first, int last, float scale, float minimum, int offset, float* to)
{
  const auto word = [&](int index) { return read_at<uint32_t>(codes + (index * BLOCK + row) * 4); };
  for (int column = first; column < last; ++column) {
    const int pair = column / 2, half = 16 * (column % 2), bit = pair * more;
    int code = word(pair / 4) >> (half + 4 * (pair % 4)) & 15;
    if constexpr (more > 0) code |= (word(4 + bit / 16) >> (half + bit % 16) & ((1 << more) - 1)) << 4;
    to[column] = scale * static_cast<float>(code - offset) + minimum;
  }
}

template <int more>
void dequantize_scaled(const uint8_t* block, int row, int columns, float* to)
{
  constexpr int codes = code_bytes(more);
  for (int first = 0; first < columns; first += GROUP, block += codes + BLOCK * 4)
    dequantize_codes<more>(
      block, row, 0, GROUP, half_at(block + codes, row), half_at(block + codes + BLOCK * 2, row), 0, to + first);
}

template <int more>
void dequantize_super_scaled(const uint8_t* block, int row, int columns, float* to)
{
  constexpr int codes = code_bytes(more);
  for (int first = 0; first < columns; first += SUPER) {
    const float scale = half_at(block, row), minimum = half_at(block + BLOCK * 2, row);
    block += BLOCK * 4;
    for (int group = 0; group < SUPER; group += GROUP, block += codes + BLOCK * 2)
      dequantize_codes<more>(
        block, row, 0, GROUP, scale * block[codes + row], minimum * block[codes + BLOCK + row], 0, to + first + group);
  }
}

inline void dequantize_super_scaled_halves(const uint8_t* block, int row, int columns, float* to)
{
  constexpr int codes = code_bytes(2);
  for (int first = 0; first < columns; first += SUPER) {
    const float scale = half_at(block, row);
    block += BLOCK * 2;
    for (int group = 0; group < SUPER; group += GROUP, block += codes + BLOCK * 2)
      for (int half = 0; half < 2; ++half) {
        const auto factor = static_cast<int8_t>(block[codes + half * BLOCK + row]);
        dequantize_codes<2>(
          block, row, half * GROUP / 2, (half + 1) * GROUP / 2, scale * factor, 0.0f, 32, to + first + group);
      }
  }
}

inline void dequantize_int8(const uint8_t* block, int row, int columns, float* to)
{
  constexpr int place[] = {0, 2, 1, 3};
  for (int first = 0; first < columns; first += GROUP, block += INT8_GROUP_BYTES) {
    const float scale = half_at(block + code_bytes(4), row);
    for (int column = 0; column < GROUP; ++column) {
      const uint8_t code = block[(column / 4 * BLOCK + row) * 4 + place[column % 4]];
      to[first + column] = scale * static_cast<int8_t>(code);
    }
  }
}

// Writes a row of a quantized matrix, (columns).
inline void dequantize_row(const Matrix& matrix, int64_t row, float* to)
{
  const int columns = matrix.columns, lane = static_cast<int>(row % BLOCK);
  const auto* block =
    static_cast<const uint8_t*>(matrix.weights) + row / BLOCK * block_bytes(matrix.kind, columns);
  switch (matrix.kind) {
    case INT8: return dequantize_int8(block, lane, columns, to);
    case INT4: return dequantize_scaled<0>(block, lane, columns, to);
    case INT5: return dequantize_scaled<1>(block, lane, columns, to);
    case SUPER4: return dequantize_super_scaled<0>(block, lane, columns, to);
    case SUPER5: return dequantize_super_scaled<1>(block, lane, columns, to);
    case SUPER6: return dequantize_super_scaled_halves(block, lane, columns, to);
    default: throw std::invalid_argument("only rows of quantized weights are looked up");
  }
}

}  // namespace
