"""Identifies the target that a length predictor was trained for."""

from dataclasses import dataclass

from timebill_ros.inference.loading.model_loader import TargetModel


@dataclass(frozen=True)
class PredictorKey:
    """The target that a length predictor was trained for.

    Arguments:
        target: its name, for people.
        weights_hash: of its weights; other weights give other answers.
        quantization: of the decoding step; another one gives other answers.
        repetition_penalty: of the decoding.
        max_new_tokens: N_max of the answers in the training data.
    """

    target: str
    weights_hash: str
    quantization: str
    repetition_penalty: float
    max_new_tokens: int


def refuse_another_target(
    predictor: str, key: PredictorKey, target: TargetModel, repetition_penalty: float
) -> None:
    """Raise ValueError if the key is another target's; the sentence says what differs.

    Arguments:
        predictor: name of the predictor, for the sentence.
        repetition_penalty: the penalty that the target uses.
    """
    pairs = (
        ('weights_hash', key.weights_hash, target.weights_hash),
        ('quantization', key.quantization, target.quantization),
        ('repetition_penalty', key.repetition_penalty, repetition_penalty),
    )
    differing = [f'{name} {old!r}, not {new!r}' for name, old, new in pairs if old != new]
    if differing:
        raise ValueError(
            f'length predictor {predictor!r} was trained for target {key.target!r} with '
            f'{"; ".join(differing)} (target {target.name!r}): train one for this target'
        )
