"""A small network that predicts the answer's length from the prompt's hidden states."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from timebill_ros.core.length_distribution import BUCKETS
from timebill_ros.inference.length.predictor_key import PredictorKey

FORMAT = 'timebill_ros.state_head.1'
WIDTH = 256


class StateHead(torch.nn.Module):
    """Predicts a bucket of lengths: the mean probability of several networks.

    Arguments:
        layers: numbers of the target's layers whose states are read, from 1.
        hidden: size of a state.
        members: number of networks.
    """

    def __init__(
        self, layers: tuple[int, ...], hidden: int, members: int, buckets: int = BUCKETS
    ) -> None:
        super().__init__()
        self.layers = layers
        features = len(layers) * 2 * hidden + 1
        self.centre: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer('centre', torch.zeros(features))
        self.register_buffer('scale', torch.ones(features))
        self.inner = torch.nn.Parameter(torch.zeros(members, features, WIDTH))
        self.inner_bias = torch.nn.Parameter(torch.zeros(members, 1, WIDTH))
        self.outer = torch.nn.Parameter(torch.zeros(members, WIDTH, buckets))
        self.outer_bias = torch.nn.Parameter(torch.zeros(members, 1, buckets))

    def fingerprint(self) -> str:
        """Return a hash of this head, 8 hexadecimal digits."""
        digest = hashlib.sha256()
        for value in self.state_dict().values():
            digest.update(value.cpu().numpy().tobytes())
        return digest.hexdigest()[:8]

    def features(self, states: torch.Tensor, prompt_tokens: torch.Tensor) -> torch.Tensor:
        """Return (batch, features).

        Arguments:
            states: (batch, layers, 2, hidden), as PrefillStates gives them.
            prompt_tokens: (batch,), N_x.
        """
        length = torch.log(prompt_tokens.float())[:, None]
        return torch.cat([states.float().flatten(1), length], dim=1)

    def logits(self, features: torch.Tensor, dropout: float = 0.0) -> torch.Tensor:
        """Return (members, batch, buckets)."""
        normal = (features - self.centre) * self.scale
        kept = torch.nn.functional.dropout(normal.expand(len(self.inner), -1, -1), dropout)
        inner = torch.nn.functional.gelu(torch.baddbmm(self.inner_bias, kept, self.inner))
        inner = torch.nn.functional.dropout(inner, dropout)
        return torch.baddbmm(self.outer_bias, inner, self.outer)

    def forward(self, states: torch.Tensor, prompt_tokens: torch.Tensor) -> torch.Tensor:
        """Return (batch, buckets), the probability of each bucket."""
        logits = self.logits(self.features(states, prompt_tokens))
        return logits.softmax(-1).mean(0)


def save(head: StateHead, key: PredictorKey, path: Path) -> None:
    """Write a head, its weights in fp16, and the key of its target."""
    exact = {'centre', 'scale'}  # their range is too large for fp16
    tensors = {
        name: (value.float() if name in exact else value.half()).contiguous()
        for name, value in head.state_dict().items()
    }
    metadata = {
        'format': FORMAT,
        'layers': json.dumps(head.layers),
        'key': json.dumps(asdict(key)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata)


def load(path: Path) -> tuple[StateHead, PredictorKey]:
    """Read a head.

    Raises:
        ValueError: the file is not a head's, or is damaged; one sentence.
    """
    try:
        with safe_open(path, 'pt') as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        if metadata.get('format') != FORMAT:
            raise ValueError(f'it is not of the format {FORMAT}')
        layers = tuple(json.loads(metadata['layers']))
        members, features, _ = tensors['inner'].shape
        hidden, buckets = (features - 1) // (2 * len(layers)), tensors['outer'].shape[-1]
        head = StateHead(layers, hidden, members, buckets)
        head.load_state_dict(tensors)
        return head.eval(), PredictorKey(**json.loads(metadata['key']))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f'{path} is no length predictor: {error}') from error
