# Every kind of statement and of call: what CPython's bytecode loop does, often enough that it specialises it.
import contextlib
import functools
import itertools
import sys


class Point:
    __match_args__ = ("x", "y")
    def __init__(self, x, y=0):
        self.x, self.y = x, y
    def moved(self, by=1):
        return self.x + by
    @property
    def sum(self):
        return self.x + self.y
    @classmethod
    def origin(cls, *args, **names):
        return cls.__name__, args, sorted(names.items())
    def __eq__(self, other):
        return isinstance(other, Point) and self.x == other.x
    def __hash__(self):
        return hash(self.x)


class Slotted(Point):
    __slots__ = ("z",)
    def __init__(self, x):
        super().__init__(x, 2)
        self.z = 3
    def __getattr__(self, name):
        if name.startswith("no_"):
            return name
        raise AttributeError(name)
    def __call__(self, *args, key=1, **names):
        return args, key, names


def generators():
    log = []
    def asked():
        try:
            log.append((yield 1))
            try:
                yield 2
            except ValueError as error:
                log.append(repr(error))
                yield 3
        finally:
            log.append("closed")
    asking = asked()
    log += [next(asking), asking.send("a"), asking.throw(ValueError("b"))]
    asking.close()
    def inner():
        yield from range(3)
        return "returned"
    def outer():
        log.append((yield from inner()))
    return log + list(outer())


def matched(value):
    match value:
        case 1 | 2:
            return "small"
        case str(text):
            return text
        case [first, *rest]:
            return first, rest
        case {"k": [x, {"q": q}]}:
            return x, q
        case {"k": k, **rest}:
            return k, rest
        case Point(0, y=y):
            return "zero", y
        case Point(x, y) if x < y:
            return "point", x, y
        case None | True:
            return "single"
        case _:
            return "other"


def grouped():
    log = []
    try:
        try:
            raise ExceptionGroup("g", [ValueError(1), TypeError(2), ExceptionGroup("h", [KeyError(3)])])
        except* ValueError as error:
            log.append(repr(error))
        except* KeyError as error:
            log.append(repr(error))
    except ExceptionGroup as error:
        log.append(repr(error))
    return log


def finished():
    log = []
    @contextlib.contextmanager
    def scope(name):
        log.append(("in", name))
        try:
            yield name
        except KeyError:
            log.append("swallowed")
        finally:
            log.append(("out", name))
    with scope(1) as one, scope(2) as two:
        log.append((one, two))
        raise KeyError
    def through():
        for i in range(3):
            try:
                if i == 1:
                    continue
                if i == 2:
                    return "returned"
            finally:
                log.append(i)
    log.append(through())
    try:
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise KeyError("x") from error
    except KeyError as error:
        log.append(repr(error.__cause__))
    return log


def closed():
    counters = []
    for i in range(4):
        def counter(a, *, b=i):
            total = 0
            def add():
                nonlocal total
                total += a + b + i
                return total
            add()
            return add()
        counters.append(counter)
    return [counter(1) for counter in counters]


def specialised(rounds):
    """Each expression with one type for long, then with others."""
    total = 0
    points = [Point(i) for i in range(10)]
    table, numbers = {i: str(i) for i in range(100)}, list(range(100))
    fixed, text = tuple(numbers), "héllo wörld" * 5
    def given(a, b=2, *c, d=4, **e):
        return a + b + sum(c) + d + sum(e.values())
    several = [lambda x: x + 1, lambda x: x * 2.0, lambda x: -x]
    for i in range(rounds):
        point = points[i % 10]
        total += point.moved() + point.moved(2) + point.moved(by=3) + point.sum
        total += given(1) + given(1, 2, 3, d=5, z=6) + len(table[i % 100]) + numbers[i % 100] + fixed[-(i % 100) - 1]
        total += ord(text[i % 55]) + int(several[i % 3](i)) + (i in numbers) + (str(i % 100) in table)
        a, b = i, i + 1
        first, *others = [1, 2, 3]
        total += a - b + len(others) + isinstance(point, Point) + (point is None) + (not point) + (a < b) + (a == b)
        point.x = i if i % 3 else float(i) if i % 5 else i
        numbers[i % 100], table[i % 100] = i % 7, str(i % 13)
        total += sum(numbers[1:5]) + max(1, 2) + len(f"{i:05d}{text[:3]!r}{total % 7}")
        if i == rounds // 2:
            Point.moved = lambda self, by=5: self.x - by
    return total


def computed():
    answers = []
    for a in (0, 1, -1, 2**31, -(2**63), 10**40, 1.5, -0.0, float("inf"), True, 3 + 4j):
        for b in (1, -3, 2**33, 0.25, 7):
            for operator in "+ - * / // % << >> & | ^ < <= == != > >=".split():
                if operator == "<<" and isinstance(b, int) and b > 99:
                    continue
                try:
                    answers.append(repr(eval(f"a {operator} b", {"a": a, "b": b})))
                except Exception as error:
                    answers.append(type(error).__name__)
    return answers


def traced():
    seen = []
    def trace(frame, event, _):
        if frame.f_code.co_name in ("summed", "doubled"):
            seen.append((event, frame.f_code.co_name))
        return trace
    def doubled(n):
        return n * 2
    def summed(n):
        total = 0
        for i in range(n):
            total += doubled(i)
        return total
    sys.settrace(trace)
    try:
        summed(3)
    finally:
        sys.settrace(None)
    return [one for one in seen if one[0] in ("call", "return")]


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


def endless(n):
    return endless(n + 1)


def large():
    """More than a byte's worth of names, constants and jumps."""
    lines = [f" if x == {i}: x += {i} + {1000 + i}\n" for i in range(700)]
    names = {}
    exec("def f(x):\n" + "".join(lines) + " return x\n", names)
    many = eval("lambda: [" + ",".join(f"v{i}" for i in range(300)) + "]", {f"v{i}": i for i in range(300)})
    return names["f"](0), names["f"](699), sum(many())
# ---
generators()
[matched(value) for value in [1, "a", [1, 2, 3], {"k": 1, "z": 2}, Point(1, 2), Point(0, 5), (), None, 3.5, {"k": [1, {"q": 2}]}]]
grouped()
finished()
closed()
specialised(3000)
specialised(3000)
computed()
traced()
deep(500)
endless(0)
large()
[Slotted(1).sum, Slotted(1).no_such, Slotted(1)(1, 2, key=3, z=4), Slotted.origin(1, q=2), Slotted(1).z]
Slotted(1).missing
[[(x, y) for x in range(3) if x for y in "ab"], {x: {y for y in range(x)} for x in range(3)}, sorted({*range(3), 5}), {**{"a": 1}, "b": 2}, [*range(2), *"ab"]]
(lambda *a, **k: (a, k))(*[1], *[2], **{"x": 1}, **{"y": 2})
functools.reduce(lambda a, b: a * b, range(1, 60)), list(itertools.islice((x * x for x in itertools.count()), 5))
f"{1 + 1:>4}|{'x'!r}|{2.5:.1f}|{3:#x}"
[x if x % 2 else -x for x in range(5)], [(y := x) for x in range(3)], not [], "b" in "abc", 3 not in [1, 2]
[][1]
{}["q"]
None[0]
1 / 0
undefined
(lambda: 0)(1)
