"""Draws the engine benchmark: prefill and decoding by prompt length."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

from matplotlib import pyplot as plt

_STYLES = {
    'ours': ('tab:blue', '-', 'ours (4 bits, as the GGUF file)'),
    'ours_int8': ('tab:blue', '--', 'ours, int8'),
    'ours_none': ('tab:blue', ':', 'ours, bf16'),
    'transformers': ('tab:orange', '-', 'transformers generate, bf16'),
    'llama_cpp': ('tab:green', '-', 'llama.cpp'),
    'ik_llama_cpp': ('tab:olive', '-', 'ik_llama.cpp'),
    'openvino': ('tab:purple', '-', 'OpenVINO GenAI, int4'),
}


def plot(result: dict[str, Any], path: Path) -> None:
    """Write the figure."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout='constrained')
    lengths = [int(n) for n in result['lengths']]
    for name, (colour, style, label) in _STYLES.items():
        found = [arms[name] for arms in result['lengths'].values() if name in arms]
        if not found:
            continue
        line = {'color': colour, 'linestyle': style, 'marker': '.', 'label': label}
        if name not in ('ours_int8', 'ours_none'):  # prompts are read alike
            left.plot(lengths, [arm['prefill_s'] for arm in found], **line)
        medians = [arm['step_ms']['p50'] for arm in found]
        right.plot(lengths, medians, **line)
        if name == 'ours':
            tails = [arm['step_ms']['p99'] for arm in found]
            right.fill_between(lengths, medians, tails, alpha=0.2, label='ours, to the p99')
    limits = [result['bandwidth_limit_ms'][n] for n in result['lengths']]
    right.plot(
        lengths, limits, 'k:', label="limit: the weights' and the cache's bytes / bandwidth"
    )
    for axes, what in ((left, 'first token [s]'), (right, 'decoding step [ms]')):
        axes.set_xscale('log', base=2)
        axes.set_yscale('log')
        axes.set_xticks(lengths, [str(n) for n in lengths])
        axes.set_xlabel('prompt [tokens]')
        axes.set_ylabel(what)
        axes.grid(alpha=0.3, which='both')
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=4, fontsize='small')
    figure.savefig(path, dpi=120)
    plt.close(figure)
