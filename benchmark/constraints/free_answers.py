"""Free answers, held against a plain greedy loop that knows of no constraint."""

from collections.abc import Sequence

import torch

from benchmark.constraints.answerer import NEVER, Answerer
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.repetition import RepetitionPenalty, RepetitionStop
from timebill_ros.progress import Progress

MAX_NEW_TOKENS = 48


def identical_answers(answerer: Answerer, prompts: Sequence[str]) -> int:
    """Return how many prompts have the same answer from the pipeline and from the loop."""
    same, engine = 0, answerer.engine
    with Progress(len(prompts), 'free answers') as progress:
        for prompt in prompts:
            ids = answerer.chat.token_ids(prompt)
            expected = _greedy(engine, ids)
            text = engine.target.tokenizer.decode(expected, skip_special_tokens=True)
            found = answerer.answer(prompt, MAX_NEW_TOKENS)
            prefilled = engine.prefill(ids, MAX_NEW_TOKENS, NEVER)
            tokens = [token for token, _ in engine.decode(prefilled, MAX_NEW_TOKENS, NEVER)]
            same += tokens == expected and found.text == text.rstrip('\ufffd')
            progress.advance(1, f'{len(expected)} tokens')
    return same


def _greedy(engine: Engine, ids: list[int]) -> list[int]:
    """Return the tokens as they were chosen before there were constraints."""
    prefilled = engine.prefill(ids, MAX_NEW_TOKENS, NEVER)
    penalty = RepetitionPenalty(engine.settings.repetition_penalty, prefilled.prompt_ids)
    repetition, found, logits = RepetitionStop(), list[int](), prefilled.logits
    with engine.step.answering(prefilled.cache, len(ids), MAX_NEW_TOKENS) as step:
        while len(found) < MAX_NEW_TOKENS:
            token = penalty.apply(logits).argmax()
            found.append(int(token))
            if found[-1] in engine.target.stop_token_ids or repetition.add(found[-1]):
                break
            penalty.see(found[-1], token)
            if len(found) < MAX_NEW_TOKENS:
                logits = step.logits(torch.tensor(found[-1]))
    return found
