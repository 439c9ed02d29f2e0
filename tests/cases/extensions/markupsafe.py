import markupsafe
from markupsafe import Markup, escape, escape_silent, soft_str

class Html:
    def __html__(self):
        return "<b>"

class Loud(str):
    pass
# ---
__import__("markupsafe._speedups").__name__
escape("<>&\"'"), escape(""), escape("plain"), escape("&amp;")
escape("Łódź <\U0001f600> é&"), escape("\u0141<"), escape("é<")
escape("<" * 1000).count("&lt;")
escape(1), escape(1.5), escape(None), escape(["<"])
escape(Html()), escape(Markup("<b>")), type(escape("x")).__name__
escape(Loud("<")), type(escape(Loud("<"))).__name__
escape_silent(None), escape_silent("<")
soft_str(Markup("<")), soft_str(3)
Markup("<em>%s</em>") % "<x>", Markup("{}{a}").format("<", a=Markup("<i>"))
Markup("<a>") + "<b>", "<b>" + Markup("<a>"), Markup(", ").join(["<", Markup("<")])
Markup("&lt;b&gt;").unescape(), Markup("<b>a</b> &amp; c").striptags()
Markup("<a b>").split(" "), Markup("a")[0], Markup("x") * 3
escape("\ud800<")
escape()
