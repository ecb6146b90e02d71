"""Answers by the worker's own pipeline, under a form or free, without a deadline."""

from dataclasses import dataclass, field

from tokenizers import Tokenizer

from timebill_ros.core.bill import Bill
from timebill_ros.core.budget_planner import BudgetPlanner
from timebill_ros.core.constraint import Constraint
from timebill_ros.core.deadline import Deadline
from timebill_ros.inference.constraint.compiler import ConstraintCompiler, Form
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.interrupt import Interrupt
from timebill_ros.inference.length.length_predictor import NoPredictor
from timebill_ros.inference.loading.chat_prompt import ChatPrompt
from timebill_ros.inference.pipeline import Listener, Question, answer
from timebill_ros.inference.target_compiler import target_compiler
from timebill_ros.inference.text_stream import TextStream

NEVER = Interrupt(Deadline(float('inf')))


@dataclass(frozen=True)
class Answered:
    """An answer: its text, its bill, and the index of the choice (-1: none was chosen)."""

    text: str
    bill: Bill
    choice: int


@dataclass
class Answerer:
    """Answers one question after the other.

    Arguments:
        engine: keeps nothing of earlier prompts.
    """

    engine: Engine
    chat: ChatPrompt = field(init=False)
    _compiler: ConstraintCompiler = field(init=False)
    _detokenizer: Tokenizer = field(init=False)

    def __post_init__(self) -> None:
        target = self.engine.target
        self.chat = ChatPrompt(target.tokenizer)
        self._compiler = target_compiler(target, self.chat)
        self._detokenizer = Tokenizer.from_str(target.tokenizer.backend_tokenizer.to_str())

    def form(self, constraint: Constraint) -> Form:
        """Return a constraint, compiled; it raises as the compiler does."""
        return self._compiler.compiled(constraint, 0)

    def answer(self, prompt: str, max_new_tokens: int, form: Form | None = None) -> Answered:
        """Answer a question."""
        texts: list[str] = []
        found = answer(
            self.engine,
            BudgetPlanner(),
            NoPredictor(),
            TextStream(self._detokenizer),
            Question(prompt, self.chat.token_ids(prompt), max_new_tokens, form),
            NEVER,
            Listener(lambda _: None, lambda text, *_: texts.append(text)),
        )
        return Answered(''.join(texts), found.bill, found.choice)
