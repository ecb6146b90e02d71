"""Prints the engine benchmark."""

from collections.abc import Mapping
from typing import Any

from benchmark.report.tables import screen_table


def print_tables(result: Mapping[str, Any]) -> None:
    """Print all figures that are asked for first."""
    lengths = result['lengths']
    rows = [('prefill, step', *lengths)]
    for name in result['arms']:
        found = [arms[name] for arms in lengths.values()]
        rows.append((name, *(_cell(arm['prefill_s'], arm['step_ms']['p50']) for arm in found)))
    for key in next(iter(result['ratios'].values())):
        rows.append((key, *(f'{row[key]:.2f}' for row in result['ratios'].values())))
    limits = result['bandwidth_limit_ms'].values()
    rows.append(('memory limit of a step', *(f'{ms:.1f} ms' for ms in limits)))
    print(screen_table(rows))
    print()
    print(screen_table(_arm_rows(result)))
    for kind, found in result['files'].items():
        print(f'\n{kind} ({found["file"]}, {found["file_mb"]:.0f} MB)')
        print(screen_table(_file_rows(found)))
        _print_missing(found['missing_arms'])
    print()
    _print_missing(result['missing_arms'])
    if result['short_answer_ratio'] is not None:
        print(f'512 + 64 tokens: {result["short_answer_ratio"]:.2f} of the fastest other')
    print(f'longest unchecked interval of a prefill: {result["longest_unchecked_ms"]:.0f} ms')
    print(f"idle arms' share of the CPU time: {100 * result['idle_share']:.1f} %")
    for name in ('copying', 'free_text') if result['speculation'] else ():
        found = result['speculation'][name]
        print(
            f'guessed tokens, {name}: {found["speedup"]:.2f} times as fast, '
            f'{found["accepted_per_pass"]:.2f} accepted a pass; '
            f'{found["identical"]} of {found["n"]} answers the same'
        )
    for name, reached in result['aims'].items():
        print(f'aim {name}: {"reached" if reached else "missed"}')


def _cell(prefill_s: float, step_ms: float) -> str:
    return f'{prefill_s:.3f} s {step_ms:5.1f} ms'


def _arm_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    head = ('', 'answers as fp32', 'likeliest token as fp32', 'loss [nats]', 'MB', 'load')
    rows: list[tuple[str, ...]] = [head]
    for name, arm in result['arms'].items():
        same, top = result['agreement'].get(name), arm.get('top_token')
        rows.append(
            (
                name,
                f'{same["identical"]} of {same["n"]}' if same else '-',
                f'{top["identical"]} of {top["n"]}' if top else '-',
                f'{arm["log_likelihood_loss"]:.4f}' if top else '-',
                f'{arm["rss_mb"]:.0f}',
                f'{arm["load_s"]:.1f} s',
            )
        )
    return rows


def _file_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    lengths = found['ratios']
    rows = [('', *lengths, 'MB', 'load', 'loss [nats]')]
    for name, arm in found['arms'].items():
        cells = (_cell(arm['prefill_s'][n], arm['step_ms'][n]) for n in lengths)
        loss = arm.get('log_likelihood_loss')
        told = '-' if loss is None else f'{loss:.4f}'
        rows.append((name, *cells, f'{arm["rss_mb"]:.0f}', f'{arm["load_s"]:.1f} s', told))
    for key in next(iter(lengths.values())):
        rows.append((key, *(f'{row[key]:.2f}' for row in lengths.values()), '', '', ''))
    return rows


def _print_missing(missing: Mapping[str, str]) -> None:
    for name, reason in missing.items():
        print(f'{name} is left out: {reason}')
