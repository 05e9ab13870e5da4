"""Prompts that readers of CSV, Markdown, HTML, LaTeX or mathematics take for something else."""

HOSTILE = [
    *("NA", "null", "None", "nan", "NaN", "inf", "True", "123", "007", "1e5", "-1", "<NA>", "#N/A"),
    *("$_$", "Ke$ha on a $$$ throne", "a $5 note and a $10 note", r"$\frac{1}{", "$x", "a^b_c"),
    *("=1+1", "+1", "-2+3", "@SUM(A1)", "'quoted", "| a | b |", "%s {0} {prompt}", "{{ 7*7 }}"),
    *("<b>", "</script><script>alert(1)</script>", "a & b &lt; &amp; &#60;", "<!-- x", "x --> y"),
    *('a sign that says "Stop"', '"', '""', "it's", "a, b; c", "`code`", "**bold** *lean* __x__"),
    *("[a](http://example.org)", "# heading", "1. item", "- item", "~~gone~~"),
    *("back\\slash\\", "\\"),
    *("a\u2028b", "a\u2029b", "a\x0cb", "a\x85b", "a\x0bb", "a\x1cb", "a\x1fb", "a\tb"),
    *("a\ufeffb", "a\u200db", "a\u202eb", "a\x01b", "a\x1bc", "\x7f", "a\u00a0b"),
    *("一只猫在洗碗", "猫" * 40, "ＦＵＬＬ ｗｉｄｔｈ", "é ½ ₂ ’ ﬁ"),
    *("قطة تغسل الصحون", "חתול שוטף כלים"),
    *("\U0001f600 \U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea", "e\u0301x\u0301\u0302"),
    *(" leading", "trailing ", "  two  blanks  ", "ends in a stop.", "and more..."),
    *("rm -rf $(id); `id`", "../../etc/passwd", "C:\\x", "a" * 200),
]  # fmt: skip


def write(path, prompts=HOSTILE):
    """A file of them, one a line; returns it."""
    path.write_bytes("".join(f"{prompt}\n" for prompt in prompts).encode())
    return path
