"""The model: loading, attention, cache, decoding. torch and transformers."""

import os

# torch's threads wait for work by spinning. Between the operations of a prompt that is right; but
# by default they go on for 8 ms after its last one, in which the first decoding step finds its
# cores taken. Read when torch is loaded, so this package comes before it.
os.environ.setdefault('GOMP_SPINCOUNT', '10000')
