"""A tiny BERT as a folder of transformers, as a test writes it: random weights, and pieces learnt from its texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sbir.models.texts import train_tokenizer


def saved_bert(folder: Path, texts: Sequence[str], width: int = 32) -> tuple[Any, Any]:
    """The model and the tokenizer that now lie in `folder`."""
    import transformers

    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer(texts, 120),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    fast.save_pretrained(folder)
    torch.manual_seed(5)
    config = transformers.BertConfig(
        vocab_size=120, hidden_size=width, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    model = transformers.BertModel(config).eval()
    model.save_pretrained(folder)
    return model, fast
