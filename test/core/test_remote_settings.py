"""What of a remote engine's parameters is refused, and with what sentence."""

from pathlib import Path
from typing import Any

import pytest

from timebill_ros.core.remote_settings import RemoteSettings

KEY = 'sk-5ecret'
GOOD = {'remote_policy': 'only', 'remote_url': 'https://host/v1', 'remote_model': 'big'}


@pytest.mark.parametrize(
    ('url', 'origin', 'completions'),
    [
        ('https://host/v1', 'https://host', 'https://host/v1/chat/completions'),
        ('http://host:8000/v1/', 'http://host:8000', 'http://host:8000/v1/chat/completions'),
        ('http://[::1]:80', 'http://[::1]:80', 'http://[::1]:80/chat/completions'),
    ],
)
def test_an_address_is_taken(url: str, origin: str, completions: str) -> None:
    settings = RemoteSettings(remote_url=url)
    assert settings.origin == origin
    assert settings.completions_url == completions


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'remote_url': ''}, "remote_url must not be empty if remote_policy is 'only'"),
        ({'remote_model': ' '}, "remote_model must not be empty if remote_policy is 'only'"),
        ({'remote_url': 'host:8000'}, 'remote_url must be http://HOST'),
        ({'remote_url': 'ftp://host/'}, "the scheme 'ftp' and the host 'host'"),
        ({'remote_url': 'https:///v1'}, "the host ''"),
        ({'remote_url': 'https://host:99999/'}, 'remote_url is no URL: Port out of range'),
        ({'remote_url': 'https://me:word@host/'}, 'no user name and no password'),
        ({'remote_url': 'https://host/?key=word'}, r'no query \(\?\)'),
        ({'remote_policy': 'both'}, 'remote_policy must be one of off, prefer, race, only'),
        ({'remote_requests_per_hour': -1}, r'must be in \[0, 100000\] requests, got -1'),
        ({'remote_timeout_s': 0.0}, r'remote_timeout must be in \[0.05, 600.0\] s, got 0.0'),
        ({'remote_ca_file': '/no/such.pem'}, "remote_ca_file '/no/such.pem' is no file"),
    ],
)
def test_a_bad_value_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        RemoteSettings(**{**GOOD, **changes})
    assert 'word@' not in str(caught.value)


@pytest.mark.parametrize(
    ('url', 'is_taken'),
    [
        ('https://host/v1', True),
        ('http://127.0.0.1:8000/v1', True),
        ('http://localhost/v1', True),
        ('http://[::1]/v1', True),
        ('http://host/v1', False),
        ('http://192.168.0.5/v1', False),
        ('http://127.0.0.1.example.org/v1', False),
    ],
)
def test_a_key_goes_over_http_to_this_machine_only(
    monkeypatch: pytest.MonkeyPatch, url: str, is_taken: bool
) -> None:
    monkeypatch.setenv('ROBOT_KEY', KEY)
    values = {**GOOD, 'remote_url': url, 'remote_api_key_env': 'ROBOT_KEY'}
    if is_taken:
        assert RemoteSettings(**values).api_key() == KEY
        return
    with pytest.raises(ValueError, match='must begin with https') as caught:
        RemoteSettings(**values)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize('key', ['', ' ', 'two words', 'line\nbreak', 'schlüssel'])
def test_a_key_that_is_none_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv('ROBOT_KEY', key)
    with pytest.raises(ValueError, match='environment variable') as caught:
        RemoteSettings(**GOOD, remote_api_key_env='ROBOT_KEY')
    assert not key.strip() or key not in str(caught.value)


def test_a_key_in_the_place_of_its_variable_is_not_repeated() -> None:
    with pytest.raises(ValueError, match='remote_api_key_env') as caught:
        RemoteSettings(**GOOD, remote_api_key_env=KEY)
    assert KEY not in str(caught.value)


def test_no_value_holds_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('ROBOT_KEY', f'{KEY}\n')
    ca_file = tmp_path / 'ca.pem'
    ca_file.touch()
    settings = RemoteSettings(**GOOD, remote_api_key_env='ROBOT_KEY', remote_ca_file=str(ca_file))
    assert settings.api_key() == KEY
    assert KEY not in repr(settings) + str(settings.values)
