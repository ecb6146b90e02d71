"""Questions and texts, as tokens of a model."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer

from benchmark.engine.agreement import PROMPTS
from benchmark.engine.plan import Plan
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.loading.gguf_cache import converted_folder, gguf_hash

_PAGES = ('concepts', 'deadlines', 'hardware', 'tutorial')
_DOCS = Path(__file__).parents[2] / 'docs'


@dataclass(frozen=True)
class Material:
    """What all arms get.

    Arguments:
        prompts: questions within the model's chat template.
        texts: the beginnings of four pages of the documentation.
        stop_ids: tokens that end an answer.
        vocabulary: the model has so many tokens.
    """

    prompts: list[list[int]]
    texts: list[list[int]]
    stop_ids: frozenset[int]
    vocabulary: int


def material(gguf: Path, plan: Plan) -> Material:
    """Return the material for a model.

    Raises:
        ValueError: the file cannot be read; one sentence.
    """
    try:
        folder = converted_folder(gguf, gguf_hash(gguf), torch.float32)  # the reference's, too
    except Exception as error:  # what transformers raises is not documented
        raise ValueError(f'{str(gguf)!r} cannot be loaded: {error}') from error
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    chat = ChatPrompt(tokenizer)
    pages = [(_DOCS / f'{name}.md').read_text(encoding='utf-8') for name in _PAGES]
    return Material(
        prompts=[chat.token_ids(prompt) for prompt in PROMPTS[: plan.prompts]],
        texts=[chat.plain_ids(page)[: plan.text_tokens] for page in pages],
        stop_ids=frozenset({tokenizer.eos_token_id}),
        vocabulary=len(tokenizer),
    )
