"""Compiles constraints for the loaded target."""

from timebill_ros.inference.constraint.compiler import ConstraintCompiler
from timebill_ros.inference.constraint.vocabulary import Vocabulary
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.model_loader import TargetModel


def target_compiler(target: TargetModel, prompts: ChatPrompt) -> ConstraintCompiler:
    """Return the compiler of a target's constraints.

    Arguments:
        target: the loaded target.
        prompts: knows its control tokens.
    """
    size = target.model.get_output_embeddings().out_features
    vocabulary = Vocabulary.of(target.tokenizer, size, target.stop_token_ids)
    return ConstraintCompiler(
        vocabulary, prompts.plain_ids, prompts.control_token_in, target.context_length
    )
