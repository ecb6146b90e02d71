"""What an operator chooses about a remote engine: where it is, and when it answers."""

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from timebill_ros.core.parameter_spec import parameter
from timebill_ros.core.settings import Settings

_DEFAULT_PORTS = {'http': 80, 'https': 443}


@dataclass(frozen=True)
class RemoteSettings(Settings):
    """An engine on another machine, behind an OpenAI-compatible server."""

    remote_policy: str = parameter(
        'off',
        "Which engine answers a query that does not say. 'off': this node's own model; no query "
        "may ask for the remote engine. 'prefer': the remote engine if it is predicted to answer "
        "in time; the node's own model answers if it does not. 'race': both; the remote answer "
        "counts if it is whole in time. 'only': the remote engine.",
        choices=('off', 'prefer', 'race', 'only'),
    )
    remote_url: str = parameter(
        '',
        "Address of the remote engine's OpenAI-compatible API. Example: "
        'https://workstation:8000/v1. Empty: there is none.',
        change='never',
    )
    remote_model: str = parameter(
        '', 'Name of the model in requests to the remote engine.', change='never'
    )
    remote_api_key_env: str = parameter(
        '',
        "Name of the environment variable of the node that holds the remote engine's API key. "
        'Never write the key itself here. Empty: no key.',
        change='never',
    )
    remote_ca_file: str = parameter(
        '',
        'File (PEM) with the certificates that the remote engine must be signed by. Empty: those '
        'of the package certifi.',
        change='never',
    )
    remote_timeout_s: float = parameter(
        5.0,
        'The node gives up a remote answer if the connection takes longer, or if the server is '
        'silent for longer. The deadline ends it in any case.',
        name='remote_timeout',
        unit='s',
        bounds=(0.05, 600.0),
        change='never',
    )
    remote_requests_per_hour: int = parameter(
        0,
        "Largest number of requests to the remote engine within any hour. Beyond it, 'prefer' and "
        "'race' use the node's own model, and 'only' is QUEUE_FULL. 0: any number.",
        unit='requests',
        bounds=(0, 100000),
        change='never',
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.remote_url:
            _check_url(self._split())
        if self.remote_policy != 'off':
            for name in ('remote_url', 'remote_model'):
                if not getattr(self, name).strip():
                    raise ValueError(
                        f'{name} must not be empty if remote_policy is {self.remote_policy!r}'
                    )
        if self.remote_api_key_env and self.remote_url:
            self._check_key()
        if self.remote_ca_file and not os.path.isfile(self.remote_ca_file):  # noqa: PTH113
            raise ValueError(f'remote_ca_file {self.remote_ca_file!r} is no file')

    @property
    def origin(self) -> str:
        """Scheme, host and port: the one place that the key is ever sent to."""
        url = self._split()
        return f'{url.scheme}://{url.netloc.lower()}'

    @property
    def completions_url(self) -> str:
        """The address of the chat completions."""
        return f'{self.remote_url.rstrip("/")}/chat/completions'

    def api_key(self) -> str:
        """Return the key; '': none is used. Keep it out of every sentence."""
        return os.environ.get(self.remote_api_key_env, '').strip()

    def _split(self) -> SplitResult:
        try:
            url = urlsplit(self.remote_url)
            url.port  # noqa: B018 (it is read here to be checked)
        except ValueError as error:
            # The text is not repeated: a password may be in it.
            raise ValueError(f'remote_url is no URL: {error}') from None
        return url

    def _check_key(self) -> None:
        name, url = self.remote_api_key_env, self._split()
        if url.scheme == 'http' and not _is_loopback(url.hostname or ''):
            raise ValueError(
                'remote_url must begin with https:// if remote_api_key_env is set, because '
                f'{url.hostname!r} is not this machine: http would show the key to the network'
            )
        key = self.api_key()
        if not key:
            raise ValueError(
                'remote_api_key_env must name an environment variable that is set and not empty '
                'where the node starts; the name given has none (it is not the place for a key)'
            )
        if not (key.isascii() and key.isprintable() and ' ' not in key):
            raise ValueError(
                f'the key in the environment variable {name} must be printable ASCII without '
                'spaces'
            )


def _check_url(url: SplitResult) -> None:
    if url.scheme not in _DEFAULT_PORTS or not url.hostname:
        raise ValueError(
            'remote_url must be http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH, got the '
            f'scheme {url.scheme!r} and the host {url.hostname or ""!r}'
        )
    if '@' in url.netloc:
        raise ValueError(
            'remote_url must hold no user name and no password: put the key into an environment '
            'variable, and its name into remote_api_key_env'
        )
    if url.query or url.fragment:
        raise ValueError('remote_url must hold no query (?) and no fragment (#)')


def _is_loopback(host: str) -> bool:
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
