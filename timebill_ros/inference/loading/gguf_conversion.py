"""From a GGUF file to a folder in Hugging Face format, one tensor at a time."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.modeling_gguf_pytorch_utils import (
    TENSOR_PROCESSORS,
    TensorProcessor,
    get_gguf_hf_weights_map,
)

from timebill_ros.inference.loading import gguf_rope, packed_model
from timebill_ros.inference.loading.chat_template import REMEDY
from timebill_ros.inference.loading.gguf_file import GGUFFile, Matrix
from timebill_ros.inference.loading.streamed_safetensors import StreamedSafetensors
from timebill_ros.inference.loading.weights_check import named
from timebill_ros.inference.step import native_families
from timebill_ros.inference.step.packed_weight import BLOCK, PackedWeight

_WHOLE_TENSORS = ('token_embd.weight', 'output.weight')
"""The largest ones: no processor changes them, so that they can be read in parts."""
_PART_ELEMENTS = 1 << 19
_HEAD_AND_EMBEDDING = ('falcon', 'bloom')
"""Architectures whose head is the embedding though the file has both."""
_LEFT_OUT = ('rope_', 'attn_rot_embd', 'nextn.')
"""Parts of names of tensors that are not weights of a layer, or only speculate."""


class GGUFConversion:
    """Reads what a file is, and says what is wrong with it, before anything is written.

    Arguments:
        file: the GGUF file.
        dtype: of what is not packed.
        needs_template: refuse a file without a chat template.
        packs: keep matrices as they are stored, if the compiled step serves the model.

    Raises:
        ValueError: a clause that says what is wrong.
        Exception: whatever transformers raises for what it cannot read.
    """

    def __init__(
        self,
        file: GGUFFile,
        dtype: torch.dtype,
        needs_template: bool = True,
        packs: bool = False,
    ) -> None:
        self._file, self._dtype = file, dtype
        with file.shared_with_transformers():
            self._read_metadata()
            if needs_template and not self._tokenizer.chat_template:
                raise ValueError(f'it has no chat template (tokenizer.chat_template): {REMEDY}')
            processor = TENSOR_PROCESSORS.get(file.architecture, TensorProcessor)
            self._processor = processor(config=self._config.to_dict())
            self._names = get_gguf_hf_weights_map(self._model, self._processor)
        self._tied: dict[str, str] = dict(self._model.all_tied_weights_keys)
        parameters = {name for name, _ in self._model.named_parameters()} - self._tied.keys()
        known = parameters | set(self._names.values())
        self._shapes = {
            name: list(values.shape)
            for name, values in self._model.state_dict().items()
            if name in known and name not in self._tied
        }
        self._check_names(parameters)
        self._packs = packs and not native_families.why_not(self._model)

    def _read_metadata(self) -> None:
        file = self._file
        source = {
            'pretrained_model_name_or_path': str(file.parts[0].parent),
            'gguf_file': file.parts[0].name,
            'local_files_only': True,
        }
        self._config = AutoConfig.from_pretrained(**source)
        self._config.tie_word_embeddings = (
            'output.weight' not in file.tensors or file.architecture in _HEAD_AND_EMBEDDING
        )
        gguf_rope.add_rope_scaling(self._config.get_text_config(), file)
        self._tokenizer = AutoTokenizer.from_pretrained(**source)
        with torch.device('meta'):
            self._model = AutoModelForCausalLM.from_config(self._config, dtype=self._dtype)

    @property
    def nbytes(self) -> int:
        """About how much will be written [bytes]."""
        elements = sum(math.prod(shape) for shape in self._shapes.values())
        stored = sum(part.stat().st_size for part in self._file.parts)
        return int(elements * self._dtype.itemsize + stored)

    def write(self, folder: Path) -> None:
        """Write configuration, tokenizer and weights into a folder.

        Raises:
            OSError: the disk is full, say.
            ValueError: a tensor is not of the size that the model has; a clause.
        """
        self._tokenizer.save_pretrained(folder)
        self._config.architectures = [type(self._model).__name__]
        self._config.dtype = self._dtype
        self._config.save_pretrained(folder)
        GenerationConfig.from_model_config(self._config).save_pretrained(folder)
        written = self._write_packed(folder) if self._packs else self._write_plain(folder)
        if missing := self._shapes.keys() - written:
            raise ValueError(f'it lacks {named(missing)}')

    def _write_plain(self, folder: Path) -> set[str]:
        written = set()
        with StreamedSafetensors(folder / 'model.safetensors', len(self._shapes)) as file:
            for name, parts in self._weights():
                file.begin(name, self._dtype, self._shapes[name])
                for part in parts:
                    file.rows(_tensor(part).to(self._dtype))
                written.add(name)
                self._file.release()
        return written

    def _write_packed(self, folder: Path) -> set[str]:
        packable = {f'{name}.weight' for name in packed_model.matrices(self._model)}
        written = set()
        with packed_model.PackedFile(folder, len(self._shapes)) as file:
            for name in self._file.tensors:
                hf_name = self._hf_name(name)
                if hf_name not in self._shapes or hf_name is None:
                    continue
                if hf_name in packable:
                    self._check_shape(name, hf_name, self._file.shape(name))
                    file.add_packed(hf_name, self._shapes[hf_name][0], self._packed_parts(name))
                else:
                    values = self._processed(name, self._file.values(name))
                    self._check_shape(name, hf_name, list(values.shape))
                    file.add(hf_name, _tensor(values).to(self._dtype))
                written.add(hf_name)
                self._file.release()
        return written

    def _packed_parts(self, name: str) -> Iterator[PackedWeight]:
        """Yield a matrix as it is stored, some rows at a time; what no kind holds in dtype."""
        rows, columns = self._file.shape(name)
        # llama.cpp puts the rows of Llama's queries and keys in an order of its own.
        order = self._processed(name, np.arange(rows, dtype=np.float32)[:, None])[:, 0]
        assert np.array_equal(np.sort(order), np.arange(rows)), name
        step = max(_PART_ELEMENTS // columns // BLOCK, 1) * BLOCK
        for start in range(0, rows, step):
            yield self._file.packed(name, order[start : start + step].astype(int), self._dtype)

    def _processed(self, name: str, values: Matrix) -> Matrix:
        """Return values as the model has them: an architecture may permute rows, say."""
        result = self._processor.process(
            weights=values, name=name, tensor_key_mapping=self._names, parsed_parameters={}
        )
        return np.asarray(result.weights)

    def _hf_name(self, name: str) -> str | None:
        # Experts that transformers joins are known to it without the end of their name.
        found: str | None = self._names.get(name)
        return found or self._names.get(name.removesuffix('.weight'))

    def _check_names(self, wanted: set[str]) -> None:
        """Raise ValueError if tensors are missing, or there are some that the model has not."""
        found = {self._hf_name(name) for name in self._file.tensors}
        if missing := wanted - found:
            theirs = {hf_name: name for name, hf_name in self._names.items()}
            raise ValueError(f'it lacks {named({theirs.get(name, name) for name in missing})}')
        extra = {
            name
            for name in self._file.tensors
            if self._hf_name(name) is None and not any(part in name for part in _LEFT_OUT)
        }
        if extra:
            raise ValueError(f'{type(self._model).__name__} has no place for its {named(extra)}')

    def _weights(self) -> Iterator[tuple[str, Iterator[Matrix]]]:
        """Yield each weight's name in the model, and its parts in fp32."""
        joined: dict[str, Any] = {'tensors': {}}
        for name, tensor in self._file.tensors.items():
            hf_name = self._hf_name(name)
            if hf_name is None or hf_name not in self._shapes:
                continue
            if name in _WHOLE_TENSORS:
                self._check_shape(name, hf_name, tensor.shape[::-1].tolist())
                rows = max(_PART_ELEMENTS // int(tensor.shape[0]) // BLOCK, 1) * BLOCK
                yield hf_name, self._file.rows(name, rows)
                continue
            result = self._processor.process(
                weights=self._file.values(name),
                name=name,
                tensor_key_mapping=self._names,
                parsed_parameters=joined,
            )
            if result.name is not None:
                self._check_shape(name, hf_name, list(result.weights.shape))
                yield hf_name, iter([result.weights])
        for hf_name, values in joined['tensors'].items():
            self._check_shape(hf_name, hf_name, list(values.shape))
            yield hf_name, iter([values.numpy()])

    def _check_shape(self, name: str, hf_name: str, shape: list[int]) -> None:
        if shape != self._shapes.get(hf_name):
            wanted = self._shapes.get(hf_name)
            raise ValueError(f'its tensor {name} is of size {shape}, and should be {wanted}')


def _tensor(values: Matrix) -> torch.Tensor:
    # What is not quantized in the file is a view of it, and read-only.
    return torch.from_numpy(values if values.flags.writeable else values.copy())
