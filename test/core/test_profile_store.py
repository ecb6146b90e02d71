import json
import time
from dataclasses import fields, replace

import pytest

from timebill_ros.core import atomic_file, profile_store
from timebill_ros.core.profile_store import ProfileKey, load, save
from timebill_ros.core.time_model import TimeModel

MODEL = TimeModel(a=2.5e-7, b=8e-4, c=1 / 3, p=5e-6, q=0.017, e1=4e-5, e0=0.01, delta=0.25)
KEY = ProfileKey(
    model='tiny',
    weights_hash='ab12',
    device='cpu',
    dtype='bfloat16',
    quantization='Q4_1',
    threads='2',
    versions='torch 2.13.0',
    kernels='grouped',
    prefill_chunk='512',
)


def test_what_was_saved_is_loaded_to_the_last_bit_and_at_once(tmp_path):
    path = save(tmp_path / 'made' / 'here', KEY, MODEL)
    start = time.perf_counter()
    assert load(path.parent, KEY) == MODEL
    assert time.perf_counter() - start < 0.05


def test_absent_is_none(tmp_path):
    assert load(tmp_path, KEY) is None
    assert load(tmp_path / 'nowhere', KEY) is None


@pytest.mark.parametrize('name', [field.name for field in fields(ProfileKey)])
def test_any_other_field_is_another_profile(tmp_path, name):
    save(tmp_path, KEY, MODEL)
    other = replace(KEY, **{name: 'other'})
    assert load(tmp_path, other) is None
    save(tmp_path, other, replace(MODEL, q=1.0))
    assert load(tmp_path, KEY) == MODEL


def test_a_file_under_the_wrong_name_is_none(tmp_path):
    other = replace(KEY, threads='4')
    save(tmp_path, other, MODEL).rename(tmp_path / KEY.file_name)
    assert load(tmp_path, KEY) is None


def damaged_contents():
    whole = {'format': profile_store.FORMAT, 'key': KEY.__dict__, 'coefficients': MODEL.__dict__}
    yield b''
    yield b'\xff\xfe\x00'
    yield b'null'
    yield b'[' * 100000
    yield json.dumps(whole).encode()[:-20]
    for name, value in (('a', -1.0), ('q', float('nan')), ('p', 'fast'), ('speed', 1.0)):
        yield json.dumps({**whole, 'coefficients': {**MODEL.__dict__, name: value}}).encode()
    yield json.dumps({**whole, 'coefficients': {'a': 1.0}}).encode()
    yield json.dumps({**whole, 'format': 0}).encode()
    yield json.dumps({'format': profile_store.FORMAT, 'key': KEY.__dict__}).encode()


@pytest.mark.parametrize('content', list(damaged_contents()))
def test_a_damaged_file_is_none_and_is_replaced(tmp_path, content):
    (tmp_path / KEY.file_name).write_bytes(content)
    assert load(tmp_path, KEY) is None
    save(tmp_path, KEY, MODEL)
    assert load(tmp_path, KEY) == MODEL


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    save(tmp_path, KEY, MODEL)

    def full_disk(descriptor):
        raise OSError('no space left')

    monkeypatch.setattr(atomic_file.os, 'fsync', full_disk)
    with pytest.raises(OSError, match='no space left'):
        save(tmp_path, KEY, replace(MODEL, q=1.0))
    assert load(tmp_path, KEY) == MODEL
    assert [path.name for path in tmp_path.iterdir()] == [KEY.file_name]


def test_a_profile_without_the_margin_of_single_steps_is_still_good(tmp_path):
    path = save(tmp_path, KEY, replace(MODEL, step_delta=0.5, bound_spreads=3.0))
    content = json.loads(path.read_text())
    for name in ('step_delta', 'bound_spreads'):
        del content['coefficients'][name]
    path.write_text(json.dumps(content))
    assert load(tmp_path, KEY) == MODEL
