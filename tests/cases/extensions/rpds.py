import pickle
from rpds import HashTrieMap, HashTrieSet, List, Queue, Stack

one, two = HashTrieSet([1, 2]), HashTrieSet([2, 3])
many = HashTrieMap({n: str(n) for n in range(5000)})
# ---
HashTrieMap({"a": 1}), HashTrieMap(a=1), HashTrieMap([("a", 1)])
HashTrieMap({"a": 1}).insert("b", 2) == HashTrieMap({"a": 1, "b": 2})
HashTrieMap({"a": 1}).insert("a", 2)["a"]
HashTrieMap({"a": 1})["b"]
HashTrieMap({"a": 1}).remove("b")
HashTrieMap({"a": 1}).remove("a"), HashTrieMap({"a": 1}).discard("b")
HashTrieMap({"a": 1}).get("b", 5), HashTrieMap({"a": 1}).get("b")
sorted(HashTrieMap(a=1, b=2).items()), sorted(HashTrieMap(a=1, b=2).keys()), sorted(HashTrieMap(a=1, b=2).values())
len(many), many[4999], 5000 in many, sum(many), len(many.remove(17))
many.update({5000: "new"})[5000], 5000 in many
HashTrieMap(a=1) == HashTrieMap(a=1), HashTrieMap(a=1) != HashTrieMap(a=2), HashTrieMap(a=1) == {"a": 1}
hash(HashTrieMap(a=1)) == hash(HashTrieMap(a=1))
pickle.loads(pickle.dumps(HashTrieMap(a=1))) == HashTrieMap(a=1)
HashTrieMap.fromkeys(["a"], 3)
HashTrieMap.convert({"a": 1})
HashTrieSet([1]), HashTrieSet()
sorted(one | two), sorted(one & two), sorted(one - two), sorted(one ^ two)
HashTrieSet([1]) < HashTrieSet([1, 2]), HashTrieSet([1, 2]) <= HashTrieSet([1]), HashTrieSet([1]) == {1}
HashTrieSet([1]).remove(2)
sorted(HashTrieSet([1]).insert(2).update([3, 4])), HashTrieSet([1]).discard(2)
List([1, 2, 3]), List(), List([1, 2]).push_front(0), List([1, 2]).rest, List([1, 2]).first
List().first
List([1, 2]).drop_first(), list(reversed(List([1, 2]))), len(List(range(1000)))
List([[]]) == List([[]])
Queue([1, 2]).enqueue(3), Queue([1, 2]).dequeue(), Queue([1, 2]).peek(), Queue([]).is_empty()
Queue([]).dequeue()
Queue([]).peek()
Stack([1, 2]), Stack([1, 2]).push(3), Stack([1, 2]).pop(), Stack([1, 2]).peek(), len(Stack([1, 2]))
Stack([]).pop()
