"""Measures what the loaded model costs on this device, as it will really run."""

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from tokenizers import Tokenizer

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.execution_time_estimator import CachedSample, Sample, TimeFit, fit
from timebill_ros.core.planner_settings import PlannerSettings
from timebill_ros.core.worst_case_margin import MeasuredGeneration
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.length_predictor import NoPredictor
from timebill_ros.inference.pipeline import Listener, Question, answer
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.prefix.prefix_entry import Beginning
from timebill_ros.inference.text_stream import TextStream

LENGTHS = 7
SHORTEST_PROMPT = 24
FEWEST_LENGTHS = 4
"""So many are measured however slow the machine is: fewer would not make a fit."""
READ_ANEW = (24, 96)
"""So few and so many tokens are read behind a cached prompt, as a question behind its context."""
STEPS = 8
EVICTION_RATIOS = (0.0, 0.25, 0.5, 0.75, 0.95)
CURVES_SHARE = 0.5
"""Share of the time that goes to the curves; the rest goes to whole generations, for delta."""
LARGEST_SHARE = 0.15
"""No single prefill may take more than this share of the time."""


@dataclass
class Measurements:
    """What was measured: samples of the curves, and whole generations."""

    prefills: list[Sample] = field(default_factory=list)
    cached: list[CachedSample] = field(default_factory=list)
    steps: list[Sample] = field(default_factory=list)
    evictions: list[Sample] = field(default_factory=list)
    generations: list[MeasuredGeneration] = field(default_factory=list)

    def fit(self) -> TimeFit:
        """Fit the time model to all of it."""
        return fit(self.prefills, self.steps, self.evictions, self.generations, self.cached)


class Profiler:
    """Profiles one engine.

    Lengths are not multiples of the sizes of chunks or kernels. Each round measures all lengths,
    so a slow minute of the machine affects all of them. Prompts are random tokens, because times
    do not depend on the tokens.

    Arguments:
        engine: ready to run, and used by no one else meanwhile. Its steps are measured without
            guessed tokens, whole generations as it is.
        time_limit_s: profiling ends after about so long [s].
        progress: told the share that is done, in [0, 1].
        seed: of lengths and tokens.
    """

    def __init__(
        self,
        engine: Engine,
        time_limit_s: float,
        progress: Callable[[float], None] = lambda _: None,
        seed: int = 0,
    ) -> None:
        self._engine = engine
        self._plain = Engine(engine.target, engine.settings, engine.scorer, engine.step)
        self._limit_s = time_limit_s
        self.progress = progress
        self._chance = random.Random(seed)
        self._interrupt = Interrupt(Deadline(math.inf))
        self._detokenizer = Tokenizer.from_str(engine.target.tokenizer.backend_tokenizer.to_str())
        self.measurements = Measurements()

    def run(self) -> TimeFit:
        """Measure and fit.

        Raises:
            ValueError: the time was too short for a fit.
        """
        start_s = time.monotonic()
        self.measure_round(SHORTEST_PROMPT, evicts=False)
        self.measurements = Measurements()  # that was to warm up
        self._measure_curves(start_s + CURVES_SHARE * self._limit_s, start_s)
        longest = max(sample.tokens for sample in self.measurements.prefills)
        while time.monotonic() < start_s + self._limit_s:
            self.measurements.generations.append(self.generation(max(longest // 2, 64)))
            self._tell(start_s)
        self.progress(1.0)
        return self.measurements.fit()

    def generation(self, longest_prompt: int, longest_response: int = 32) -> MeasuredGeneration:
        """Measure one whole generation of a random length and eviction ratio, by the pipeline."""
        shortest = math.log(SHORTEST_PROMPT)
        length = round(math.exp(self._chance.uniform(shortest, math.log(longest_prompt))))
        ratio = self._chance.choice(EVICTION_RATIOS)
        settings = PlannerSettings(
            eviction_policy='fixed' if ratio else 'off',
            fixed_eviction_ratio=ratio,
            min_kept_tokens=self._engine.min_kept_tokens,
        )
        bill = answer(
            self._engine,
            BudgetPlanner(settings),
            NoPredictor(),
            TextStream(self._detokenizer),
            Question('', self._tokens(length), self._chance.randint(4, longest_response)),
            self._interrupt,
            Listener(planned=lambda _: None, text=lambda *_: None),
        ).bill
        return MeasuredGeneration(
            bill.prompt_tokens,
            bill.kept_tokens,
            bill.passes + 1,
            bill.prefill_time,
            bill.eviction_time,
            bill.decode_time,
        )

    def _measure_curves(self, end_s: float, start_s: float) -> None:
        """Measure rounds over all lengths that time allows, the first from short to long."""
        lengths = self._lengths()
        reached: list[int] = []
        for length in lengths:
            too_long = reached and self._expected_s(length) > LARGEST_SHARE * self._limit_s
            if too_long and len(reached) >= FEWEST_LENGTHS:
                break
            try:
                self.measure_round(length, evicts=len(reached) % 2 == 1)
            except torch.OutOfMemoryError:
                if len(reached) < FEWEST_LENGTHS:
                    raise
                logging.warning('no memory for a prompt of %d tokens on this GPU', length)
                break
            reached.append(length)
            self._tell(start_s)
        round_number = 1
        while time.monotonic() < end_s or round_number < 3:
            order = self._chance.sample(reached, len(reached))
            for index, length in enumerate(order):
                out_of_time = time.monotonic() + self._expected_s(length) > end_s
                if out_of_time and round_number >= 3:
                    continue
                evicts = (index + round_number) % 2 == 1
                self.measure_round(length + self._chance.randint(0, 3), evicts)
                self._tell(start_s)
            round_number += 1
            if time.monotonic() + self._expected_s(reached[0]) > end_s:
                break

    def _lengths(self) -> list[int]:
        longest = self._engine.target.context_length - 2 * STEPS
        growth = (longest / SHORTEST_PROMPT) ** (1 / (LENGTHS - 1))
        return [round(SHORTEST_PROMPT * growth**power) for power in range(LENGTHS)]

    def _expected_s(self, length: int) -> float:
        """Guess a round's time from the nearest shorter length; it may grow quadratically [s]."""
        known = [sample for sample in self.measurements.prefills if sample.tokens <= length + 3]
        nearest = max(known, key=lambda sample: sample.tokens)
        growth = length / nearest.tokens
        return nearest.seconds * max(growth, growth**2) if growth > 1.5 else nearest.seconds

    def measure_round(self, length: int, evicts: bool) -> None:
        """Measure a prefill, and that of its end, then an eviction if wanted, then some steps."""
        ids = self._tokens(min(length, self._engine.target.context_length - 2 * STEPS))
        start_s = time.perf_counter()
        prefilled = self._engine.prefill(ids, STEPS, self._interrupt)
        self.measurements.prefills.append(Sample(len(ids), time.perf_counter() - start_s))
        self._measure_end(ids, prefilled)
        kept = len(ids)
        fewest = self._engine.min_kept_tokens
        if evicts and kept > fewest:
            ratio = self._chance.choice(EVICTION_RATIOS[1:])
            kept = max(fewest, math.floor((1 - ratio) * len(ids)))
            start_s = time.perf_counter()
            self._engine.evict(prefilled, kept)
            self.measurements.evictions.append(Sample(len(ids), time.perf_counter() - start_s))
        stream = TextStream(self._detokenizer)
        last_s = None
        for step, (token_id, _) in enumerate(
            self._plain.decode(prefilled, STEPS, self._interrupt)
        ):
            stream.add(token_id)
            now_s = time.perf_counter()
            if last_s is not None:  # the first token came from the prefill, without a step
                self.measurements.steps.append(Sample(kept + step - 1, now_s - last_s))
            last_s = now_s

    def _measure_end(self, ids: list[int], prefilled: Prefilled) -> None:
        """Measure how long the end of a prompt takes, in the memory of the whole of it."""
        cached = len(ids) - self._chance.choice(READ_ANEW)
        if cached < SHORTEST_PROMPT:
            return
        beginning = Beginning(np.array(ids), cached, prefilled.cache.memory)
        start_s = time.perf_counter()
        self._engine.prefill(ids, STEPS, self._interrupt, beginning=beginning)
        seconds = time.perf_counter() - start_s
        self.measurements.cached.append(CachedSample(len(ids), cached, seconds))

    def _tokens(self, length: int) -> list[int]:
        generator = torch.Generator().manual_seed(self._chance.randrange(2**31))
        vocabulary = len(self._engine.target.tokenizer)
        return torch.randint(0, vocabulary, (length,), generator=generator).tolist()

    def _tell(self, start_s: float) -> None:
        self.progress(min(1.0, (time.monotonic() - start_s) / self._limit_s))
