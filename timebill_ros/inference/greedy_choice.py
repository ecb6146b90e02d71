"""Chooses the next token of free text: the one with the highest logit, after the penalty."""

import ctypes

import torch

from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.repetition import RepetitionPenalty
from timebill_ros.inference.step import decoder_library
from timebill_ros.inference.step.decoding_step import DecodingStep
from timebill_ros.inference.step.native_step import NativeStep


def chosen_token(
    step: DecodingStep,
    logits: torch.Tensor,
    penalty: RepetitionPenalty,
    probability: MeanProbability,
) -> torch.Tensor:
    """Return the token, a tensor of no dimensions on the logits' device.

    Its probability is counted. The compiled library does in one call what takes torch five.

    Arguments:
        step: gave the logits.
        logits: (vocabulary,), fp32. They may be written to.

    Raises:
        RuntimeError: no logit is a number.
    """
    if isinstance(step, NativeStep):
        token_id, log_probability = _chosen_natively(step, logits, penalty)
        probability.add(log_probability, 1)
        return torch.tensor(token_id)
    probability.see(logits)
    token = penalty.apply(logits).argmax()
    probability.chose(token)
    return token


def _chosen_natively(
    step: NativeStep, logits: torch.Tensor, penalty: RepetitionPenalty
) -> tuple[int, float]:
    """Return the token, and the logarithm of its probability without the penalty."""
    library = decoder_library.library()
    assert library is not None, 'the step has one'
    token, log_probability = ctypes.c_int64(), ctypes.c_float()
    library.timebill_decoder_choose(
        step.decoder,
        logits.data_ptr(),
        penalty.seen.data_ptr(),
        len(penalty.seen),
        penalty.penalty,
        ctypes.addressof(token),
        ctypes.addressof(log_probability),
    )
    return token.value, log_probability.value
