"""A GGUF file of a tiny Llama with random weights, a byte vocabulary and a chat template."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_SIZE = 2, 64, 4, 2, 32
CONTEXT = 512
TEMPLATE = (
    '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}'
    '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}'
)


def _byte_tokens() -> list[str]:
    """Return the characters that stand for the 256 bytes in a byte-level vocabulary (GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]


TOKENS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', *_byte_tokens(), 'th']


def weights(seed: int = 0, layers: int = LAYERS) -> dict[str, np.ndarray]:
    """Return the tensors in fp32, by their GGUF names."""
    chance = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return chance.normal(0, 0.2, (rows, columns)).astype(np.float32)

    found = {
        'token_embd.weight': matrix(len(TOKENS), HIDDEN),
        'output_norm.weight': np.ones(HIDDEN, np.float32),
    }
    for layer in range(layers):
        sizes = {
            'attn_q': (HEADS * HEAD_SIZE, HIDDEN),
            'attn_k': (KV_HEADS * HEAD_SIZE, HIDDEN),
            'attn_v': (KV_HEADS * HEAD_SIZE, HIDDEN),
            'attn_output': (HIDDEN, HEADS * HEAD_SIZE),
            'ffn_gate': (HIDDEN, HIDDEN),
            'ffn_up': (HIDDEN, HIDDEN),
            'ffn_down': (HIDDEN, HIDDEN),
        }
        for name, size in sizes.items():
            found[f'blk.{layer}.{name}.weight'] = matrix(*size)
        for name in ('attn_norm', 'ffn_norm'):
            found[f'blk.{layer}.{name}.weight'] = np.ones(HIDDEN, np.float32)
    return found


def saved_gguf(
    path: Path,
    tensors: dict[str, np.ndarray] | None = None,
    kind: Kind = Kind.F32,
    template: str | None = TEMPLATE,
    more: Callable[[GGUFWriter], Any] = lambda _: None,
) -> Path:
    """Write the file and return its path.

    Arguments:
        tensors: what it holds; None: weights().
        kind: the format of its matrices.
        template: the chat template; None: it has none.
        more: adds metadata.
    """
    writer = GGUFWriter(str(path), 'llama')
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model('gpt2')
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * 3 + [1] * (len(TOKENS) - 3))
    writer.add_token_merges(['t h'])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if template is not None:
        writer.add_chat_template(template)
    more(writer)
    for name, values in (weights() if tensors is None else tensors).items():
        if values.ndim == 1 or kind is Kind.F32:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def saved_split(folder: Path) -> list[Path]:
    """Write the same file in two parts, and return their paths."""
    names = list(weights())
    parts = []
    for index, some in enumerate((names[:7], names[7:])):

        def split(writer: GGUFWriter, index: int = index) -> None:
            writer.add_uint16('split.no', index)
            writer.add_uint16('split.count', 2)
            writer.add_int32('split.tensors.count', len(names))

        path = folder / f'model-0000{index + 1}-of-00002.gguf'
        parts.append(saved_gguf(path, {name: weights()[name] for name in some}, more=split))
    return parts
