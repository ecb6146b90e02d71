"""From the parameter `model` to weights, tokenizer and chat template."""
