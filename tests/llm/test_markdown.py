"""What of a Markdown text is spoken."""

import pytest

from app.llm.sentences import split_sentences


def spoken(deltas):
    return " / ".join(split_sentences(deltas, first_min_chars=10_000))


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        # emphasis
        ("This is **bold** and *italic* and ***both***.", "This is bold and italic and both."),
        ("This is __bold__ and _italic_ and ~~gone~~.", "This is bold and italic and gone."),
        ("**Note:** it is (*very*) **“good”**, un**believ**able!", "Note: it is (very) “good”, unbelievable!"),
        ("这是**重点**内容，*斜体*。", "这是重点内容，斜体。"),
        ("**Hello.** World", "Hello. / World"),
        ("3 * 4 = 12, 3*4, a*b, 2**10, f(x)*(y)", "3 * 4 = 12, 3*4, a*b, 2**10, f(x)*(y)"),
        ("Use snake_case and my_long_name here", "Use snake_case and my_long_name here"),
        ("**x*y and snake_case**", "x*y and snake_case"),
        ("Is \\*this\\* a_b or 1\\. text?", "Is *this* a_b or 1. text?"),
        ("about ~5 minutes", "about ~5 minutes"),
        # blocks
        ("# Title\n## Sub title ##\nText", "Title / Sub title / Text"),
        ("I like C# and #tags\n#tag", "I like C# and #tags / #tag"),
        ("- one\n* two\n+ three\n  - four\n• five", "one / two / three / four / five"),
        ("- [ ] wash\n- [x] xylophone\n- [sic] text", "wash / xylophone / [sic] text"),
        ("6. Six\n7) Seven\n   8. Eight", "6. Six / 7) Seven / 8. Eight"),
        ("-5 degrees\n+5 degrees", "-5 degrees / +5 degrees"),
        ("> quoted\n>> deeper\n> - item", "quoted / deeper / item"),
        ("one\n\n---\n\ntwo\n***\nthree\n_____\nfour", "one / two / three / four"),
        ("Title\n=====\nText", "Title / Text"),
        ("| a | b |\n|---|:-:|\n| 1 | **2** |\n| | x |\nEnd", "a, b / 1, 2 / x / End"),
        ("Say:\n```python\nprint('no')\n```\nDone.", "Say: / Done."),
        ("1. Say:\n   ~~~\n   no\n   ```\n   ~~~\n   Done.", "1. Say: / Done."),
        ("````\n```\nno\n```\n````\nyes", "yes"),
        ("Cut off:\n```\nno end", "Cut off:"),
        # inline
        ("Run `pip install x_y` and ``a`b``.", "Run pip install x_y and ab."),
        ("Use `*args` or `a_b_`, then **go**.", "Use *args or a_b_, then go."),
        ("```inline``` code", "inline code"),
        ('See [the docs](https://a.example/b_(c) "T") now.', "See the docs now."),
        ("![A cat](cat.png) [**bold** link](x)", "A cat bold link"),
        ("[![alt](a.png)](b) text", "alt text"),
        ("A[^1] note[^note].\n\n[^1]: The text", "A note. / The text"),
        ("array[0] and [sic] and [a] (b)", "array[0] and [sic] and [a] (b)"),
        ("Great![link](x)", "Greatlink"),
        ("Wow![1] yes", "Wow![1] yes"),
        ("[cut off](http://a.exam", "cut off"),
        ("text\n[1]: https://a.example\nmore", "text / more"),
        # HTML
        ('a <b>bold</b> word<br>next <span class="x">y</span><!-- no\nno --> z', "a bold word / next y z"),
        ("a < b and c > d, x <3, <name>, </speak>", "a < b and c > d, x <3, <name>,"),
        ("Tom &amp; Jerry &lt;3 AT&T &copy; &#20013;&nbsp;x &bogus;", "Tom & Jerry <3 AT&T © 中 x &bogus;"),
        # addresses
        ("See https://www.example.com/a/b?c=d#e.", "See example.com."),
        ("See <https://example.com/a>, (www.example.org/x).", "See example.com, (example.org)."),
        ("Open http://192.168.1.5:5000/health!", "Open 192.168.1.5:5000!"),
        ("请访问https://example.com/路径，谢谢。", "请访问example.com路径，谢谢。"),
        ("**https://example.com/a** and [https://b.example/c](https://b.example/c)", "example.com and b.example"),
        ("https://user:pw@example.com/x", "example.com"),
        ("Write to <mailto:ann@example.org> or bob_lee@example.org", "Write to ann@example.org or bob_lee@example.org"),
        ("Hello http www. wow https:/ ok", "Hello http www. wow https:/ ok"),
        # characters
        ("Great 🎉🎉 job! 👍🏽 Go 👨‍👩‍👧 now ❤️ 🇩🇪", "Great job! / Go now"),
        ("Press 1️⃣ or ✅ yes", "Press 1 or yes"),
        ("a\u200bb\ufeffc\x00d\x1b e\u00adf", "abcd ef"),
        ("a \t b\u00a0\u3000c", "a b c"),
        ("می‌خواهم", "می‌خواهم"),
    ],
)
def test_spoken_form(markdown, text):
    """Markup is not spoken, its text is, and what only looks like markup stays; deltas may be cut anywhere."""
    assert spoken([markdown]) == text
    assert spoken(markdown) == text


def test_surrogate_pair_split_over_deltas_is_joined():
    """A delta that ends in the middle of a UTF-16 pair loses no character; half a pair is dropped."""
    pair = "𠮷".encode("utf-16-le", "surrogatepass")
    lead, trail = (pair[i : i + 2].decode("utf-16-le", "surrogatepass") for i in (0, 2))
    assert spoken(["野" + lead, trail + "家"]) == "野𠮷家"
    assert spoken(["野" + lead, "家" + trail]) == "野家"


def test_long_bracket_is_not_held_for_ever():
    """A bracket that does not close soon is text, and speech goes on."""
    taken = []

    def deltas():
        for character in "[" + "One sentence here. " * 100:
            taken.append(character)
            yield character

    assert next(split_sentences(deltas())) == "[One sentence here."
    assert len(taken) < 500
