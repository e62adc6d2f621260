"""The recipes. Everything that changes the numbers stands here."""

CPU = {
    "vocabulary": 8000,
    "channels": 128,
    "layers": 6,
    "width": 512,
    "positions": 256,
    "svd": True,
    "prose": False,
    # Phase 1 is skipped. 900 steps of 2,048 tokens (a quarter of an hour) lowered the
    # masked-word loss from 6.7 to 5.9 nats only, and phase 2 after it ended no better
    # (dev .83 after 300 steps, as without): word meaning comes from the counts here.
    "pretrain": {"steps": 0},
    # Phase 2. "average": decay of the running average of the weights; "check": steps between
    # looks at dev; "reviews": share of review steps; "full": see phrase_order.
    "finetune": {
        "tokens": 1536, "steps": 800, "lr": 6e-4, "warmup": 150, "dropout": 0.1, "decay": 0.01,
        "average": 0.998, "check": 100, "reviews": 0.1, "full": 20,
    },
}

GPU = {
    **CPU,
    "channels": 256,
    "width": 1024,
    "prose": True,
    # About 1e9 tokens. "windows": lengths and their shares; "phrases", "prose": shares of
    # steps; "labelled": share of review windows drawn from the labelled reviews. The last
    # three keep each labelled text to a dozen visits, or it would be learned by heart.
    "pretrain": {
        "tokens": 65536, "steps": 15300, "lr": 1e-3, "warmup": 800, "dropout": 0.0, "decay": 0.01,
        "windows": {128: 0.9, 256: 0.1}, "phrases": 0.01, "prose": 0.4, "labelled": 0.15,
    },
    "finetune": {
        "tokens": 1536, "steps": 4000, "lr": 1e-4, "warmup": 300, "dropout": 0.1, "decay": 0.01,
        "average": 0.998, "check": 100, "reviews": 0.1, "full": 20,
    },
}

SMOKE = {
    **CPU,
    "channels": 64,
    "layers": 2,
    "width": 128,
    "pretrain": {**GPU["pretrain"], "tokens": 2048, "steps": 20, "warmup": 5, "phrases": 0.3},
    "finetune": {**CPU["finetune"], "steps": 30, "warmup": 5, "check": 10},
}

PRESETS = {"cpu": CPU, "gpu": GPU, "smoke": SMOKE}


def bert_config(preset):
    """config.json of the model, as Hugging Face writes it."""
    return {
        "architectures": ["BertForSequenceClassification"],
        "attention_probs_dropout_prob": 0.1,
        "classifier_dropout": None,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": preset["channels"],
        "id2label": {"0": "negative", "1": "positive"},
        "initializer_range": 0.02,
        "intermediate_size": preset["width"],
        "label2id": {"negative": 0, "positive": 1},
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": preset["positions"],
        "model_type": "bert",
        "num_attention_heads": preset["channels"] // 32,
        "num_hidden_layers": preset["layers"],
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "problem_type": "single_label_classification",
        "torch_dtype": "float16",
        "type_vocab_size": 2,
        "use_cache": False,
        "vocab_size": preset["vocabulary"],
    }
