"""What a time model is kept for: the name of the device."""

import platform

import pytest
import torch

from timebill_ros.inference import measured_time_model
from timebill_ros.inference.measured_time_model import device_name

X86 = 'processor\t: 0\nmodel name\t: A processor\n\nprocessor\t: 1\nmodel name\t: A processor\n'
ARM = 'processor\t: 0\nFeatures\t: asimd\n\nprocessor\t: 1\nprocessor\t: 2\nCPU part\t: 0xd42\n'
BOARD = 'A robot board Rev 1.4'


@pytest.mark.parametrize(
    ('cpuinfo', 'board', 'name'),
    [
        (X86, '', 'A processor x 2'),
        (X86, BOARD, 'A processor x 2'),
        (ARM, BOARD, f'{BOARD} x 3'),
        (ARM, '', f'{platform.machine()} x 3'),
    ],
)
def test_a_machine_has_a_name_and_cores_on_x86_and_on_arm(
    monkeypatch, tmp_path, cpuinfo, board, name
):
    (tmp_path / 'cpuinfo').write_text(cpuinfo)
    if board:
        (tmp_path / 'board').write_text(f'{board}\0')
    monkeypatch.setattr(measured_time_model, '_CPUINFO', tmp_path / 'cpuinfo')
    monkeypatch.setattr(measured_time_model, '_BOARD', tmp_path / 'board')
    assert device_name(torch.device('cpu')) == name
