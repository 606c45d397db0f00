"""Perplexity, KL divergence and top-1 agreement from logits, window by window."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import exp, fsum

import torch
from torch import Tensor

from dfrot_engine.distributed import Ranks

_CHUNK_TOKENS = 256


@dataclass
class Metrics:
    """Sums over windows; the first token of a window predicts, the last is only predicted.

    Perplexity is exp of the mean negative log-likelihood per predicted token, windows without overlap; KL is
    KL(original ‖ other) per token in nats; agreement is the share of tokens with the same most likely next token.
    """

    tokens: int = 0
    nll: float = 0.0
    kl: float = 0.0
    agree: int = 0
    has_reference: bool = field(default=False)

    def add(self, logits_TV: Tensor, tokens_T: Tensor, reference_TV: Tensor | None = None) -> None:
        """Take one window.

        Args:
            logits_TV: of the model that is measured.
            tokens_T: the window's tokens.
            reference_TV: logits of the original, for KL and agreement.
        """
        targets = tokens_T[1:].to(logits_TV.device)
        for start in range(0, len(targets), _CHUNK_TOKENS):
            part = slice(start, min(start + _CHUNK_TOKENS, len(targets)))
            log_p = torch.log_softmax(logits_TV[part].float(), -1)
            self.nll -= float(log_p.gather(1, targets[part, None]).double().sum())
            if reference_TV is not None:
                self.has_reference = True
                log_q = torch.log_softmax(reference_TV[part].float().to(log_p.device), -1)
                self.kl += float((log_q.exp() * (log_q - log_p)).sum(-1).double().sum())
                self.agree += int((log_q.argmax(-1) == log_p.argmax(-1)).sum())
        self.tokens += len(targets)

    def together(self, ranks: Ranks) -> Metrics:
        """With what other processes have summed over their windows."""
        parts = [Metrics(**one) for one in ranks.all_facts(asdict(self))]
        return Metrics(
            tokens=sum(one.tokens for one in parts),
            nll=fsum(one.nll for one in parts),
            kl=fsum(one.kl for one in parts),
            agree=sum(one.agree for one in parts),
            has_reference=any(one.has_reference for one in parts),
        )

    @property
    def perplexity(self) -> float:
        # Far beyond any vocabulary the model is broken; inf would not be valid JSON.
        return exp(min(self.nll / max(1, self.tokens), 100.0))

    @property
    def kl_divergence(self) -> float:
        return self.kl / max(1, self.tokens)

    @property
    def top1_agreement(self) -> float:
        return self.agree / max(1, self.tokens)
