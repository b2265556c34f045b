"""Weights of a GGUF file against those of the MLX checkpoint, each dequantized by itself: the file by
llama.cpp's gguf package, the checkpoint by scale * code + bias in f32."""
import json
import re

import gguf
import numpy as np

LAYER = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
         "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj", "ffn_gate_inp": "mlp.gate", "attn_norm": "input_layernorm",
         "ffn_gate_exps": "mlp.switch_mlp.gate_proj", "ffn_up_exps": "mlp.switch_mlp.up_proj",
         "ffn_down_exps": "mlp.switch_mlp.down_proj", "ffn_norm": "post_attention_layernorm"}
GEMMA = {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
         "post_ffw_norm": "post_feedforward_layernorm"}
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "U32": np.uint32, "U8": np.uint8}


def bf16(values):
    return (values.astype(np.uint32) << 16).view(np.float32)


def round_bf16(values):
    bits = values.astype(np.float32).view(np.uint32)
    return bf16(((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(np.uint16))


class Checkpoint:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.config |= self.config.get("text_config", {})
        self.tensors = {}
        for path in sorted(folder.glob("model*.safetensors")):
            data = np.memmap(path, np.uint8, "r")
            size = int(data[:8].view(np.uint64)[0])
            for name, entry in json.loads(data[8:8 + size].tobytes()).items():
                if name != "__metadata__":
                    begin, end = (8 + size + offset for offset in entry["data_offsets"])
                    stored = np.frombuffer(data[begin:end].tobytes(), DTYPES[entry["dtype"]])
                    name = name.removeprefix("language_model.")
                    self.tensors[name] = (stored.reshape(entry["shape"]), entry["dtype"])

    def floats(self, name):
        stored, dtype = self.tensors[name]
        return bf16(stored) if dtype == "BF16" else stored.astype(np.float32)

    def scheme(self, path):
        general = self.config["quantization"]
        own = general.get(path) or general.get("language_model." + path)
        return {"mode": "affine", **(own if isinstance(own, dict) else general)}

    def weight(self, path):
        if path + ".scales" not in self.tensors:
            return self.floats(path + ".weight")
        scheme = self.scheme(path)
        packed = self.tensors[path + ".weight"][0]
        bits = np.unpackbits(packed.view(np.uint8), axis=-1, bitorder="little")
        bits = bits.reshape(*packed.shape[:-1], -1, scheme["bits"]).astype(np.float32)
        codes = bits @ (2.0 ** np.arange(scheme["bits"], dtype=np.float32))
        if scheme["mode"] != "affine":
            return self.fp(path, scheme, codes.astype(np.int64))
        groups = codes.reshape(*codes.shape[:-1], -1, scheme["group_size"])
        scales = self.floats(path + ".scales")[..., None]
        biases = self.floats(path + ".biases")[..., None]
        return (scales * groups + biases).reshape(codes.shape)

    def fp(self, path, scheme, codes):
        e2m1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6], np.float32)
        e2m1 = np.concatenate([e2m1, -e2m1])
        e4m3 = np.array([(-1) ** (i >> 7) * ((i & 7) / 8 * 2.0 ** -6 if not i >> 3 & 15 else
                                            (1 + (i & 7) / 8) * 2.0 ** ((i >> 3 & 15) - 7))
                         for i in range(256)], np.float32)
        stored = self.tensors[path + ".scales"][0].astype(np.int64)
        scales = e4m3[stored] if scheme["mode"] == "nvfp4" else np.exp2(stored - 127.0)
        values = (e4m3 if scheme["mode"] == "mxfp8" else e2m1)[codes]
        groups = values.reshape(*values.shape[:-1], -1, scheme["group_size"])
        return (groups * scales[..., None].astype(np.float32)).reshape(values.shape)


def neighbours(rows, heads):
    """llama.cpp's order of the rows of q and k: pairs that rotate together side by side."""
    shape = rows.shape
    return rows.reshape(heads, 2, shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(shape)


def expected(checkpoint, architecture, name):
    """The values of a tensor of the file, or None for one that the checkpoint has not."""
    stem, leaf = name.rsplit(".", 1)
    gemma = architecture == "gemma3"
    if layer := re.fullmatch(r"blk\.(\d+)\.(\w+)", stem):
        names = LAYER | GEMMA if gemma else LAYER
        path = f"model.layers.{layer[1]}.{names[layer[2]]}"
    elif stem in OUTSIDE:
        path = OUTSIDE[stem]
    else:
        return None
    values = checkpoint.floats(path + ".bias") if leaf == "bias" else checkpoint.weight(path)
    if gemma and stem.endswith("norm"):
        values = values + np.float32(1)
        kind = checkpoint.tensors[path + ".weight"][1]
        values = round_bf16(values) if kind == "BF16" else values.astype(DTYPES[kind]).astype(np.float32)
    config = checkpoint.config
    if architecture == "llama" and not config.get("rope_traditional"):
        for end, heads in (("attn_q", "num_attention_heads"), ("attn_k", "num_key_value_heads")):
            if stem.endswith(end):
                values = neighbours(values, config[heads])
    return values


def compare_weights(reader, folder):
    checkpoint = Checkpoint(folder)
    architecture = reader.get_field("general.architecture").contents()
    result = {"tensors": 0, "weights": 0, "different": 0, "largest_change": 0.0, "types": {}}
    for tensor in reader.tensors:
        wanted = expected(checkpoint, architecture, tensor.name)
        kind = tensor.tensor_type.name
        result["types"][kind] = result["types"].get(kind, 0) + 1
        if wanted is None:
            continue
        stored = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(wanted.shape)
        result["tensors"] += 1
        result["weights"] += wanted.size
        result["different"] += int(np.sum(stored != wanted))
        change = float(np.max(np.abs(stored - wanted)) / max(np.max(np.abs(wanted)), 1e-30))
        result["largest_change"] = max(result["largest_change"], change)
    return result
