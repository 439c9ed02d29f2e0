import pickle, uuid
import uuid_utils
import uuid_utils.compat

known = uuid_utils.UUID("a8098c1a-f86e-11da-bd1a-00112444be1e")
many = {uuid_utils.uuid4() for _ in range(500)}
sevens = [uuid_utils.uuid7() for _ in range(500)]
# ---
known, str(known), known.hex, known.int, known.bytes
known.fields, known.time_low, known.node, known.clock_seq, known.version, known.variant
known.urn, known.bytes_le
uuid_utils.UUID(bytes=known.bytes) == known, uuid_utils.UUID(int=known.int) == known, uuid_utils.UUID(hex=known.hex) == known
uuid_utils.UUID("{a8098c1a-f86e-11da-bd1a-00112444be1e}"), uuid_utils.UUID("urn:uuid:a8098c1af86e11dabd1a00112444be1e")
uuid_utils.UUID("not one")
uuid_utils.UUID(bytes=b"short")
uuid_utils.UUID()
uuid_utils.uuid3(uuid_utils.NAMESPACE_DNS, "python.org"), uuid_utils.uuid5(uuid_utils.NAMESPACE_DNS, "python.org")
str(uuid_utils.uuid5(uuid_utils.NAMESPACE_URL, "x")) == str(uuid.uuid5(uuid.NAMESPACE_URL, "x"))
len(many), {one.version for one in many}
len(set(sevens)), sevens == sorted(sevens), {one.version for one in sevens}
uuid_utils.uuid1().version, uuid_utils.uuid6().version, uuid_utils.uuid8(b"0123456789abcdef").version
uuid_utils.uuid7(1_700_000_000).timestamp
uuid_utils.uuid4() == uuid_utils.uuid4(), uuid_utils.uuid4() < uuid_utils.UUID(int=2**128 - 1)
hash(known) == hash(uuid_utils.UUID(str(known))), known in {known}
pickle.loads(pickle.dumps(known)) == known
uuid_utils.NAMESPACE_DNS, uuid_utils.NAMESPACE_OID, uuid_utils.NAMESPACE_X500
type(uuid_utils.compat.uuid4()) is uuid.UUID, uuid_utils.compat.uuid7().version
isinstance(uuid_utils.getnode(), int)
