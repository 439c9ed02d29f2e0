import pickle
import tiktoken
import tiktoken.load
from tiktoken.core import Encoding

words = [b"th", b"the", b" the", b"in", b"ing", b" a", b"er", b" w", b" wor", b"wor", b" word", "ü".encode(), "🐍".encode()[:2], b"\n\n", b"  "]
ranks = {bytes([byte]): byte for byte in range(256)} | {word: 256 + number for number, word in enumerate(words)}
pattern = r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"""
encoding = Encoding("own", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|end|>": 1000, "<|begin|>": 1001})
text = "the word in the worrying others' 12345 words,\n\nthere  and ü🐍 don't!  "
# ---
tiktoken.__version__, encoding.name, encoding.n_vocab, encoding.max_token_value
encoding.encode(text), encoding.decode(encoding.encode(text)) == text
encoding.encode_ordinary(text) == encoding.encode(text)
encoding.encode("a<|end|>b")
encoding.encode("a<|end|>b", allowed_special={"<|end|>"}), encoding.encode("a<|end|>b", allowed_special="all")
encoding.encode("a<|end|>b", disallowed_special=())
encoding.encode_batch([text, "the", ""]), encoding.decode_batch([[258], [1000, 97]])
[sorted(part) for part in encoding.encode_with_unstable("the wor")]
encoding.encode_single_token("the"), encoding.encode_single_token(b" word"), encoding.encode_single_token("<|end|>")
encoding.encode_single_token("absent")
encoding.decode_single_token_bytes(266), encoding.decode_bytes([267, 0x8d]), encoding.decode([256 + 12])
encoding.decode([999])
encoding.decode_tokens_bytes(encoding.encode("the words")), encoding.decode_with_offsets(encoding.encode("the ü words"))
encoding.token_byte_values()[250:262]
encoding.is_special_token(1000), encoding.special_tokens_set == {"<|end|>", "<|begin|>"}
[encoding.encode(one) for one in ("", " ", "\n", "\ud83d\udc0d", "\ud800", "a" * 300, "１２３", "ﬀ ß ſ", "\u200b", "\x00")]
len(encoding.encode("the word " * 20_000)), encoding.encode("x" * 50_000) == [120] * 50_000
[len(encoding.encode(" " * size)) for size in (1, 2, 3, 99, 1000)]
pickle.loads(pickle.dumps(encoding)).name
encoding.encode_to_numpy(text)
Encoding("broken", pat_str="(", mergeable_ranks=ranks, special_tokens={}).encode("a")
tiktoken.encoding_name_for_model("gpt-4o"), tiktoken.encoding_name_for_model("text-embedding-3-small")
tiktoken.encoding_name_for_model("unknown")
sorted(tiktoken.list_encoding_names())
tiktoken.get_encoding("unknown")
tiktoken.load.check_hash(b"x", "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")
