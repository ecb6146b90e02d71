"""What runs one token through the target: the fastest that computes it."""

import logging
from collections.abc import Mapping
from typing import Any

import torch

from timebill_ros.inference.step import graph_step, native_families
from timebill_ros.inference.step.generic_step import GenericStep
from timebill_ros.inference.step.graph_step import GraphStep
from timebill_ros.inference.step.native_step import NativeStep
from timebill_ros.inference.step.packed_weight import PackedWeight

DecodingStep = GenericStep | NativeStep | GraphStep


def decoding_step(model: Any, quantized: Mapping[str, PackedWeight]) -> DecodingStep:
    """Return the fastest step that computes this model on its device.

    On a CPU it runs on as many threads as torch is set to now.

    Arguments:
        model: any decoder-only transformers model.
        quantized: weights in 4 or 8 bits by their module's name; only a native step reads them.
    """
    if not native_families.why_not(model):
        try:
            return NativeStep(model, quantized, torch.get_num_threads())
        except RuntimeError as error:  # no memory, or no more threads
            logging.warning('the compiled step is not used, and decoding is slower: %s', error)
    if not graph_step.why_not(model):
        try:
            return GraphStep(model)
        except Exception as error:  # out of memory, what cannot be recorded, an unusual class
            logging.warning('the step is not recorded as CUDA graphs, and slower: %s', error)
    return GenericStep(model)
