"""The card of a trained length predictor: its data and errors, in Markdown."""

from collections import Counter
from dataclasses import asdict

from timebill_ros.training.length_data import LengthData, Split
from timebill_ros.training.length_errors import LengthErrors


def predictor_card(
    data: LengthData, split: Split, what: str, errors: dict[str, LengthErrors], seed: int
) -> str:
    """Return the card.

    Arguments:
        what: description of the predictor, in one or two sentences.
        errors: by the part of the split on which they were measured.
    """
    kinds = Counter(record.kind.value for record in data.records)
    ends = Counter(record.finish_reason for record in data.records)
    key = ', '.join(f'{name} {value}' for name, value in asdict(data.key).items())
    lines = [
        f'# Length predictor for {data.key.target}',
        what,
        f'Trained on {len(split.train)} prompts, ended by {len(split.validation)}, seed {seed}; '
        "figures are of the distribution's median.",
        '| part | prompts | MAE | RMSE | R2 |\n| --- | --- | --- | --- | --- |\n'
        + '\n'.join(
            f'| {part} | {row.n} | {row.mae:.1f} | {row.rmse:.1f} | {row.r2:.3f} |'
            for part, row in errors.items()
        ),
        'Prompts by kind: ' + ', '.join(f'{kind} {n}' for kind, n in sorted(kinds.items())) + '.',
        'Answers ended by: ' + ', '.join(f'{end} {n}' for end, n in sorted(ends.items())) + '.',
        f'The target, as it answered: {key}.',
    ]
    return '\n\n'.join(lines) + '\n'
