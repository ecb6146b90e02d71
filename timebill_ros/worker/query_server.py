"""Inside the worker: tokenises queries as they come, answers one at a time."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer

from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Deadline
from timebill_ros.core.drift import Drift
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.predictor_loader import load_predictor
from timebill_ros.inference.loaded_engine import loaded_engine
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.measured_time_model import LogProgress, time_model
from timebill_ros.inference.pipeline import Generation, Listener, Question, answer
from timebill_ros.inference.text_stream import TextStream
from timebill_ros.worker.protocol import (
    Drop,
    Estimate,
    Faulted,
    Finished,
    Load,
    Planned,
    Ready,
    Recalibrate,
    Run,
    Submit,
    Text,
    Tokenised,
)

_WARM_UP_PROMPT = 'List three things that a robot arm can do. ' * 16


class QueryServer:
    """Owns the model. The intake has a thread of its own: it tokenises while a generation runs.

    Arguments:
        load: what to load.
        send: takes messages for the node; called from both threads.

    Raises:
        ValueError: the model cannot be loaded; one sentence.
    """

    def __init__(self, load: Load, send: Callable[[Any], None]) -> None:
        self._settings = load.settings
        self._send = send
        self._engine = loaded_engine(load.settings)
        target, penalty = self._engine.target, self._engine.settings.repetition_penalty
        self._predictor = load_predictor(load.settings.length_predictor, target, penalty)
        self._prompts = ChatPrompt(target.tokenizer)
        # The intake thread's tokenizer must not be touched from the thread that decodes.
        self._detokenizer = Tokenizer.from_str(target.tokenizer.backend_tokenizer.to_str())
        self._lock = threading.Lock()
        self._held: dict[int, _Held] = {}
        self._work: queue.SimpleQueue[Run | Recalibrate] = queue.SimpleQueue()
        self._warm_up()
        self._drift = self._profile(anew=False)

    def serve(self, inbox: 'queue.SimpleQueue[Any]') -> None:
        """Say READY, then answer for ever."""
        threading.Thread(target=self._take_in, args=(inbox,), daemon=True).start()
        target = self._engine.target
        self._tell_estimate()
        self._send(
            Ready(
                self._settings.model,
                str(target.device),
                str(target.dtype).removeprefix('torch.'),
                target.context_length,
                self._engine.scorer.min_kept_tokens,
                target.quantization,
                self._engine.step.name,
                self._predictor.name,
            )
        )
        while True:
            work = self._work.get()
            if isinstance(work, Recalibrate):
                self._drift = self._profile(anew=True)
                self._tell_estimate()
            else:
                self._run(work)

    # The intake thread

    def _take_in(self, inbox: 'queue.SimpleQueue[Any]') -> None:
        while True:
            message = inbox.get()
            if isinstance(message, Submit):
                self._tokenise(message)
            elif isinstance(message, Run | Recalibrate):
                self._work.put(message)
            elif isinstance(message, Drop):
                with self._lock:
                    held = self._held.get(message.number)
                    if held is not None and held.is_running:
                        held.abort.set()
                    else:
                        self._held.pop(message.number, None)

    def _tokenise(self, submit: Submit) -> None:
        try:
            token_ids = self._prompts.token_ids(submit.prompt, submit.system_prompt)
        except Exception as error:
            # Whatever it is belongs to this query; the next ones are served.
            logging.exception('tokenising failed')
            self._send(Faulted(submit.number, f'the prompt could not be tokenised: {error}'))
            return
        with self._lock:
            self._held[submit.number] = _Held(submit.prompt, token_ids, threading.Event())
        self._send(Tokenised(submit.number, len(token_ids)))

    # The thread that owns the model

    def _run(self, run: Run) -> None:
        with self._lock:
            held = self._held.get(run.number)
            if held is not None:
                held.is_running = True
        if held is None:  # dropped before its turn came
            self._send(Finished(run.number, 0, Bill()))
            return
        try:
            generation = self._answer(run, held)
            self._observe(generation.bill)
            self._send(Finished(run.number, int(generation.finish_reason or 0), generation.bill))
        except Exception as error:
            # Out of GPU memory, say: this query's end, not the worker's.
            logging.exception('generation failed')
            self._send(Faulted(run.number, f'{type(error).__name__}: {error}'))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        finally:
            with self._lock:
                self._held.pop(run.number, None)

    def _answer(self, run: Run, held: '_Held') -> Generation:
        return answer(
            self._engine,
            BudgetPlanner(run.planner, self._drift.model if self._drift else None),
            self._predictor,
            TextStream(self._detokenizer),
            Question(held.prompt, held.token_ids, run.max_new_tokens),
            Interrupt(Deadline(run.last_moment_s), held.abort, Deadline(run.stop_at_s)),
            Listener(
                planned=lambda bill: self._send(Planned(run.number, bill)),
                text=lambda text, tokens: self._send(Text(run.number, text, tokens)),
            ),
        )

    def _warm_up(self) -> None:
        """Touch every kernel once, so that the first query is not the slow one."""
        ids = self._prompts.token_ids(_WARM_UP_PROMPT)[: self._engine.target.context_length // 2]
        answer(
            self._engine,
            BudgetPlanner(),
            self._predictor,
            TextStream(self._detokenizer),
            Question(_WARM_UP_PROMPT, ids, 8),
            Interrupt(Deadline(float('inf'))),
            Listener(planned=lambda _: None, text=lambda _, __: None),
        )

    def _profile(self, anew: bool) -> Drift | None:
        """Return the time model, measured if need be; None if it is not to be measured."""
        if self._settings.profile_time_s == 0:
            return None
        progress = LogProgress('measuring the time model')
        try:
            model = time_model(self._engine, self._settings.profile_time_s, progress, anew)
        except ValueError as error:
            logging.warning('nothing will be predicted: %s', error)
            return None
        return Drift.of(model)

    def _observe(self, bill: Bill) -> None:
        if self._drift is not None:
            ratio = self._drift.ratio(bill)
            self._drift = self._drift.observed(bill)
            self._tell_estimate(0.0 if ratio is None else ratio - 1.0)

    def _tell_estimate(self, error: float = 0.0) -> None:
        drift = self._drift
        self._send(
            Estimate(None)
            if drift is None
            else Estimate(drift.model, drift.factor, drift.out_of_range, error)
        )


@dataclass
class _Held:
    """A query that has been tokenised; is_running under the server's lock."""

    prompt: str
    token_ids: list[int]
    abort: threading.Event
    is_running: bool = False
