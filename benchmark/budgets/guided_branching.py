"""Many evicted answers of one reading, all of one form: each is decoded from its first token on.

A constraint forces several tokens at once, and they go through the model together. So what is in
the cache behind a token depends on how it came there. These answers are short: the engine's own
loop writes each of them as a whole.
"""

from tokenizers import Tokenizer

from benchmark.budgets.alpha_grid import kept_tokens
from benchmark.budgets.way import Way
from benchmark.eviction.evicted_answers import NEVER, copied
from timebill_ros.inference.constraint.compiler import Form
from timebill_ros.inference.constraint.guided import Guided
from timebill_ros.inference.engine import Engine
from timebill_ros.inference.prefilled import Prefilled
from timebill_ros.inference.text_stream import TextStream


class GuidedBranching:
    """Writes the answers to one prompt, as the pipeline does.

    Arguments:
        engine: used by no one else meanwhile; it guesses no tokens.
        prefilled: what the answers are written from. It stays as it is.
        longest: bound of the answers [tokens].
        form: of the answers.

    `steps` has of each answer the steps that each token took; see AnswerSteps.
    """

    def __init__(
        self,
        engine: Engine,
        detokenizer: Tokenizer,
        prefilled: Prefilled,
        longest: int,
        form: Form,
    ) -> None:
        assert not engine.speculates, 'the steps of each token are counted'
        self._engine = engine
        self._detokenizer = detokenizer
        self._prefilled = prefilled
        self._longest = longest
        self._form = form
        self.steps: dict[Way, list[float]] = {}

    def pieces(self, way: Way) -> list[str]:
        """Return an answer's text, token by token."""
        evict_at, alpha = way
        engine, prompt_tokens = self._engine, len(self._prefilled.prompt_ids)
        kept = kept_tokens(prompt_tokens, alpha, engine.scorer.min_kept_tokens)
        prefilled = copied(engine, self._prefilled, self._longest, engine.scorer.window)
        stream = TextStream(self._detokenizer)
        guided = Guided.by(self._form, engine.target.stop_token_ids, stream)
        if evict_at == 0:
            engine.evict(prefilled, kept)
        pieces: list[str] = []
        steps: list[float] = []
        for token_id, reason in engine.decode(
            prefilled, self._longest, NEVER, guided.guide, guided.probability, guided.passes
        ):
            pieces.append(guided.add(token_id))
            steps.append(guided.passes.steps - sum(steps))
            if len(pieces) == evict_at and reason is None:
                engine.evict(prefilled, kept)
        pieces[-1] += guided.end()
        self.steps[way] = steps
        return pieces
