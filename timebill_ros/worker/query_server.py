"""Inside the worker: tokenises queries as they come, answers one at a time."""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.chat_prompt import ChatPrompt
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.model_loader import load_target
from timebill_ros.inference.pipeline import Listener, answer
from timebill_ros.inference.text_stream import TextStream
from timebill_ros.worker.protocol import (
    Drop,
    Faulted,
    Finished,
    Load,
    Planned,
    Ready,
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

    Errors:
        ValueError: the model cannot be loaded; one sentence.
    """

    def __init__(self, load: Load, send: Callable[[Any], None]) -> None:
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        if load.threads > 0:
            torch.set_num_threads(load.threads)
        self._send = send
        target = load_target(load.model, load.device, load.dtype)
        self._engine = Engine(target, DecodingSettings(load.repetition_penalty))
        self._planner = BudgetPlanner()
        self._prompts = ChatPrompt(target.tokenizer)
        # The intake thread's tokenizer must not be touched from the thread that decodes.
        self._detokenizer = Tokenizer.from_str(target.tokenizer.backend_tokenizer.to_str())
        self._lock = threading.Lock()
        self._held: dict[int, list[int]] = {}
        self._aborts: dict[int, threading.Event] = {}
        self._runs: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._warm_up()
        self._ready = Ready(
            load.model,
            str(target.device),
            str(target.dtype).removeprefix('torch.'),
            target.context_length,
        )

    def serve(self, inbox: 'queue.SimpleQueue[Any]') -> None:
        """Say READY, then answer for ever."""
        threading.Thread(target=self._take_in, args=(inbox,), daemon=True).start()
        self._send(self._ready)
        while True:
            self._answer(self._runs.get())

    def _take_in(self, inbox: 'queue.SimpleQueue[Any]') -> None:
        while True:
            message = inbox.get()
            if isinstance(message, Submit):
                self._tokenise(message)
            elif isinstance(message, Run):
                with self._lock:
                    self._aborts[message.number] = threading.Event()
                self._runs.put(message)
            elif isinstance(message, Drop):
                with self._lock:
                    self._held.pop(message.number, None)
                    if message.number in self._aborts:
                        self._aborts[message.number].set()

    def _tokenise(self, submit: Submit) -> None:
        try:
            token_ids = self._prompts.token_ids(submit.prompt, submit.system_prompt)
        except (
            Exception
        ) as error:  # whatever it is belongs to this query; the next ones are served
            logging.exception('tokenising failed')
            self._send(Faulted(submit.number, f'the prompt could not be tokenised: {error}'))
            return
        with self._lock:
            self._held[submit.number] = token_ids
        self._send(Tokenised(submit.number, len(token_ids)))

    def _answer(self, run: Run) -> None:
        with self._lock:
            token_ids = self._held.pop(run.number, None)
            abort = self._aborts[run.number]
        if token_ids is None:  # dropped before its run came up
            abort.set()
            token_ids = [0]
        listener = Listener(
            planned=lambda bill: self._send(Planned(run.number, bill)),
            text=lambda text, tokens: self._send(Text(run.number, text, tokens)),
        )
        try:
            generation = answer(
                self._engine,
                self._planner,
                TextStream(self._detokenizer),
                token_ids,
                run.max_new_tokens,
                Interrupt(Deadline(run.stop_at_s), abort),
                listener,
            )
            self._send(Finished(run.number, int(generation.finish_reason or 0), generation.bill))
        except Exception as error:  # out of GPU memory, say: this query's end, not the worker's
            logging.exception('generation failed')
            self._send(Faulted(run.number, f'{type(error).__name__}: {error}'))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        finally:
            with self._lock:
                self._aborts.pop(run.number, None)

    def _warm_up(self) -> None:
        """Touch every kernel once, so that the first query is not the slow one."""
        interrupt = Interrupt(Deadline(float('inf')))
        listener = Listener(planned=lambda _: None, text=lambda _, __: None)
        with contextlib.suppress(StopIteration):
            token_ids = self._prompts.token_ids(_WARM_UP_PROMPT)[
                : self._engine.target.context_length // 2
            ]
            answer(
                self._engine,
                self._planner,
                TextStream(self._detokenizer),
                token_ids,
                8,
                interrupt,
                listener,
            )
