"""The length predictor that reads the target's own hidden states, without a second pass."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from timebill_ros.core.length_distribution import LengthDistribution
from timebill_ros.inference.length import state_head
from timebill_ros.inference.length.predictor_key import refuse_another_target
from timebill_ros.inference.length.prefill_states import PrefillStates
from timebill_ros.inference.length.state_head import StateHead
from timebill_ros.inference.loading.model_loader import TargetModel
from timebill_ros.inference.prefix.state_sums import StateSums


class StatePredictor:
    """Predicts with a head on the states of the target's layers.

    Arguments:
        target: the loaded target.
        head: trained on this target's answers.
    """

    def __init__(self, target: TargetModel, head: StateHead) -> None:
        layers = ', '.join(map(str, head.layers))
        self.name = f'states of layer {layers}, {head.fingerprint()}'
        self._model = target.model
        self._head = head.to(target.device).eval()

    needs_sums = True

    @contextmanager
    def beside_prefill(
        self,
        prompt: str,
        token_ids: list[int],
        prefill_s: float,
        sums: StateSums | None = None,
    ) -> Iterator['StateReading']:
        """Read the prompt's states while the target's prefill computes them."""
        reading = StateReading(self._head, len(token_ids))
        states = PrefillStates(self._model, self._head.layers, len(token_ids), reading.read, sums)
        with states.reading():
            yield reading

    def beside_preparation(
        self, token_ids: list[int], sums: StateSums
    ) -> AbstractContextManager[None]:
        """Sum the states behind the head's layers."""
        states = PrefillStates(self._model, self._head.layers, len(token_ids), sums=sums)
        return states.reading()


class StateReading:
    """The prediction for one prompt: ready when the highest of its layers has read the prompt."""

    def __init__(self, head: StateHead, prompt_tokens: int) -> None:
        self._head = head
        self._prompt_tokens = prompt_tokens
        self._probabilities: torch.Tensor | None = None

    def read(self, states: torch.Tensor) -> None:
        """Take the states, (layers, 2, hidden)."""
        with torch.inference_mode():
            length = torch.tensor([self._prompt_tokens], device=states.device)
            self._probabilities = self._head(states[None], length)[0]

    def distribution(self) -> LengthDistribution | None:
        """Return the prediction; None: the prefill was cut off before it was made."""
        if self._probabilities is None:
            return None
        return LengthDistribution(self._probabilities.double().cpu().numpy())


def load_state_predictor(
    path: Path, target: TargetModel, repetition_penalty: float
) -> StatePredictor:
    """Load a trained head for a target.

    Arguments:
        path: a file of `make train-predictor`.
        repetition_penalty: the penalty that the target uses.

    Raises:
        ValueError: the file is not a head's, or is for another target; one sentence.
    """
    head, key = state_head.load(path)
    refuse_another_target(path.name, key, target, repetition_penalty)
    return StatePredictor(target, head)
