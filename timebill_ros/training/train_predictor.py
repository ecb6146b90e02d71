"""Trains a length predictor for a target on the lengths that collect_lengths has collected.

It learns from 70 % of the prompts, ends when 15 % get no better, and is judged by the other 15 %.
"""

import argparse
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import transformers

from timebill_ros.core.length_distribution import BUCKET_TOKENS, BUCKETS
from timebill_ros.inference import state_head
from timebill_ros.inference.model_loader import BUILT_IN, load_target
from timebill_ros.inference.state_head import PredictorKey
from timebill_ros.progress import Progress
from timebill_ros.training.head_training import HeadSettings, head_lengths, train_head
from timebill_ros.training.length_data import LengthData, Split, only_folder, read_data
from timebill_ros.training.length_errors import LengthErrors, length_errors
from timebill_ros.training.length_objectives import BucketObjective
from timebill_ros.training.state_file import state_shape

FEWEST_PROMPTS = 100
NAME = 'length_predictor.safetensors'


def main() -> int:
    """Train, write the predictor and its card, print its figures; return the exit status."""
    options = _options()
    try:
        return _run(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    folder = options.folder or only_folder()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    target = load_target(options.model)
    depth = target.model.config.get_text_config().num_hidden_layers
    data = read_data(folder, state_shape(target.model))
    if data.key.weights_hash != target.weights_hash:
        raise ValueError(
            f'{folder} holds the answers of {data.key.target!r} with weights '
            f'{data.key.weights_hash[:12]}, not of {target.name!r} with {target.weights_hash[:12]}'
        )
    if len(data.records) < FEWEST_PROMPTS:
        raise ValueError(
            f'{folder} has {len(data.records)} answers, at least {FEWEST_PROMPTS} are needed: '
            'collect more lengths'
        )
    settings, split = HeadSettings(), data.random_split()
    objective = BucketObjective(data.response_tokens)
    with Progress(settings.most_epochs, 'epochs') as progress:
        head = train_head(
            data,
            split,
            depth,
            objective,
            settings,
            options.seed,
            lambda error: progress.advance(1, f'validation error {error:.1f} tokens'),
        )
    predicted = head_lengths(head, data, objective, settings)
    errors = {
        part: length_errors(predicted[rows], data.response_tokens[rows])
        for part, rows in (('validation', split.validation), ('test', split.test))
    }
    output = options.output or folder / NAME
    key = PredictorKey(
        data.key.target,
        data.key.weights_hash,
        data.key.quantization,
        data.key.repetition_penalty,
        data.key.max_new_tokens,
    )
    state_head.save(head, key, output)
    text = card(data, split, settings, errors, head.layers, options.seed)
    output.with_suffix('.md').write_text(text, encoding='utf-8')
    print(text)
    print(f'{output}: give it to the node as the parameter length_predictor')
    return 0


def card(
    data: LengthData,
    split: Split,
    settings: HeadSettings,
    errors: dict[str, LengthErrors],
    layers: tuple[int, ...],
    seed: int,
) -> str:
    """Return what is to be known of a predictor, in Markdown."""
    kinds = Counter(record.kind.value for record in data.records)
    ends = Counter(record.finish_reason for record in data.records)
    rows = [
        f'| {part} | {e.n} | {e.mae:.1f} | {e.rmse:.1f} | {e.r2:.3f} |'
        for part, e in errors.items()
    ]
    return '\n'.join(
        [
            f'# Length predictor for {data.key.target}',
            '',
            'Reads the hidden states of the target during its prefill (behind the layers '
            f'{", ".join(map(str, layers))}: of the last token, and the mean over the prompt), '
            f'and gives a distribution over {BUCKETS} buckets of {BUCKET_TOKENS} tokens: the mean '
            f'of {settings.members} small networks.',
            '',
            f'Trained on {len(split.train)} prompts, ended by {len(split.validation)}, seed '
            f"{seed}; figures are of the distribution's median.",
            '',
            '| part | prompts | MAE | RMSE | R2 |',
            '| --- | --- | --- | --- | --- |',
            *rows,
            '',
            'Prompts by kind: ' + ', '.join(f'{kind} {n}' for kind, n in sorted(kinds.items())),
            '',
            'Answers ended by: ' + ', '.join(f'{end} {n}' for end, n in sorted(ends.items())),
            '',
            'The target, as it answered: '
            + ', '.join(f'{name} {value}' for name, value in asdict(data.key).items()),
            '',
        ]
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default=BUILT_IN, help="as the node's parameter")
    parser.add_argument(
        '--folder', type=Path, help='of the lengths; default: the one in the cache'
    )
    parser.add_argument(
        '--output', type=Path, help=f'the predictor; default: {NAME} beside the lengths'
    )
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
