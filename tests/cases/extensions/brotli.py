import brotli

text = b"the same words again and again, " * 2000
binary = bytes(range(256)) * 64
packed = brotli.compress(text)
stream = brotli.Compressor(quality=5)
pieces = [stream.process(text[start : start + 7000]) for start in range(0, len(text), 7000)]
flushed = stream.flush()
whole = b"".join(pieces) + flushed + stream.finish()
reader = brotli.Decompressor()
read = [reader.process(packed[start : start + 5]) for start in range(0, len(packed), 5)]
bomb = brotli.compress(bytes(10_000_000), quality=1)
# ---
brotli.__version__, brotli.version == brotli.__version__, brotli.error.__name__
packed, len(packed)
[brotli.decompress(brotli.compress(text, quality=quality)) == text for quality in range(12)]
[brotli.decompress(brotli.compress(binary, quality=quality, lgwin=10)) == binary for quality in (0, 1, 5, 9, 11)]
[brotli.decompress(brotli.compress(binary, mode=mode)) == binary for mode in (brotli.MODE_GENERIC, brotli.MODE_TEXT, brotli.MODE_FONT)]
brotli.compress(b""), brotli.decompress(b"\x06"), brotli.decompress(brotli.compress(b""))
brotli.decompress(packed) == text
brotli.decompress(whole) == text, len(whole) < 200, len(flushed) > 0
b"".join(read) == text, reader.is_finished()
len(brotli.decompress(bomb)), len(bomb)
[brotli.Decompressor().process(bomb, output_buffer_limit=1000)[:2]]
(lambda one: (len(one.process(bomb, output_buffer_limit=1000)) < 100_000, one.can_accept_more_data(), one.is_finished()))(brotli.Decompressor())
brotli.decompress(b"not compressed")
brotli.decompress(packed[:-1])
brotli.decompress(packed + b"more")
brotli.Decompressor().process(b"\xff\xff\xff\xff")
brotli.compress("text")
brotli.compress(text, quality=12)
brotli.compress(text, lgwin=9)
brotli.Compressor(mode=7)
brotli.Compressor(lgblock=1)
stream.process(b"after the end")
brotli.compress(bytearray(b"abc")), brotli.compress(memoryview(b"abc")) == brotli.compress(b"abc")
