"""Trains a length predictor for a target on the lengths that collect_lengths has collected.

It trains on 70 % of the prompts, stops when the error on another 15 % no longer falls, and reports
the errors on the remaining 15 %. The predictor is a head on the target's own hidden states; with
--backbone, it is a fine-tuned small language model.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import transformers
from numpy.typing import NDArray

from timebill_ros.core.length_distribution import BUCKET_TOKENS, BUCKETS
from timebill_ros.inference.length import state_head
from timebill_ros.inference.length.predictor_key import PredictorKey
from timebill_ros.inference.loading.model_loader import load_target
from timebill_ros.inference.loading.model_source import BUILT_IN
from timebill_ros.progress import Progress
from timebill_ros.training.classifier_training import train_classifier
from timebill_ros.training.collected_texts import collected_texts
from timebill_ros.training.fine_tuning import FineTuning
from timebill_ros.training.head_training import HeadSettings, head_lengths, train_head
from timebill_ros.training.length_data import LengthData, Split, only_folder, read_data
from timebill_ros.training.length_errors import length_errors
from timebill_ros.training.length_objectives import BucketObjective
from timebill_ros.training.predictor_card import predictor_card
from timebill_ros.training.state_file import state_shape

FEWEST_PROMPTS = 100
HEAD_NAME, CLASSIFIER_NAME = 'length_predictor.safetensors', 'length_predictor'


def main() -> int:
    """Train, write the predictor and its card, print its errors; return the exit status."""
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
    data, depth = _data(options.model, folder)
    split = data.random_split()
    if options.backbone:
        output = options.output or folder / CLASSIFIER_NAME
        card_path = output / 'README.md'
        what = f'{options.backbone}, fine-tuned to classify prompts into {_buckets()}.'
        predicted = _train_classifier(options, data, split, output)
    else:
        output = options.output or folder / HEAD_NAME
        card_path = output.with_suffix('.md')
        what, predicted = _train_head(data, split, depth, options.seed, output)
    errors = {
        part: length_errors(predicted[rows], data.response_tokens[rows])
        for part, rows in (('validation', split.validation), ('test', split.test))
    }
    card = predictor_card(data, split, what, errors, options.seed)
    card_path.write_text(card, encoding='utf-8')
    print(card)
    print(f'{output}: give it to the node as the parameter length_predictor')
    return 0


def _data(model: str, folder: Path) -> tuple[LengthData, int]:
    """Return the collected lengths, and the number of the target's layers."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    target = load_target(model)
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
    return data, int(target.model.config.get_text_config().num_hidden_layers)


def _train_head(
    data: LengthData, split: Split, depth: int, seed: int, output: Path
) -> tuple[str, NDArray[np.float64]]:
    settings, objective = HeadSettings(), BucketObjective(data.response_tokens)
    with Progress(settings.most_epochs, 'epochs') as progress:
        head = train_head(
            data,
            split,
            depth,
            objective,
            settings,
            seed,
            lambda error: progress.advance(1, f'validation error {error:.1f} tokens'),
        )
    state_head.save(head, _key(data), output)
    what = (
        'Reads the hidden states of the target during its prefill (behind layer '
        f'{", ".join(map(str, head.layers))} of {depth}: of the last token, and the mean over the '
        f'prompt), and gives a distribution over {_buckets()}: the mean of {settings.members} '
        'small networks.'
    )
    return what, head_lengths(head, data, objective, settings)


def _train_classifier(
    options: argparse.Namespace, data: LengthData, split: Split, output: Path
) -> NDArray[np.float64]:
    texts = collected_texts(data, options.seed)
    with Progress(FineTuning().epochs * len(split.train), 'prompts') as progress:
        return train_classifier(
            options.backbone,
            texts,
            data,
            split,
            _key(data),
            output,
            options.seed,
            progress.advance,
        )


def _key(data: LengthData) -> PredictorKey:
    key = data.key
    return PredictorKey(
        key.target, key.weights_hash, key.quantization, key.repetition_penalty, key.max_new_tokens
    )


def _buckets() -> str:
    return f'{BUCKETS} buckets of {BUCKET_TOKENS} tokens'


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default=BUILT_IN, help="the target: as the node's parameter")
    parser.add_argument(
        '--backbone',
        help='a small language model to fine-tune: a folder in Hugging Face format, or a hub id',
    )
    parser.add_argument(
        '--folder', type=Path, help='of the lengths; default: the one in the cache'
    )
    parser.add_argument(
        '--output',
        type=Path,
        help=f'{HEAD_NAME}, or with --backbone the folder {CLASSIFIER_NAME}; default: beside the '
        'lengths',
    )
    parser.add_argument('--seed', type=int, default=0, help='of prompts and training; default: 0')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
