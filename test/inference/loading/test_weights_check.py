"""Folders whose weights are not those of their configuration are refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.model_loader import load_target

Tensors = dict[str, torch.Tensor]


def changed_weights(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / 'model.safetensors'
    # Copies: the file is mapped, and is written anew.
    weights = {name: values.clone() for name, values in load_file(path).items()}
    save_file(change(weights), path, {'format': 'pt'})


def changed_config(folder: Path, **changes: object) -> None:
    path = folder / 'config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_missing_tensors_are_named_and_counted(qwen2: Path) -> None:
    changed_weights(qwen2, lambda w: {k: v for k, v in w.items() if 'layers.1.mlp' not in k})
    with pytest.raises(ValueError, match=r'lack 3 tensors \(model\.layers\.1\.mlp\.down_proj'):
        load_target(str(qwen2), device='cpu')


def test_names_with_a_prefix_are_refused(qwen2: Path) -> None:
    changed_weights(qwen2, lambda w: {f'student.{k}': v for k, v in w.items()})
    with pytest.raises(ValueError, match=r'lack .* tensors .* have .* \(student\..* instead'):
        load_target(str(qwen2), device='cpu')


def test_fewer_layers_than_the_configuration_says_are_refused(qwen2: Path) -> None:
    changed_config(qwen2, num_hidden_layers=4, layer_types=['full_attention'] * 4)
    with pytest.raises(ValueError, match=r'lack 24 tensors \(model\.layers\.2\.'):
        load_target(str(qwen2), device='cpu')


def test_more_layers_than_the_configuration_says_are_refused(qwen2: Path) -> None:
    changed_config(qwen2, num_hidden_layers=1, layer_types=['full_attention'])
    with pytest.raises(ValueError, match=r'leaves out 12 tensors \(model\.layers\.1\.'):
        load_target(str(qwen2), device='cpu')


def test_a_bias_that_the_model_has_no_place_for_is_refused(qwen2: Path) -> None:
    name = 'model.layers.0.mlp.up_proj.bias'
    changed_weights(qwen2, lambda w: w | {name: torch.ones(64)})
    with pytest.raises(ValueError, match=r'leaves out 1 tensor \(model\.layers\.0\.mlp\.up_proj'):
        load_target(str(qwen2), device='cpu')


def test_what_belongs_to_no_part_of_the_model_may_be_left_out(qwen2: Path) -> None:
    more = {
        'vision_tower.layers.0.weight': torch.ones(4),
        'model.layers.0.self_attn.rotary_emb.inv_freq': torch.ones(4),
    }
    changed_weights(qwen2, lambda w: w | more)
    load_target(str(qwen2), device='cpu')


def test_tensors_of_another_size_are_refused(qwen2: Path) -> None:
    changed_config(qwen2, intermediate_size=96)
    with pytest.raises(ValueError, match=r'6 tensors of another size.*mlp.*\(32, 64\), not \(32'):
        load_target(str(qwen2), device='cpu')


def test_a_vocabulary_smaller_than_the_tokenizers_is_refused(qwen2: Path) -> None:
    name = 'model.embed_tokens.weight'
    changed_weights(
        qwen2, lambda w: w | {k: w[k][:1000].clone() for k in (name, 'lm_head.weight') if k in w}
    )
    changed_config(qwen2, vocab_size=1000)
    with pytest.raises(ValueError, match='tokenizer has 49152 tokens, its weights only 1000'):
        load_target(str(qwen2), device='cpu')


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_numbers_are_refused(
    qwen2: Path, monkeypatch, tmp_path: Path, value: float
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    changed_weights(qwen2, lambda w: w | {'model.norm.weight': torch.full((32,), value)})
    with pytest.raises(ValueError, match=r'got model\.norm\.weight from its files'):
        loaded_engine(ModelSettings(model=str(qwen2), device='cpu'))


def test_an_encoder_decoder_is_refused(qwen2: Path) -> None:
    changed_config(qwen2, model_type='bart', is_encoder_decoder=True)
    with pytest.raises(ValueError, match='bart is an encoder-decoder'):
        load_target(str(qwen2), device='cpu')


def test_what_is_no_language_model_is_refused(qwen2: Path) -> None:
    changed_config(qwen2, model_type='vit')
    with pytest.raises(ValueError, match='vit is not a decoder-only language model'):
        load_target(str(qwen2), device='cpu')
