import regex
# ---
regex.__version__
regex.findall(r"\p{Lu}\p{Ll}+", "Łódź and Ávila, Ὀδυσσεύς")
regex.findall(r"\X", "e\u0301a\U0001f1f5\U0001f1f1")
regex.search(r"(?P<a>\d+)(?P<b>\w)?", "x 12y").groupdict()
regex.fullmatch(r"(?:(\w)(\d))+", "a1b2c3").captures(1), regex.fullmatch(r"(?:(\w)(\d))+", "a1b2c3").allcaptures()
regex.search(r"(?:foo){e<=1}", "xx fxo").group(), regex.search(r"(?:cats|cat){e<=1}", "cat").fuzzy_counts
regex.search(r"(?b)(?:hello){i<=1,d<=1,s<=1,e<=2}", "say helo wrld").fuzzy_counts
regex.sub(r"(\w+) (\w+)", r"\2 \1", "hello world"), regex.subn("a", "b", "aaa", count=2), regex.sub("x*", "-", "abxd")
regex.subf(r"(?P<k>\w+)=(?P<v>\w+)", "{v}={k}", "a=1 b=2")
regex.split(r"(\W)", "a b,c"), regex.splititer(r",", "a,b").__class__.__name__, list(regex.splititer(r",", "a,b"))
regex.findall(r"(?i)straße", "STRASSE Straße", flags=regex.FULLCASE), regex.findall(r"(?if)ß", "SS")
regex.findall(r"[[a-z]--[aeiou]]+", "education", flags=regex.V1), regex.findall(r"[\w&&\d]", "a1", flags=regex.V1)
regex.search(r"(?<=ab+)c", "abbbc").span(), regex.search(r"(?<!a{2,5})b", "aab ab").span()
regex.match(r"(\((?:[^()]|(?1))*\))", "(a(b)c)").group()
regex.search(r"(?|(a)|(b))", "b").group(1), regex.search(r"(?(DEFINE)(?P<q>\d+))(?&q)!", "12!").group()
regex.match(r"(?>a+)ab", "aaab"), regex.match(r"a++b", "aaab").group(), regex.search(r"\bfoo\b", "a foo b").start()
regex.findall(r"\m\w", "ab cd"), regex.findall(r"(?r)\d{2}", "12345"), regex.search(r"\K", "a").span(), regex.search(r"a\Kb", "ab").group()
regex.match(r"abc", "ab", partial=True).partial, regex.fullmatch(r"\d{4}", "12", partial=True).span()
regex.findall(r"a", "aaaa", overlapped=True), regex.findall(r"..", "abcd", overlapped=True)
regex.search(r"\L<words>", "a cat", words=["dog", "cat"]).group()
regex.escape("a.b[c]"), regex.escape("a b", special_only=False)
regex.compile(r"\N{GREEK SMALL LETTER ALPHA}").findall("α"), regex.findall(r"\p{Script=Greek}+", "abc αβγ"), regex.findall(r"[[:alpha:]]+", "é1")
regex.search(rb"\xff+", b"a\xff\xff").span(), regex.findall(rb"\w+", b"ab cd")
regex.compile("(")
regex.compile(r"\p{Nope}")
regex.compile("a{2,1}")
regex.search(b"a", "a")
regex.search(r"(a+)+$", "a" * 25 + "b"), regex.search(r"(a|aa)+$", "a" * 25 + "b")
regex.match(r"(a+)+b", "a" * 5000, timeout=20) is None
regex.sub(r"(?<!\d)(\d{3})(?!\d)", lambda match: f"<{match[1]}>", "123 4567 890")
regex.findall(r"\w+", " ".join(f"w{n}" for n in range(5000)))[-1]
[match.span() for match in regex.finditer(r"\d+", "a1bb22")], regex.compile("a").groups, regex.compile("(?P<x>a)").groupindex
