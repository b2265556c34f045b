"""A Qwen3-shaped transformer in plain numpy, forward and backward, and its optimizer.

Weights carry their checkpoint names and MLX's (out, in) layout, so that exporting is a copy.
Everything is float32. Shapes: B rows, T tokens a row, N = B*T, D hidden, H heads, K key/value
heads, G = H/K, E head size, F feed-forward, V vocabulary.
"""

import numpy as np

CONFIG = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "hidden_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": 768,
    "vocab_size": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 2048,
    "hidden_act": "silu",
    "attention_bias": False,
    "tie_word_embeddings": True,
}

EMBED = "model.embed_tokens.weight"


def init_weights(config, seed):
    """Random weights by checkpoint name; the projections back into the residual stream start small."""
    rng = np.random.default_rng(seed)
    d, f, e = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * e, config["num_key_value_heads"] * e
    shapes = {
        "self_attn.q_proj": (q, d),
        "self_attn.k_proj": (kv, d),
        "self_attn.v_proj": (kv, d),
        "self_attn.o_proj": (d, q),
        "mlp.gate_proj": (f, d),
        "mlp.up_proj": (f, d),
        "mlp.down_proj": (d, f),
    }
    norms = {"input_layernorm": d, "post_attention_layernorm": d}
    norms |= {"self_attn.q_norm": e, "self_attn.k_norm": e}
    layers = config["num_hidden_layers"]
    weights = {EMBED: rng.normal(0, 0.02, (config["vocab_size"], d))}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, shape in shapes.items():
            back = name.endswith(("o_proj", "down_proj"))
            std = shape[1] ** -0.5 * (0.5 / layers**0.5 if back else 0.7)
            weights[f"{prefix}{name}.weight"] = rng.normal(0, std, shape)
        for name, size in norms.items():
            weights[f"{prefix}{name}.weight"] = np.ones(size)
    weights["model.norm.weight"] = np.ones(d)
    return {name: w.astype(np.float32) for name, w in weights.items()}


def rms_norm(x, w, eps, grads, name):
    """x * rsqrt(mean x^2 + eps) * w over the last axis. Returns the output and its backward."""
    scale = 1.0 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps)
    unit = x * scale

    def back(dy):
        grads[name] += (dy * unit).reshape(-1, w.size).sum(0)
        dunit = dy * w
        dunit -= unit * np.mean(dunit * unit, axis=-1, keepdims=True)
        dunit *= scale
        return dunit

    return unit * w, back


def linear(x, w, grads, name):
    def back(dy):
        grads[name] += dy.T @ x
        return dy @ w

    return x @ w.T, back


def rope_tables(config, length):
    half = config["head_dim"] // 2
    freq = config["rope_theta"] ** (-np.arange(half) / half)
    angle = np.outer(np.arange(length), freq)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def rotate(x, cos, sin):
    """Rotary embedding, halves paired (i, i + E/2). The inverse is rotate(x, cos, -sin)."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def softmax_attention(q, k, v, bias):
    """q (B, K, G*T, E), k and v (B, K, T, E), bias (B, 1, 1, T, T) with -1e9 where not allowed."""
    rows, groups, gt, e = q.shape
    t = k.shape[2]
    q = q * np.float32(e**-0.5)
    p = q @ k.swapaxes(2, 3)
    p.reshape(rows, groups, gt // t, t, t)[...] += bias
    p -= p.max(-1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(-1, keepdims=True)

    def back(dout):
        dv = p.swapaxes(2, 3) @ dout
        ds = dout @ v.swapaxes(2, 3)
        ds -= np.sum(ds * p, axis=-1, keepdims=True)
        ds *= p
        return ds @ k * np.float32(e**-0.5), ds.swapaxes(2, 3) @ q, dv

    return p @ v, back


def attention(x, weights, grads, prefix, config, bias, tables):
    """x (N, D), normalised. Returns (N, D) and the backward."""
    rows, t = bias.shape[0], bias.shape[-1]
    kv, e = config["num_key_value_heads"], config["head_dim"]
    group = config["num_attention_heads"] // kv
    eps = config["rms_norm_eps"]
    cos, sin = tables

    def project(kind, heads):
        y, back = linear(x, weights[f"{prefix}{kind}_proj.weight"], grads, f"{prefix}{kind}_proj.weight")
        return y.reshape(rows, t, heads, e).swapaxes(1, 2), back

    def unproject(dy):
        return np.ascontiguousarray(dy.swapaxes(1, 2)).reshape(rows * t, -1)

    def norm(y, kind):
        return rms_norm(y, weights[f"{prefix}{kind}_norm.weight"], eps, grads, f"{prefix}{kind}_norm.weight")

    q, q_back = project("q", kv * group)
    k, k_back = project("k", kv)
    v, v_back = project("v", kv)
    q, qn_back = norm(q, "q")
    k, kn_back = norm(k, "k")
    q = rotate(q, cos, sin).reshape(rows, kv, group * t, e)
    k = rotate(k, cos, sin)
    out, core_back = softmax_attention(q, k, np.ascontiguousarray(v), bias)
    out = unproject(out.reshape(rows, kv * group, t, e))
    y, o_back = linear(out, weights[prefix + "o_proj.weight"], grads, prefix + "o_proj.weight")

    def back(dy):
        dout = o_back(dy).reshape(rows, t, kv * group, e).swapaxes(1, 2)
        dq, dk, dv = core_back(np.ascontiguousarray(dout).reshape(rows, kv, group * t, e))
        dq = qn_back(rotate(dq.reshape(rows, kv * group, t, e), cos, -sin))
        dk = kn_back(rotate(dk, cos, -sin))
        return q_back(unproject(dq)) + k_back(unproject(dk)) + v_back(unproject(dv))

    return y, back


def feed_forward(x, weights, grads, prefix):
    """down(silu(gate x) * up x)."""
    names = [f"{prefix}{kind}_proj.weight" for kind in ("gate", "up", "down")]
    gate, gate_back = linear(x, weights[names[0]], grads, names[0])
    up, up_back = linear(x, weights[names[1]], grads, names[1])
    sigmoid = 1.0 / (1.0 + np.exp(-gate))
    silu = gate * sigmoid
    y, down_back = linear(silu * up, weights[names[2]], grads, names[2])

    def back(dy):
        dinner = down_back(dy)
        dup = dinner * silu
        dinner *= up
        dinner *= sigmoid + silu * (1.0 - sigmoid)
        return gate_back(dinner) + up_back(dup)

    return y, back


def forward(weights, grads, config, tokens, segments):
    """Final hidden states (N, D) and the backward; tokens see only their own segment's past."""
    rows, t = tokens.shape
    same = segments[:, :, None] == segments[:, None, :]
    allowed = same & np.tri(t, dtype=bool)
    bias = np.where(allowed, 0.0, -1e9).astype(np.float32)[:, None, None]
    tables = rope_tables(config, t)
    eps = config["rms_norm_eps"]
    flat = tokens.ravel()
    h = weights[EMBED][flat]
    backs = []

    def residual(norm_name, block):
        nonlocal h
        x, norm_back = rms_norm(h, weights[norm_name], eps, grads, norm_name)
        y, block_back = block(x)
        h = h + y
        backs.append(lambda dh: dh + norm_back(block_back(dh)))

    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        residual(
            prefix + "input_layernorm.weight",
            lambda x: attention(x, weights, grads, prefix + "self_attn.", config, bias, tables),
        )
        residual(
            prefix + "post_attention_layernorm.weight",
            lambda x: feed_forward(x, weights, grads, prefix + "mlp."),
        )
    name = "model.norm.weight"
    out, norm_back = rms_norm(h, weights[name], eps, grads, name)

    def back(dout):
        dh = norm_back(dout)
        for step in reversed(backs):
            dh = step(dh)
        np.add.at(grads[EMBED], flat, dh)

    return out, back


def loss_and_grads(weights, config, tokens, segments, loss_weight, want_grads=True):
    """Weighted mean cross-entropy of the next token. tokens, segments, loss_weight are (B, T+1);
    loss_weight[:, i] weighs the prediction of token i, and positions of weight 0 skip the head."""
    grads = {name: np.zeros_like(w) for name, w in weights.items()}
    hidden, back = forward(weights, grads, config, tokens[:, :-1], segments[:, :-1])
    weight = loss_weight[:, 1:].ravel()
    chosen = np.flatnonzero(weight)
    target, weight = tokens[:, 1:].ravel()[chosen], weight[chosen] / weight.sum()
    picked = hidden[chosen]
    p = picked @ weights[EMBED].T
    p -= p.max(-1, keepdims=True)
    at_target = p[np.arange(len(chosen)), target]
    np.exp(p, out=p)
    total = p.sum(-1)
    losses = np.log(total) - at_target
    if not want_grads:
        return float(losses @ weight), None, losses
    p *= (weight / total)[:, None]
    p[np.arange(len(chosen)), target] -= weight
    grads[EMBED] += p.T @ picked
    dhidden = np.zeros_like(hidden)
    dhidden[chosen] = p @ weights[EMBED]
    back(dhidden)
    return float(losses @ weight), grads, losses


def orthogonalise(m, steps=5):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix (K. Jordan's Muon)."""
    x = m.T if m.shape[0] > m.shape[1] else m
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.T if m.shape[0] > m.shape[1] else x


class Optimizer:
    """Muon for the projections, Adam for the embedding and the norms."""

    def __init__(self, weights, muon_rate=0.02, adam_rate=3e-3, decay=0.02):
        self.muon_rate, self.adam_rate, self.decay = muon_rate, adam_rate, decay
        self.first = {name: np.zeros_like(w) for name, w in weights.items()}
        self.second = {n: np.zeros_like(w) for n, w in weights.items() if not self.is_muon(n)}
        self.step = 0

    @staticmethod
    def is_muon(name):
        return name.endswith("_proj.weight")

    def update(self, weights, grads, rate):
        """One step in place; rate scales both learning rates (the schedule)."""
        self.step += 1
        for name, w in weights.items():
            g, m = grads[name], self.first[name]
            if self.is_muon(name):
                m += 0.05 * (g - m)
                scale = max(1.0, w.shape[0] / w.shape[1]) ** 0.5
                w *= 1.0 - rate * self.muon_rate * self.decay
                w -= (rate * self.muon_rate * scale) * orthogonalise(0.05 * g + 0.95 * m)
                continue
            v = self.second[name]
            m += 0.1 * (g - m)
            v += 0.02 * (g * g - v)
            mean = m / (1 - 0.9**self.step)
            w -= (rate * self.adam_rate) * mean / (np.sqrt(v / (1 - 0.98**self.step)) + 1e-8)
