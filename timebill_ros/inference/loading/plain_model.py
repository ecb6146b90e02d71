"""A model that transformers loads by itself."""

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM

from timebill_ros.inference import attention
from timebill_ros.inference.loading.weights_check import check_names


def checked_config(folder: Path) -> Any:
    """Return the configuration of a decoder-only model.

    Raises:
        ValueError: it is of another kind; a clause.
        Exception: whatever transformers raises for what it cannot read.
    """
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    if getattr(config, 'is_encoder_decoder', False) or any(
        hasattr(config, name) for name in ('encoder_layers', 'num_encoder_layers')
    ):
        raise ValueError(
            f'{config.model_type} is an encoder-decoder, and only decoder-only models are served'
        )
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ValueError(
            f'{config.model_type} is not a decoder-only language model that transformers knows'
        )
    if (folder / 'adapter_config.json').is_file():
        logging.warning('the adapter in %s is not applied: merge it into the weights', folder)
    return config


def plain_model(folder: Path, dtype: torch.dtype) -> Any:
    """Return the model of a folder in Hugging Face format, its weights as transformers has them.

    Raises:
        ValueError: the files are not those of its configuration; a clause.
        Exception: whatever transformers raises for what it cannot read.
    """

    def load(attn_implementation: str) -> Any:
        return AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation=attn_implementation,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told of below, by name
        )

    try:
        model, loading_info = load(attention.NAME)
    except (KeyError, ValueError) as error:
        if attention.NAME not in str(error):
            raise
        # A class that knows only its own kinds of attention (Falcon, MPT).
        model, loading_info = load('eager')
    check_names(model, loading_info)
    return model.eval()
