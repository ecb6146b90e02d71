"""The collected lengths as a table, and the time that all prompts need."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from timebill_ros.training.length_file import LengthRecord
from timebill_ros.training.prompt import Kind, Prompt

_COLUMNS = (
    f'{"":26}{"n":>6}{"prompt":>8}{"median":>8}{"p90":>6}{"EOS":>7}{"LENGTH":>8}{"REPET.":>8}'
    f'{"s":>8}'
)


def summary(records: Sequence[LengthRecord], prompts: Sequence[Prompt]) -> str:
    """Return a table by kind and source: lengths, how answers ended, seconds for each prompt.

    Arguments:
        records: what has been collected.
        prompts: the whole set.
    """
    if not records:
        return 'nothing has been collected yet'
    lines = [_COLUMNS]
    for kind in Kind:
        of_kind = [record for record in records if record.kind == kind]
        lines += [_row(kind.value, of_kind)] if of_kind else []
        for source in sorted({record.source for record in of_kind}):
            lines.append(_row(f'  {source}', [r for r in of_kind if r.source == source]))
    lines.append(_row('all', records))
    prefill_s = sum(record.prefill_s for record in records)
    decode_s = sum(record.decode_s for record in records)
    response_tokens = sum(record.response_tokens for record in records)
    lines.append(
        f'{sum(record.prompt_tokens for record in records) / max(prefill_s, 1e-9):.0f} prompt '
        f'tokens/s, {response_tokens / max(decode_s, 1e-9):.0f} response tokens/s, '
        f'{response_tokens / max(prefill_s + decode_s, 1e-9):.0f} response tokens/s with prefills'
    )
    lines.append(
        f'the whole set of {len(prompts)} prompts takes about '
        f'{expected_time_s(records, prompts) / 3600:.1f} h'
    )
    return '\n'.join(lines)


def expected_time_s(records: Sequence[LengthRecord], prompts: Sequence[Prompt]) -> float:
    """Return the time for all prompts [s]: each kind's mean, or the mean of all records.

    Arguments:
        records: at least one.
        prompts: the whole set.
    """
    seconds = {
        kind: [record.prefill_s + record.decode_s for record in records if record.kind == kind]
        for kind in Kind
    }
    of_all = [second for of_kind in seconds.values() for second in of_kind]
    counts = Counter(prompt.kind for prompt in prompts)
    return sum(count * float(np.mean(seconds[kind] or of_all)) for kind, count in counts.items())


def _row(name: str, records: Sequence[LengthRecord]) -> str:
    lengths = np.array([record.response_tokens for record in records])
    ends = Counter(record.finish_reason for record in records)
    shares = [100 * ends[reason] / len(records) for reason in ('EOS', 'LENGTH', 'REPETITION')]
    seconds = np.mean([record.prefill_s + record.decode_s for record in records])
    return (
        f'{name:26}{len(records):6}'
        f'{np.median([record.prompt_tokens for record in records]):8.0f}'
        f'{np.median(lengths):8.0f}{np.quantile(lengths, 0.9):6.0f}'
        f'{shares[0]:6.0f}%{shares[1]:7.0f}%{shares[2]:7.0f}%{seconds:8.2f}'
    )
