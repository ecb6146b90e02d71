"""The decoding loop: prefill in chunks, evict, then one token after the other, greedily."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch

from timebill_ros.core.outcome import FinishReason
from timebill_ros.inference.cache.eviction import evict
from timebill_ros.inference.cache.kv_cache import KVCache
from timebill_ros.inference.cache.observation_window import ObservationWindow
from timebill_ros.inference.cache.scorers.scorer import Scorer
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.constraint.choice_guide import ChoiceGuide
from timebill_ros.inference.constraint.guide import Guide
from timebill_ros.inference.greedy_choice import chosen_token
from timebill_ros.inference.guided_decoding import guided_tokens
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.loading.model_loader import TargetModel
from timebill_ros.inference.mean_probability import MeanProbability
from timebill_ros.inference.native_eviction import evict_natively, scores_natively
from timebill_ros.inference.native_prefill import NativePrefill
from timebill_ros.inference.prefill_pace import PrefillPace
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.prefix.prefix_entry import Beginning
from timebill_ros.inference.repetition import RepetitionPenalty, RepetitionStop
from timebill_ros.inference.step.answer_steps import PassCount, answer_steps, sliding_window
from timebill_ros.inference.step.decoding_step import DecodingStep, decoding_step
from timebill_ros.inference.step.generic_step import forward
from timebill_ros.inference.step.native_step import NativeStep

PREFILL_CHUNKS = ((3072, 1024), (1 << 62, 512))
"""Prompt tokens that are read together, up to a position: so large that chunks cost nothing, so
small that a layer, after which the interrupt is asked, takes less than 100 ms on two cores."""


def prefill_chunks(prompt_tokens: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield where each chunk of a prompt begins and ends.

    Arguments:
        start: tokens that need not be read.
    """
    while start < prompt_tokens:
        tokens = next(tokens for until, tokens in PREFILL_CHUNKS if start < until)
        yield start, min(start + tokens, prompt_tokens)
        start += tokens


@dataclass(frozen=True)
class DecodingSettings:
    """How tokens are chosen, and when a loop ends an answer.

    Arguments:
        repetition_penalty: as in transformers; 1.0 is off.
        stop_at_repetition: end an answer that repeats itself.
    """

    repetition_penalty: float = 1.0
    stop_at_repetition: bool = True


class Engine:
    """Runs one generation at a time on the target model.

    Arguments:
        scorer: chooses what stays when a prompt's cache is evicted.
        step: runs a token through the model; None: the fastest that there is.
        speculates: tokens are guessed, where the step can. Answers are the same.

    prefixes keeps what was read, for prompts that begin alike; at first it keeps nothing.
    """

    def __init__(
        self,
        target: TargetModel,
        settings: DecodingSettings,
        scorer: Scorer = SnapKV(),  # noqa: B008 (frozen)
        step: DecodingStep | None = None,
        speculates: bool = False,
    ) -> None:
        self.target = target
        self.step = step or decoding_step(target.model, target.quantized)
        self.settings = settings
        self.scorer = scorer
        self.speculates = speculates and isinstance(self.step, NativeStep)
        self.prefixes = PrefixCache()

    @property
    def min_kept_tokens(self) -> int:
        """The fewest prompt tokens that an eviction may keep: all, if the model allows none."""
        return self.scorer.min_kept_tokens if self.target.evicts else self.target.context_length

    def begin(self, token_ids: list[int], max_new_tokens: int) -> Beginning:
        """Return what is cached of a prompt, for prefill()."""
        needed = len(token_ids) + max_new_tokens
        return self.prefixes.begin(token_ids, needed, self._capacity(needed))

    def prefill(
        self,
        token_ids: list[int],
        max_new_tokens: int,
        interrupt: Interrupt,
        chunks: Iterable[tuple[int, int]] | None = None,
        beginning: Beginning | None = None,
    ) -> Prefilled:
        """Read the prompt into the cache.

        Arguments:
            token_ids: the prompt, at least one token.
            max_new_tokens: room in the cache for the answer [tokens].
            interrupt: checked once in each layer; more urgent queries run between chunks.
            chunks: where each chunk begins and ends; None: as prefill_chunks() says.
            beginning: of begin(). The tokens that it has are not read, and what is read is kept.
                None: the whole prompt is read, and nothing is kept.

        Raises:
            InterruptedGenerationError: the interrupt was due.
            ValueError: prompt and answer are longer than the model's context.
        """
        tokens, most = len(token_ids) + max_new_tokens, self.target.context_length
        if tokens > most:
            raise ValueError(f'prompt and answer must be at most {most} tokens, got {tokens}')
        prompt_ids = torch.tensor(token_ids, device=self.target.device)
        on_gpu = self.target.device.type == 'cuda'
        check = PrefillPace(interrupt.check) if on_gpu else interrupt.check
        capacity = tokens if beginning is None else self._capacity(tokens)
        cache = KVCache(self.target.model.config, capacity, check)
        read = 0
        if beginning is not None and beginning.memory is not None:
            read = beginning.cached_tokens
            cache.take(beginning.memory, read)
        interrupt = replace(interrupt, free=cache.free)
        observed = ObservationWindow(self.scorer.window)
        read_chunk = self._reader(cache, len(token_ids), interrupt)
        first, logits = read, None
        try:
            for start, end in chunks or prefill_chunks(len(token_ids), read):
                if start > first:
                    interrupt.leave()
                with observed.recording():
                    logits = read_chunk(prompt_ids[start:end], start)
                read = end
        finally:  # also of a prefill that was cut off, up to its last whole chunk
            if beginning is not None and cache.memory is not None:
                self.prefixes.keep(beginning, cache.memory, read)
        assert logits is not None, 'the last chunk has some'
        self.synchronize()
        return Prefilled(cache, logits, prompt_ids, observed, interrupt)

    def _reader(
        self, cache: KVCache, prompt_tokens: int, interrupt: Interrupt
    ) -> Callable[[torch.Tensor, int], torch.Tensor | None]:
        """Return what reads a chunk, (tokens,), at a position, in the way of the step."""
        model = self.target.model
        if isinstance(self.step, NativeStep):
            return NativePrefill(self.step, model, cache, prompt_tokens, interrupt).read
        return lambda ids, position: forward(model, ids, position, cache)

    def evict(self, prefilled: Prefilled, kept_tokens: int) -> dict[int, torch.Tensor]:
        """Shrink the prompt's part of the cache. Call it at most once for each prompt.

        It may be called after the prefill, and between two tokens of decode(). It does nothing,
        and takes no time, if all tokens are kept.

        Arguments:
            kept_tokens: prompt tokens that stay, at least scorer.min_kept_tokens.

        Returns:
            Positions of the prompt tokens that stay in each layer from which some are evicted, by
            its index, (kv_heads, kept_tokens).

        Raises:
            InterruptedGenerationError: the interrupt of the prefill was due.
        """
        prompt_tokens = len(prefilled.prompt_ids)
        if kept_tokens == prompt_tokens:
            return {}
        step, observed, interrupt = self.step, prefilled.observed, prefilled.interrupt
        with prefilled.at_rest() as cache, torch.inference_mode():
            scorer = self.scorer.for_prompt(prefilled.prompt_ids, self.target.tokenizer)
            if isinstance(step, NativeStep) and scores_natively(scorer):
                stays = evict_natively(
                    step, cache, observed, prompt_tokens, kept_tokens, scorer, interrupt
                )
            else:
                stays = evict(cache, observed, prompt_tokens, kept_tokens, scorer)
        self.synchronize()
        return stays

    def decode(
        self,
        prefilled: Prefilled,
        max_new_tokens: int,
        interrupt: Interrupt,
        guide: Guide | ChoiceGuide | None = None,
        probability: MeanProbability | None = None,
        passes: PassCount | None = None,
    ) -> Iterator[tuple[int, FinishReason | None]]:
        """Generate greedily.

        Arguments:
            max_new_tokens: ends the answer.
            interrupt: checked before each step.
            guide: keeps the answer within a constraint; None: it is free.
            probability: counts the tokens that the model chooses.
            passes: counts the passes through the model.

        Yields:
            The id of each token, also of the stop token, and None; with the last token, the reason
            why the answer ends.

        Raises:
            InterruptedGenerationError: the interrupt was due. The tokens so far are valid.
        """
        interrupt = replace(interrupt, free=prefilled.cache.free)
        penalty = RepetitionPenalty(self.settings.repetition_penalty, prefilled.prompt_ids)
        repetition = RepetitionStop()
        logits, position = prefilled.logits, len(prefilled.prompt_ids)
        probability = probability or MeanProbability()
        with self.step.answering(prefilled.cache, position, max_new_tokens) as step:
            speculates = self.speculates and not isinstance(guide, ChoiceGuide)
            window = sliding_window(prefilled.cache, self.target.model.config) if speculates else 0
            steps = prefilled.steps = answer_steps(
                step, passes or PassCount(), prefilled.prompt_ids, speculates, window
            )
            if guide is not None:
                stop_ids = self.target.stop_token_ids
                yield from guided_tokens(
                    steps, logits, guide, penalty, stop_ids, max_new_tokens, interrupt, probability
                )
                return
            for count in range(1, max_new_tokens + 1):
                interrupt.check()
                token = chosen_token(self.step, logits, penalty, probability)
                token_id = int(token)
                reason = None
                if token_id in self.target.stop_token_ids:
                    reason = FinishReason.EOS
                elif repetition.add(token_id) and self.settings.stop_at_repetition:
                    reason = FinishReason.REPETITION
                elif count == max_new_tokens:
                    reason = FinishReason.LENGTH
                yield token_id, reason
                if reason is not None:
                    return
                penalty.see(token_id, token)
                interrupt.leave()  # not later: steps share the memory of their logits
                logits = steps.logits(token)

    def _capacity(self, needed: int) -> int:
        return self.prefixes.capacity(needed, self.target.context_length)

    def synchronize(self) -> None:
        """Wait until the device has finished its work, so that a time can be measured.

        Work on other streams does not count: a predictor's time is billed apart.
        """
        if self.target.device.type == 'cuda':
            torch.cuda.current_stream(self.target.device).synchronize()
