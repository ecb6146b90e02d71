"""Rounding a model's weights to 4 or 8 bits, once, and what that costs."""

import json
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from timebill_ros.core.atomic_file import write_json
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.loading import packed_model
from timebill_ros.inference.step.packed_weight import BLOCK, PackedWeight, packed
from timebill_ros.inference.step.quantization import quantize

CHOICES = ('auto', 'none', 'int8', 'int4')
HEAD_BITS = 8
"""The head's errors go straight into the choice of the token, the embedding's into all layers."""

_LOSS_FILE = 'loss.json'
_ROWS = 128 * BLOCK
"""Rows that are rounded together."""
_TEXTS = (
    'The robot drove through the warehouse and stopped in front of the third shelf. It measured '
    'the distance to the box, lowered its arm, and closed the gripper until the sensor reported a '
    'force of two newtons. Then it lifted the box, turned around, and brought it to the table.',
    'User: The left wheel slips on the wet ramp, and the map has drifted by half a metre. What '
    'shall I do?\nAssistant: Stop first. Drive back to the last landmark that the camera can see, '
    'localise again, and take the ramp at half the speed. If the wheel slips once more, ask for '
    'help and wait at the side of the corridor.',
    '{"task": "deliver", "steps": [{"action": "navigate", "target": "kitchen"}, {"action": '
    '"grasp", "object": "cup", "force": 2.5}, {"action": "navigate", "target": "office"}, '
    '{"action": "release", "object": "cup"}], "priority": 3, "deadline": "2024-05-17T10:30:00Z"}',
    'In the early nineteenth century the town grew around its harbour. Merchants built stone '
    'houses along the river, a bridge joined the two banks, and on market days farmers from the '
    'hills came down with cheese, wool and timber. The railway, which arrived a generation later, '
    'changed all of this within a few years.',
)


def quantization_name(weights: Mapping[str, PackedWeight]) -> str:
    """Return 'none', or 'int' with the smallest size of a code: 'int4', say."""
    bits = min((weight.bits for weight in weights.values()), default=16)
    return f'int{bits}' if bits <= 8 else 'none'


def wanted_bits(name: str, bits: int) -> int:
    """Return the largest size of a module's codes where `bits` are asked for."""
    return max(bits, HEAD_BITS) if name.rpartition('.')[2] in _IN_HEAD_BITS else bits


_IN_HEAD_BITS = ('lm_head', 'embed_tokens')


class RoundedConversion:
    """Writes a model with its matrices rounded.

    Arguments:
        model: the model, plain or packed. What is packed in no more bits stays as it is.
        tokenizer: its tokenizer.
        bits: 4 or 8.
    """

    def __init__(self, model: Any, tokenizer: Any, bits: int) -> None:
        self._model, self._tokenizer, self._bits = model, tokenizer, bits
        tied = {name.removesuffix('.weight') for name in model.all_tied_weights_keys}
        self._matrices = {
            name: module
            for name, module in packed_model.matrices(model).items()
            if name not in tied
        }

    @property
    def nbytes(self) -> int:
        """At most so much will be written [bytes]."""
        others = sum(parameter.nbytes for _, parameter in self._others())
        elements = sum(math.prod(_shape(module)) for module in self._matrices.values())
        return int(others + 1.2 * elements)

    def write(self, folder: Path) -> None:
        """Write configuration and weights into a folder, and what the rounding has cost."""
        model = self._model
        model.config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        with packed_model.PackedFile(
            folder, len(self._matrices) + len(model.state_dict())
        ) as file:
            for name, module in self._matrices.items():
                rows = _shape(module)[0]
                file.add_packed(f'{name}.weight', rows, self._parts(name, module))
            for name, parameter in self._others():
                file.add(name, parameter.detach())
        rounded, weights = packed_model.load(folder, model.config, model.dtype)
        texts = [self._tokenizer(text, add_special_tokens=False).input_ids for text in _TEXTS]
        losses = [
            (len(ids), log_likelihood(rounded, ids), log_likelihood(model, ids))
            for ids in texts
            if len(ids) > 1
        ]
        write_json(
            folder / _LOSS_FILE,
            {
                'quantization': quantization_name(weights),
                'texts': [
                    {'tokens': tokens, 'rounded': with_, 'plain': without}
                    for tokens, with_, without in losses
                ],
            },
        )

    def _others(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Yield the parameters that are not matrices, with their names."""
        matrices = {f'{name}.weight' for name in packed_model.matrices(self._model)}
        for name, parameter in self._model.named_parameters():
            if name not in matrices:
                yield name, parameter

    def _parts(self, name: str, module: Any) -> Iterator[PackedWeight]:
        known = getattr(module, 'packed', None)
        bits = wanted_bits(name, self._bits)
        if known is not None and known.bits <= bits:
            yield known
            return
        for rows in torch.arange(_shape(module)[0]).split(_ROWS):
            values = module.weight.detach()[rows] if known is None else known.lookup(rows)
            yield packed(quantize(values.float(), bits))


def log_likelihood(model: Any, token_ids: list[int]) -> float:
    """Return the mean log-likelihood of tokens but the first [nats]."""
    ids = torch.tensor([token_ids])
    cache = KVCache(model.config, len(token_ids), lambda: None)
    with torch.inference_mode():
        output = model(input_ids=ids, past_key_values=cache, use_cache=True)
    found = output.logits[0, :-1].float().log_softmax(-1)
    return float(found.gather(-1, ids[0, 1:, None]).mean())


def log_loss(folder: Path) -> None:
    """Log what rounding has cost, if a folder's weights were rounded."""
    try:
        content = json.loads((folder / _LOSS_FILE).read_text(encoding='utf-8'))
    except FileNotFoundError:
        return
    texts = content['texts']
    if not texts:
        return
    total = sum(text['tokens'] for text in texts)
    rounded, plain = (
        sum(text[which] * text['tokens'] for text in texts) / total
        for which in ('rounded', 'plain')
    )
    logging.info(
        'quantization %s: log-likelihood of %d texts of %d tokens %.3f a token, %.3f without; '
        'the text that loses most loses %.3f',
        content['quantization'],
        len(texts),
        total,
        rounded,
        plain,
        max(text['plain'] - text['rounded'] for text in texts),
    )


def _shape(module: Any) -> tuple[int, int]:
    if isinstance(module, torch.nn.Linear):
        return module.out_features, module.in_features
    if isinstance(module, torch.nn.Embedding):
        return module.num_embeddings, module.embedding_dim
    return module.packed.rows, module.packed.columns
