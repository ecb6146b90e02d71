"""A backbone with a linear head, that classifies prompts."""

import torch


class TextClassifier(torch.nn.Module):
    """A backbone, the mean of its last states beside that of the last token, and a linear head.

    Arguments:
        backbone: (batch, length) ids and mask to (batch, length, hidden).
        hidden: size of its states.
        classes: number of classes.
    """

    def __init__(self, backbone: torch.nn.Module, hidden: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.normal = torch.nn.LayerNorm(2 * hidden)
        self.head = torch.nn.Linear(2 * hidden, classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (batch, classes), logits.

        Arguments:
            ids: (batch, length), padded at the end.
            mask: (batch, length), 1 where there is a token.
        """
        states = self.backbone(ids, mask).float()
        lengths = mask.sum(1)
        mean = (states * mask[:, :, None]).sum(1) / lengths[:, None]
        last = states[torch.arange(len(ids)), lengths - 1]
        logits: torch.Tensor = self.head(self.normal(torch.cat([mean, last], dim=1)))
        return logits
