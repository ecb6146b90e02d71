// How weights are stored. packed_weight.py packs them so; decoder_library.py has the same kinds.
//
// Blocks of 32 rows follow each other, the last one padded. A block is one stream, 32 columns (a group) at a time:
// the rows' codes, then their scales. A row's codes of a group are words of 32 bits; the first words of all 32 rows
// stand together, then the second ones, and so on.
//
// 8 bits: 8 words of 4 columns each, in the order 0, 2, 1, 3.
// 4 bits: 4 words of 8 columns each: nibble i of the low half is column 2i, of the high half 2i+1.
// 5, 6 bits: the low 4 bits as above, then 1 or 2 words of the bits above them: the low halves of these words have
// those of the 16 even columns one after the other, the high halves those of the odd ones.
//
// weight = scale * code + minimum. For INT8, INT4, INT5 they are float16, one a row and group. For SUPER4, SUPER5 and
// SUPER6 they are a byte each, times the row's super-scale and super-minimum, float16, which stand before each
// 256 columns. SUPER6 has no minimum, but a scale (a signed byte) for each 16 columns, and codes are 32 too large.

#pragma once

#include <cstdint>

namespace {

constexpr int BLOCK = 32;   // rows that are multiplied together
constexpr int GROUP = 32;   // columns that share a scale
constexpr int SUPER = 256;  // columns that share a super-scale

// FLOAT16 and the two before INT8 are plain: (rows, columns).
enum Kind : int32_t { FLOAT32, BFLOAT16, INT8, INT4, INT5, SUPER4, SUPER5, SUPER6, FLOAT16, KINDS };

// The bytes of a group's codes that are of 4 bits and so many more.
constexpr int code_bytes(int more_bits) { return BLOCK * GROUP * (4 + more_bits) / 8; }

constexpr int INT8_GROUP_BYTES = code_bytes(4) + BLOCK * 2;

// Columns that a scale's group or super-group has: a matrix has a multiple of it.
constexpr int column_multiple(int32_t kind) { return kind >= SUPER4 && kind <= SUPER6 ? SUPER : GROUP; }

// The bytes of a block of so many columns.
constexpr int64_t block_bytes(int32_t kind, int64_t columns)
{
  switch (kind) {
    case FLOAT32: return columns * BLOCK * 4;
    case BFLOAT16: case FLOAT16: return columns * BLOCK * 2;
    case INT8: return columns / GROUP * INT8_GROUP_BYTES;
    case INT4: return columns / GROUP * (code_bytes(0) + BLOCK * 4);
    case INT5: return columns / GROUP * (code_bytes(1) + BLOCK * 4);
    case SUPER4: return columns / SUPER * (BLOCK * 4 + SUPER / GROUP * (code_bytes(0) + BLOCK * 2));
    case SUPER5: return columns / SUPER * (BLOCK * 4 + SUPER / GROUP * (code_bytes(1) + BLOCK * 2));
    case SUPER6: return columns / SUPER * (BLOCK * 2 + SUPER / GROUP * (code_bytes(2) + BLOCK * 2));
  }
  return 0;
}

}  // namespace
