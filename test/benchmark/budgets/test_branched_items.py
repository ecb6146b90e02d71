"""The built-in model's answers to an item: decoded once, in this run or in an earlier one."""

from pathlib import Path

import pytest

from benchmark.budgets.branch_file import BranchFile
from benchmark.budgets.branched_items import BranchedItems
from benchmark.budgets.recording import Recorder
from benchmark.budgets.tasks.task import Item
from benchmark.budgets.way import WHOLE, Way
from timebill_ros.core.answer_worth import PRIOR
from timebill_ros.inference.cache.scorers.snapkv import SnapKV
from timebill_ros.inference.engine import DecodingSettings, Engine
from timebill_ros.inference.length.length_predictor import NoPredictor
from timebill_ros.inference.loading.model_loader import BUILT_IN, load_target

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
