"""What runs one token through the target: the fastest that computes it."""

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
        return GraphStep(target.model)
    return GenericStep(target.model)
