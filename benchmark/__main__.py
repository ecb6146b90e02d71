"""Runs one benchmark: `python -m benchmark NAME` in the repository; `make bench-NAME`."""

import importlib
import sys

QUESTIONS = {
    'architectures': 'benchmark.architectures.architectures',
    'constraints': 'benchmark.constraints.constraints',
    'deadline': 'benchmark.deadlines.deadline',
    'goals': 'benchmark.deadlines.goals',
    'overload': 'benchmark.deadlines.overload',
    'preemption': 'benchmark.deadlines.preemption',
    'engine': 'benchmark.engine.engine',
    'engine-peers': 'benchmark.engine.engine_peers',
    'estimator': 'benchmark.estimator.estimator',
    'eviction': 'benchmark.eviction.eviction',
    'eviction_defaults': 'benchmark.eviction.eviction_defaults',
    'eviction_scorers': 'benchmark.eviction.scorer_choice',
    'gpu': 'benchmark.gpu.gpu',
    'remote': 'benchmark.remote.remote',
    'standing': 'benchmark.standing.standing',
    'predictor': 'benchmark.predictor.predictor',
    'planned_lengths': 'benchmark.predictor.planned_lengths',
    'learned_lengths': 'benchmark.predictor.learned_lengths',
    'budgets': 'benchmark.budgets.budgets',
    'closed_loop': 'benchmark.budgets.closed_loop',
    'live': 'benchmark.budgets.live',
    'k': 'benchmark.budgets.pessimistic_factor',
    'profile': 'timebill_ros.profile',
}


def main() -> int:
    """Run the benchmark that the first argument names; return its exit status, 130 for Ctrl-C."""
    if len(sys.argv) < 2 or sys.argv[1] not in QUESTIONS:
        asked = sys.argv[1] if len(sys.argv) > 1 else 'none'
        print(f'benchmark: name one of {", ".join(QUESTIONS)}; got {asked}', file=sys.stderr)
        return 2
    name = sys.argv.pop(1)
    sys.argv[0] = f'bench-{name}'
    try:
        return int(importlib.import_module(QUESTIONS[name]).main() or 0)
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
