"""A fake of the command vllm: `fake_vllm.py serve MODEL --port PORT ...` answers as a fake server.

What it was called with is the first line of its output.
"""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fake_chat_server import FakeChatServer

if __name__ == '__main__':
    print('fake vllm', *sys.argv[1:], flush=True)
    server = FakeChatServer(port=int(sys.argv[sys.argv.index('--port') + 1]))
    threading.Event().wait()
