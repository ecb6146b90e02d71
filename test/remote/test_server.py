"""The server's client inside one process: names that hang, certificates, what is sent."""

import asyncio
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support import fake_chat_server as fake
from support.fake_chat_server import FakeChatServer
from timebill_ros.core.outcome import FinishReason
from timebill_ros.remote.protocol import Ask, Connect, Done, Fault
from timebill_ros.remote.server import Server


def ask(number: int = 0) -> Ask:
    return Ask(number, 'Where now?', '', '', (), None, 32, time.monotonic() + 60.0)


def said(url: str, ca_file: str = '', timeout_s: float = 5.0) -> Any:
    """Return the last thing that is said of a query."""
    messages: list[Any] = []
    server = Server(Connect(url, 'big', '', ca_file, timeout_s), messages.append)
    asyncio.run(server.answer(ask()))
    return messages[-1]


@pytest.fixture(scope='module')
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which('openssl') is None:
        pytest.skip('openssl is not installed')
    folder = tmp_path_factory.mktemp('certificate')
    certificate, key = folder / 'certificate.pem', folder / 'key.pem'
    subprocess.run(
        [
            *('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'),
            *('-nodes', '-keyout', str(key), '-out', str(certificate), '-days', '2'),
            *('-subj', '/CN=robot', '-addext', 'subjectAltName=IP:127.0.0.1'),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_a_certificate_that_nobody_vouches_for_is_a_fault(
    certificate: tuple[Path, Path],
) -> None:
    server = FakeChatServer(*certificate)
    fault = said(f'{server.url}/chat/completions')
    server.close()
    assert isinstance(fault, Fault)
    assert 'CERTIFICATE_VERIFY_FAILED' in fault.detail
    assert server.requests == []


def test_a_certificate_of_the_ca_file_is_taken(certificate: tuple[Path, Path]) -> None:
    server = FakeChatServer(*certificate)
    done = said(f'{server.url}/chat/completions', ca_file=str(certificate[0]))
    server.close()
    assert isinstance(done, Done)


def test_a_name_that_hangs_ends_by_the_time_out_and_holds_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released, look_up = threading.Event(), socket.getaddrinfo

    def hang(host: Any, *arguments: Any, **options: Any) -> Any:
        if host in ('hangs.invalid', b'hangs.invalid'):
            released.wait(60.0)
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, 'getaddrinfo', hang)
    messages: list[Any] = []

    async def both() -> None:
        hanging = Server(Connect('http://hangs.invalid/', 'big', '', '', 0.5), messages.append)
        other = Server(Connect(url, 'big', '', '', 30.0), messages.append)
        first = asyncio.ensure_future(hanging.answer(ask(1)))
        await other.answer(ask(2))
        await first
        released.set()

    server = FakeChatServer()
    url = f'{server.url}/chat/completions'
    asyncio.run(both())
    server.close()
    ends = {message.number: message for message in messages if not hasattr(message, 'text')}
    assert ends[2].finish_reason is FinishReason.EOS
    assert ends[1].detail == 'the remote engine was silent for 0.500 s (ConnectTimeout)'


def test_many_small_pieces_are_bounded_together() -> None:
    server = FakeChatServer()
    server.behaviour = fake.endless
    fault = said(f'{server.url}/chat/completions')
    server.close()
    assert fault.detail == f'the remote engine failed: it sent more than {65536 + 32 * 4096} bytes'
