"""Answers by llama.cpp's server, which goes on where a prompt begins as the one before it."""

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

from benchmark.standing.arm import Answered
from timebill_ros.core.turn import user_turn


@dataclass(frozen=True)
class LlamaCppArm:
    """The server's streamed chat completions.

    Arguments:
        port: of the server, on loopback.
        context: stands before every question.
    """

    port: int
    context: str

    def answer(self, prompt: str, _token_ids: list[int], max_new_tokens: int) -> Answered:
        """Answer a question."""
        body = {
            'messages': [{'role': 'user', 'content': user_turn(prompt, self.context)}],
            'max_tokens': max_new_tokens,
            'temperature': 0.0,
            'stream': True,
        }
        request = urllib.request.Request(
            f'http://127.0.0.1:{self.port}/v1/chat/completions',
            json.dumps(body).encode(),
            {'Content-Type': 'application/json'},
        )
        texts: list[str] = []
        first_s, start_s = 0.0, time.perf_counter()
        with urllib.request.urlopen(request, timeout=600.0) as stream:
            for line in stream:
                if text := _text(line):
                    first_s = first_s or time.perf_counter()
                    texts.append(text)
        end_s = time.perf_counter()
        return Answered(''.join(texts), first_s - start_s, end_s - start_s, 0.0, 0)


def _text(line: bytes) -> str:
    data = line.removeprefix(b'data:').strip()
    if not line.startswith(b'data:') or data == b'[DONE]':
        return ''
    event: dict[str, Any] = json.loads(data)
    return str(event['choices'][0]['delta'].get('content') or '')
