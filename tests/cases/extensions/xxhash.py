import hashlib
import xxhash

classes = [xxhash.xxh32, xxhash.xxh64, xxhash.xxh3_64, xxhash.xxh3_128]
inputs = [b"", b"a", b"ab" * 40, bytes(range(256)) * 40, b"x" * 1_000_000]
streamed = xxhash.xxh3_128(seed=7)
for _ in range(1000):
    streamed.update(b"piece of it ")
# ---
[kind(data).hexdigest() for kind in classes for data in inputs]
[kind(b"data", seed=2**31).intdigest() for kind in classes]
[kind(b"data").digest() for kind in classes]
[(kind().name, kind().digest_size, kind().block_size, kind(seed=3).seed) for kind in classes]
streamed.hexdigest() == xxhash.xxh3_128_hexdigest(b"piece of it " * 1000, 7), streamed.intdigest()
streamed.copy().hexdigest() == streamed.hexdigest()
[(one.update(b"x"), one.reset(), one.hexdigest() == kind().hexdigest()) for kind in classes for one in [kind(b"y")]]
xxhash.xxh32_hexdigest(b"a"), xxhash.xxh64_hexdigest(b"a"), xxhash.xxh3_64_hexdigest(b"a"), xxhash.xxh128_hexdigest(b"a")
xxhash.xxh32_intdigest(b"a", seed=5), xxhash.xxh64_digest("text"), xxhash.xxh3_64_intdigest(memoryview(b"abc"))
xxhash.xxh64(bytearray(b"abc")).hexdigest() == xxhash.xxh64(b"abc").hexdigest()
xxhash.xxh64(5)
xxhash.xxh64(b"a").update(None)
xxhash.xxh64(seed="a")
xxhash.xxh32(b"a", seed=-1).hexdigest(), xxhash.xxh32(b"a", seed=2**32).hexdigest() == xxhash.xxh32(b"a").hexdigest()
sorted(xxhash.algorithms_available)
