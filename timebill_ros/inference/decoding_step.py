"""What runs one token through the target: the fastest that computes it."""

import logging

import torch

from timebill_ros.inference import graph_step, native_step
from timebill_ros.inference.generic_step import GenericStep
from timebill_ros.inference.graph_step import GraphStep
from timebill_ros.inference.model_loader import TargetModel
from timebill_ros.inference.native_step import NativeStep

DecodingStep = GenericStep | NativeStep | GraphStep


def decoding_step(target: TargetModel) -> DecodingStep:
    """Return the fastest step that computes this model on its device.

    On a CPU it runs on as many threads as torch is set to now.
    """
    if not native_step.why_not(target.model):
        return NativeStep(target.model, target.quantized, torch.get_num_threads())
    if not graph_step.why_not(target.model):
        try:
            return GraphStep(target.model)
        except RuntimeError as error:  # out of memory, or an operation that cannot be recorded
            logging.warning('the step is not recorded as CUDA graphs, and slower: %s', error)
    return GenericStep(target.model)
