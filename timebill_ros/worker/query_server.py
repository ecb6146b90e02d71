"""Inside the worker: answers one query at a time, on the thread that owns the model."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from tokenizers import Tokenizer

from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.model_settings import ModelSettings
from timebill_ros.core.turn import user_turn
from timebill_ros.inference.cache_memory import room_tokens, token_bytes
from timebill_ros.inference.constraint.guide import BrokenConstraintError
from timebill_ros.inference.give_way import GiveWay
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.learned_file import learned_file
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.pipeline import Generation, Listener, Question, answer
from timebill_ros.inference.prefix.prefix_cache import PrefixCache
from timebill_ros.inference.prefix.reusable import why_not_reused
from timebill_ros.inference.target_compiler import target_compiler
from timebill_ros.inference.thinking_stream import answer_stream
from timebill_ros.inference.warm_up import WARM_UP_PROMPT, warm_up
from timebill_ros.worker.held_query import HeldQuery
from timebill_ros.worker.intake import Intake
from timebill_ros.worker.preparation import Preparation
from timebill_ros.worker.preparing import Preparing
from timebill_ros.worker.progress import (
    Faulted,
    Finished,
    Planned,
    Rejected,
    Text,
)
from timebill_ros.worker.protocol import (
    FromWorker,
    Load,
    Phase,
    PrefixesHeld,
    Prepared,
    Ready,
    Recalibrate,
    Run,
)
from timebill_ros.worker.timing import Timing
from timebill_ros.worker.urgent_queries import UrgentQueries


class QueryServer:
    """Owns the model.

    Arguments:
        load: what to load.
        intake: hands over the queries, tokenised, and what to do next.
        send: takes messages for the node.

    Raises:
        ValueError: the model cannot be loaded; one sentence.
    """

    def __init__(self, load: Load, intake: Intake, send: Callable[[FromWorker], None]) -> None:
        self._settings = load.settings
        self._intake = intake
        self._send = send
        send(Phase('loading'))
        self._engine = loaded_engine(load.settings)
        target, penalty = self._engine.target, self._engine.settings.repetition_penalty
        self._predictor = load_predictor(load.settings.length_predictor, target, penalty)
        self._prompts = _chat_prompt(load.settings, target.tokenizer)
        self._thinking = self._prompts.thinking_tags()
        # The tokenising thread's tokenizer must not be touched from the thread that decodes.
        self._detokenizer = Tokenizer.from_str(target.tokenizer.backend_tokenizer.to_str())
        self._threads = torch.get_num_threads()
        self._constraints = target_compiler(target, self._prompts)
        ids = self._prompts.token_ids(WARM_UP_PROMPT)
        warm_up(
            self._engine, self._predictor, answer_stream(self._detokenizer, self._thinking), ids
        )
        self._timing = Timing(self._engine, load.settings.profile_time_s, send)
        self._prefixes = self._engine.prefixes = self._prefix_cache()
        self._held = PrefixesHeld(0, 0, 0)
        self._urgent = UrgentQueries(intake.urgent_work, self._run, self._threads)
        self._token_bytes = token_bytes(self._engine)
        self._preparing = Preparing(self._engine, self._predictor, self._beginning_ids)
        self._tokenising = threading.Lock()

    def serve(self) -> None:
        """Say READY, then answer for ever."""
        self._constraints.warm_up()
        self._intake.start_tokenising(self._token_ids, self._constraints.compiled, self._prefixes)
        target = self._engine.target
        self._timing.tell()
        self._send(
            Ready(
                self._settings.model,
                str(target.device),
                str(target.dtype).removeprefix('torch.'),
                target.context_length,
                self._engine.min_kept_tokens,
                target.quantization,
                self._engine.step.name,
                self._predictor.name,
                self._threads,
                learned_file(target, self._engine.settings.repetition_penalty),
            )
        )
        self._tell_prefixes(has_ended=True)
        while True:
            work = self._intake.next_work()
            if isinstance(work, Recalibrate):
                self._engine.prefixes = PrefixCache()
                self._timing.measure(anew=True)
                self._engine.prefixes = self._prefixes
                self._timing.tell()
            elif isinstance(work, Preparation):
                self._prepare(work)
            else:
                self._run(work)

    def _token_ids(self, *texts: Any) -> list[int]:
        with self._tokenising:
            return self._prompts.token_ids(*texts)

    def _beginning_ids(self, system_prompt: str, context: str) -> list[int]:
        with self._tokenising:
            return self._prompts.beginning_ids(system_prompt, context)

    def _prepare(self, preparation: Preparation) -> None:
        try:
            prepared = self._preparing.prepare(preparation)
        except Exception as error:  # out of memory, say
            logging.exception('a context could not be prepared')
            detail = f'it could not be read: {type(error).__name__}: {error}'
            prepared = Prepared(preparation.message.number, detail)
        if prepared is not None and self._intake.is_prepared(preparation):
            self._send(prepared)
        self._tell_prefixes()

    def _run(self, run: Run) -> None:
        query = self._intake.begin(run.number)
        if query is None:  # dropped before its turn came, and said so
            return
        try:
            generation = self._answer(run, query)
            kept = generation.mean_kept_tokens
            self._timing.observe(replace(generation.bill, kept_tokens=kept))
            self._send(
                Finished(
                    run.number,
                    generation.finish_reason,
                    generation.bill,
                    generation.choice,
                    generation.choice_probabilities,
                    generation.mean_token_probability,
                )
            )
        except BrokenConstraintError as error:
            self._send(Rejected(run.number, str(error)))
        except Exception as error:
            # Out of GPU memory, say: this query's end, not the worker's.
            logging.exception('generation failed')
            self._send(Faulted(run.number, f'{type(error).__name__}: {error}'))
            if isinstance(error, MemoryError | torch.OutOfMemoryError):
                self._prefixes.clear()  # the next query finds more memory
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        finally:
            self._intake.end(run.number)
            self._tell_prefixes(has_ended=self._urgent.is_alone)

    def _answer(self, run: Run, query: HeldQuery) -> Generation:
        prompt = user_turn(query.prompt, query.context)
        return answer(
            self._engine,
            BudgetPlanner(run.planner, self._timing.model),
            self._predictor,
            answer_stream(self._detokenizer, self._thinking),
            Question(prompt, query.token_ids, run.max_new_tokens, query.form, run.lengths),
            Interrupt(
                Deadline(run.last_moment_s),
                query.abort,
                Deadline(run.stop_at_s),
                GiveWay(self._urgent),
            ),
            Listener(
                planned=lambda bill: self._planned(run.number, query, bill),
                text=lambda *written: self._send(Text(run.number, *written)),
                predicted=lambda lengths: setattr(query, 'predicted_lengths', lengths),
            ),
        )

    def _planned(self, number: int, query: HeldQuery, bill: Bill) -> None:
        self._send(Planned(number, bill, query.predicted_lengths))
        self._intake.has_read(number)
        self._tell_prefixes()

    def _tell_prefixes(self, has_ended: bool = False) -> None:
        """Tell the node what is cached now, of waiting queries' prompts too.

        Arguments:
            has_ended: no query has begun and not ended, so it is seen how much room there is.
        """
        self._intake.promise_again()
        prefixes, room = self._prefixes, self._held.room_tokens
        if has_ended:
            room = room_tokens(self._engine, self._token_bytes)
        held = PrefixesHeld(len(prefixes), prefixes.nbytes, prefixes.longest_tokens, room)
        if held != self._held:
            self._held = held
            self._send(held)

    def _prefix_cache(self) -> PrefixCache:
        limit_bytes = self._settings.prefix_cache_mb * 1_000_000
        if limit_bytes and (reason := why_not_reused(self._engine.target.model.config)):
            logging.warning('every prompt is read whole: %s', reason)
            limit_bytes = 0
        return PrefixCache(limit_bytes, self._engine.scorer.window, self._predictor.needs_sums)


def _chat_prompt(settings: ModelSettings, tokenizer: Any) -> ChatPrompt:
    path = settings.chat_template
    name = f'chat_template {path!r}' if path else "the model's chat template"
    return ChatPrompt(tokenizer, settings.template_arguments(), name)
