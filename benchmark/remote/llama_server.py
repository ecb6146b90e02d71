"""Runs llama-cpp-python's server without AMX: `python llama_server.py ARGUMENTS`.

A file of its own, because the server's environment has nothing of this project. llama.cpp packs
weights for AMX where the CPU names it, and dies where the machine does not let it be used.
"""

import runpy

import llama_cpp.llama_cpp as library

_default_params = library.llama_model_default_params


def _params() -> library.llama_model_params:
    params = _default_params()
    params.use_extra_bufts = False
    return params


library.llama_model_default_params = _params

if __name__ == '__main__':
    runpy.run_module('llama_cpp.server', run_name='__main__')
