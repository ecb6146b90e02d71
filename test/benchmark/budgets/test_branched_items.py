"""The built-in model's answers to an item: decoded once, in this run or in an earlier one."""

import json
from pathlib import Path

import pytest

from benchmark.budgets.alpha_grid import kept_tokens
from benchmark.budgets.branch_file import BranchFile
from benchmark.budgets.branched_items import BranchedItems
from benchmark.budgets.recording import Recorder
from benchmark.budgets.tasks.task import Item
from benchmark.budgets.way import WHOLE, Way
from benchmark.eviction.evicted_answers import NEVER
from timebill_ros.core.answer_worth import PRIOR
from timebill_ros.core.constraint import Constraint, ConstraintKind
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.constraint.grammar import Grammar
from timebill_ros.inference.constraint.guide import Guide
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.length.length_predictor import NoPredictor
from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target
from timebill_ros.inference.step.answer_steps import PassCount
from timebill_ros.inference.target_compiler import target_compiler
from timebill_ros.inference.text_stream import TextStream

KEY = {'model': BUILT_IN}
ITEM = Item('count 0123456789abcdef', 'Go on: 1 2 3 4 5 6 7 8 9 10 11 12. ' * 6, 10, len)
WAYS: list[Way] = [WHOLE, (0, 0.5), (4, 0.75)]


@pytest.fixture(scope='module')
def recorder() -> Recorder:
    target = load_target(BUILT_IN, device='cpu', dtype='float32', quantization='none')
    return Recorder(Engine(target, DecodingSettings(1.05), SnapKV(window=8)), NoPredictor())


def test_answers_are_read_from_the_file_and_only_others_are_decoded(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefills = []
    prefill = recorder.engine.prefill
    monkeypatch.setattr(
        recorder.engine, 'prefill', lambda *asked: prefills.append(asked) or prefill(*asked)
    )

    def pieces(ways: list[Way]) -> list[list[str]]:
        with BranchFile(tmp_path / 'answers.jsonl', KEY) as file:
            source = BranchedItems(recorder, file)
            with source.answers(ITEM, PRIOR) as answers:
                found = [answers.pieces(way) for way in ways]
            assert source.is_known(ITEM)
            assert answers.clock.prompt_tokens == answers.prompt_tokens
            assert len(answers.clock.factors) == 2 * answers.longest == 20
            return found

    first = pieces(WAYS[:2])
    assert len(prefills) == 1
    prefills.clear()
    assert pieces(WAYS[:2]) == first
    assert not prefills
    more = pieces(WAYS)
    assert more[:2] == first
    assert more[2][:3] == first[0][:3]  # the fourth may be joined with the rest of a character
    assert len(prefills) == 1


SCHEMA = {
    'type': 'object',
    'properties': {
        'place_of_the_robot': {'enum': ['kitchen', 'kiosk', 'cellar']},
        'words': {'type': 'array', 'items': {'type': 'string', 'maxLength': 9}, 'maxItems': 2},
    },
    'required': ['place_of_the_robot', 'words'],
    'additionalProperties': False,
}
GUIDED = Item(
    'form',
    'The robot stands somewhere, and there is much to say of that. ' * 8,
    40,
    len,
    Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(SCHEMA)),
)


def alone(recorder: Recorder, evict_at: int, alpha: float) -> tuple[str, float]:
    """Return the text of an answer that the engine decodes by itself, and its passes."""
    engine, ids = recorder.engine, recorder.chat.token_ids(GUIDED.prompt)
    assert GUIDED.constraint is not None
    form = target_compiler(engine.target, recorder.chat).compiled(GUIDED.constraint, len(ids))
    assert isinstance(form, Grammar)
    guide, passes = Guide(form, TextStream(recorder.detokenizer)), PassCount()
    prefilled = engine.prefill(ids, 40, NEVER)
    kept = kept_tokens(len(ids), alpha, engine.min_kept_tokens)
    text, tokens = '', 0
    if evict_at == 0:
        engine.evict(prefilled, kept)
    for _, reason in engine.decode(prefilled, 40, NEVER, guide, passes=passes):
        text, tokens = text + guide.piece(), tokens + 1
        if tokens == evict_at and reason is None:
            engine.evict(prefilled, kept)
    return text, passes.steps


def test_constrained_answers_are_those_that_the_engine_decodes(
    recorder: Recorder, tmp_path: Path
) -> None:
    ways: list[Way] = [WHOLE, (0, 0.75), (1, 0.75), (3, 0.75), (9, 0.75)]
    path = tmp_path / 'answers.jsonl'
    with (
        BranchFile(path, KEY) as file,
        BranchedItems(recorder, file).answers(GUIDED, PRIOR) as found,
    ):
        for way in ways:
            pieces = found.pieces(way)
            text, passes = alone(recorder, *way)
            assert ''.join(pieces) == text
            assert set(json.loads(text)) == set(SCHEMA['properties'])
            steps = found.steps[way]
            assert len(steps) == len(pieces)
            assert sum(steps) == pytest.approx(passes)
            assert steps[0] == 0.0  # the first ones are forced
            assert 0.0 in steps[steps.index(max(steps)) :]
        assert len({''.join(found.pieces(way)) for way in ways}) > 1
        steps = dict(found.steps)
    with BranchFile(path, KEY) as file:
        assert file.found[GUIDED.key].steps == steps
