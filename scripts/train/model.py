"""BERT in torch. Parameter names are those of Hugging Face's
BertForSequenceClassification, so the exported file loads there as it is."""

import math

import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-12
HEAD_SIZE = 32


def drop(x, rate, rng):
    """Dropout. torch's own generator is slow on a CPU: there the mask comes from
    one random byte per element of the numpy generator `rng`."""
    if rate == 0 or rng is None:
        return x
    if x.is_cuda:
        return F.dropout(x, rate)
    limit = round(rate * 256)
    noise = torch.frombuffer(bytearray(rng.bytes(x.numel())), dtype=torch.uint8)
    return x * ((noise >= limit).view(x.shape).to(x.dtype) * (256 / (256 - limit)))


class SelfAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)

    def forward(self, x, bias, first):
        rows, length, channels = x.shape
        # One product for query, key and value: fewer and larger is faster.
        weight = torch.cat([self.query.weight, self.key.weight, self.value.weight])
        offset = torch.cat([self.query.bias, self.key.bias, self.value.bias])
        qkv = F.linear(x, weight, offset).view(rows, length, 3, -1, HEAD_SIZE)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q = q[:, :, :1] if first else q
        if x.is_cuda and hasattr(F, "scaled_dot_product_attention"):
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        else:
            scores = q @ k.transpose(-1, -2) * (1 / math.sqrt(HEAD_SIZE)) + bias
            out = scores.softmax(-1) @ v
        return out.transpose(1, 2).reshape(rows, -1, channels)


class Output(nn.Module):
    """Dense layer, residual sum, LayerNorm."""

    def __init__(self, inputs, channels):
        super().__init__()
        self.dense = nn.Linear(inputs, channels)
        self.LayerNorm = nn.LayerNorm(channels, eps=EPS)

    def forward(self, x, residual, rate, rng):
        return self.LayerNorm(drop(self.dense(x), rate, rng) + residual)


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.self = SelfAttention(channels)
        self.output = Output(channels, channels)


class Intermediate(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        self.dense = nn.Linear(channels, width)


class Layer(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        self.attention = Attention(channels)
        self.intermediate = Intermediate(channels, width)
        self.output = Output(width, channels)

    def forward(self, x, bias, rate, rng, first):
        """`first`: only the first token's result, the one the pooler reads."""
        mixed = self.attention.self(x, bias, first)
        x = self.attention.output(mixed, x[:, :1] if first else x, rate, rng)
        return self.output(F.gelu(self.intermediate.dense(x)), x, rate, rng)


class Embeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        channels = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], channels)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], channels)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], channels)
        self.LayerNorm = nn.LayerNorm(channels, eps=EPS)

    def forward(self, ids, rate, rng):
        # A single-text model: every token is of type 0.
        order = self.position_embeddings.weight[: ids.shape[1]]
        x = self.word_embeddings(ids) + order + self.token_type_embeddings.weight[0]
        return drop(self.LayerNorm(x), rate, rng)


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        shape = config["hidden_size"], config["intermediate_size"]
        self.layer = nn.ModuleList(Layer(*shape) for _ in range(config["num_hidden_layers"]))


class Pooler(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.dense = nn.Linear(channels, channels)


class Bert(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config["hidden_size"])

    def forward(self, ids, visible, rate=0.0, rng=None, first=False):
        """The last layer's vectors. `visible` (rows, length): keys attention may read;
        `first`: of the first token only, which spares most of the last layer."""
        x = self.embeddings(ids, rate, rng)
        bias = torch.zeros(visible.shape, dtype=x.dtype, device=x.device)
        bias = bias.masked_fill(~visible, -1e9)[:, None, None, :]
        last = len(self.encoder.layer) - 1
        for i, layer in enumerate(self.encoder.layer):
            x = layer(x, bias, rate, rng, first and i == last)
        return x


class Classifier(nn.Module):
    """BertForSequenceClassification."""

    def __init__(self, config):
        super().__init__()
        self.bert = Bert(config)
        self.classifier = nn.Linear(config["hidden_size"], len(config["id2label"]))

    def summary(self, hidden):
        """The pooler before its tanh."""
        return self.bert.pooler.dense(hidden[:, 0])

    def forward(self, ids, visible, rate=0.0, rng=None):
        pooled = torch.tanh(self.summary(self.bert(ids, visible, rate, rng, first=True)))
        return self.classifier(drop(pooled, rate, rng))


class Heads(nn.Module):
    """What only training needs: the word predictor (it shares the word vectors)
    and the review judge."""

    def __init__(self, config):
        super().__init__()
        channels = config["hidden_size"]
        self.transform = Output(channels, channels)
        self.word_bias = nn.Parameter(torch.zeros(config["vocab_size"]))
        self.review = nn.Linear(channels, 2)

    def words(self, hidden, word_vectors):
        x = self.transform.LayerNorm(F.gelu(self.transform.dense(hidden)).float())
        return F.linear(x, word_vectors, self.word_bias)


def start_weights(model, heads, vectors, piece_counts, seed):
    """Seeded start: normal weights, smooth positions, given word vectors."""
    torch.manual_seed(seed)
    for module in [*model.modules(), *heads.modules()]:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=min(0.05, module.in_features**-0.5 / 2))
            nn.init.zeros_(module.bias)
    embeddings = model.bert.embeddings
    with torch.no_grad():
        order = embeddings.position_embeddings.weight
        order.copy_(waves(*order.shape))
        embeddings.token_type_embeddings.weight.zero_()
        if vectors is None:
            nn.init.normal_(embeddings.word_embeddings.weight, std=0.02)
        else:
            embeddings.word_embeddings.weight.copy_(torch.from_numpy(vectors))
        share = torch.from_numpy(piece_counts).float() + 1
        heads.word_bias.copy_((share / share.sum()).log())


def waves(length, channels, size=0.03):
    """Sinusoids: late positions, rarely trained, still resemble their neighbours."""
    speed = torch.exp(torch.arange(0, channels, 2) * (-math.log(1000.0) / channels))
    angle = torch.arange(length)[:, None] * speed
    return torch.stack([angle.sin(), angle.cos()], 2).reshape(length, channels) * size
