"""Where a reply is cut into the pieces that TTS speaks."""

import pytest

from app.llm.sentences import split_sentences

NEVER = 10_000  # a first_min_chars that lets only sentences end


def split(text, first_min_chars=NEVER, max_chars=240):
    return list(split_sentences([text], first_min_chars=first_min_chars, max_chars=max_chars))


@pytest.mark.parametrize(
    "pieces",
    [
        # ends and runs of ends
        ["Hello there.", "How are you?", "Fine!", "Good"],
        ["What?!", "No way!!!", "Yes?", "ok."],
        ["No.", "I will not."],
        ["Wait...", "What was that?"],
        ["Well... maybe not."],
        ["Well… maybe not.", "Hm…", "Right."],
        ["I like it ... a lot.", "Wait . . . what?"],
        ["so...anyway, it works."],
        # quotes and brackets
        ['He said "Stop!" and left.', "Then he ran."],
        ['"Is it you?" she asked.', '"Yes."', '"Good."'],
        ["“Go home.”", "He went."],
        ["He left (really?) and came back.", "(He was late.)", "Nobody cared!"],
        ["It is called ‘Who?’, I think.", "Odd."],
        # abbreviations
        ["Mr. Brown met Dr. Green and Mrs. White on St. Mary Street.", "They talked."],
        ["Use a tool, e.g. Python, i.e. a language.", "It works."],
        ["Cats vs. Dogs is a film.", "It lasts approx. 90 minutes."],
        ["Apples, pears, etc. are fruit.", "Buy milk, eggs, etc.", "Then come home."],
        ["The U.S. Army moved.", "I live in the U.S.", "It is large."],
        ["Come at 5 p.m. or at 9 a.m. on Monday.", "We open at 8 a.m.", "The door is green."],
        ["See No. 5 and Fig. 3 on p. 12.", "Is it?", "No.", "It is not."],
        ["Apple Inc. Chief Tim Cook spoke.", "He works for Acme Inc.", "They make anvils."],
        ["Smith et al. (2020) agree.", "Prof. Dr. Hall does not."],
        ["She has a Ph.D. in physics.", "It was in Sept. 2019 or Oct. 5."],
        # initials, numbers, names with dots
        ["J. R. R. Tolkien wrote it.", "J.R.R. Tolkien, that is."],
        ["Take plan B.", "The other one failed."],
        ["Pi is 3.14.", "Version v1.2.3 is out.", "It costs $1,000.50!"],
        ["It is 10.30 now.", "Meet at 10:30.", "Bring 12.", "That is all."],
        ["Open main.py and config.json.example.", "Then run it."],
        ["Write to ann.lee@mail.example.org.", "Or see example.com/a.b?c=d.", "Bye."],
        ["I was born in 1990.", "Then I grew up."],
        ["Use Node.js or .NET here.", "Both work."],
        ["all in lower case.", "it is e.g. a habit of j. smith.", "so be it"],
        # lists
        ["1. Open the door.", "Go in.", "2. Close it.", "10. Sit down."],
        ["Do this: 1. Wash it.", "2. Dry it."],
        ["(1. Take this one.)", "Then rest."],
        # Chinese
        ["你好！", "今天天气怎么样？", "很好。"],
        ["他说：“快走！”", "然后他走了。"],
        ["真的吗？！", "我不信……好吧。"],
        ["我……不知道。", "她说：「好。」", "他走了。"],
        ["价格是3.14元。", "版本是v1.2。", "圆周率是３．１４。"],
        ["“你好！”，他说。", "他（真的吗？）来了。"],
        ["第一句；", "第二句｡", "第三句．", "完"],
        ["我用Python.", "它很好用！", "你呢?", "我也是."],
        ["他走了。", '"好吧，"她说。', '"行。"', "他点头。"],
        ["1.苹果很好吃。", "2.香蕉也好吃。"],
        ["请打开config.json文件。", "谢谢！"],
        ["一. 苹果很好吃。"],
        # Japanese
        ["こんにちは。", "元気ですか？", "はい、元気です。"],
        ["「行こう。」と彼は言った。", "「うん！」って答えた。", "『本』を読む。"],
        ["今日はVer.2.0を使います。", "OKですか？", "はい！"],
        # French, German, Spanish, Korean, Hindi, Arabic
        ["« Arrêtez ! » cria-t-il.", "Puis il partit.", "« Oui. »", "« Non ? »", "Bien sûr !"],
        ["M. Dupont et Mme. Durand arrivent.", "Vraiment ?", "Oui."],
        ["„Halt!“ rief er.", "„Gut.“", "»Nein!« sagte sie."],
        ["Das ist z. B. gut, d. h. nicht schlecht.", "Der 2. Weltkrieg begann am 1. September.", "Dr. Weiß weiß es."],
        ["Es kostet ca. 5 Euro, inkl. Steuer, bzw. Gebühr.", "Siehe Nr. 7."],
        ["¡Hola!", "¿Qué tal?", "El Sr. López no vino.", "¿Y la Dra. Ruiz?"],
        ["¡Vamos!", "¿Vienes?", "No.", "Ud. Puede esperar."],
        ["안녕하세요.", "반갑습니다!", "네."],
        ["नमस्ते।", "आप कैसे हैं?"],
        ["مرحبا.", "كيف حالك؟", "بخير."],
    ],
    ids=lambda pieces: pieces[0],
)
def test_text_is_cut_into_these_sentences(pieces):
    """Sentences joined by what stands between them in their language are found again."""
    is_spaced = not any("\u3040" <= c <= "\u9fff" for c in "".join(pieces))
    assert split((" " if is_spaced else "").join(pieces)) == pieces


@pytest.mark.parametrize("end", ["\n", "\n\n", " \n \n", "\r\n", "\u2028"])
def test_newline_ends_a_sentence(end):
    """Headings and list items without a full stop are sentences of their own."""
    lines = ["Shopping list", "6. Milk", "7. Bread, e.g.", "white", "a. The first", "B. The other", "IV. The end"]
    assert split(end.join(lines)) == lines


def test_a_space_between_sentences_may_be_missing():
    """A capital or an opening mark starts a sentence behind ! and ?; a lower-case letter may belong to an address."""
    assert split("¡Hola!¿Qué tal?") == ["¡Hola!", "¿Qué tal?"]
    assert split("What a question!The answer is a?b=c.") == ["What a question!", "The answer is a?b=c."]


def test_mixed_languages_are_cut_by_the_marks_of_each():
    """Western and Chinese sentences may follow each other."""
    assert split("Hello! 你好。How are you? 我很好！Great.") == [
        "Hello!",
        "你好。",
        "How are you?",
        "我很好！",
        "Great.",
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Sure, I can help you with that, and with more. Bye.", "Sure, I can help you with that,"),
        ("I have 1,000,000 of those things, you see.", "I have 1,000,000 of those things,"),
        ("Here is what you need to know: it is cold.", "Here is what you need to know:"),
        ("This took me a very long time—but it works.", "This took me a very long time—"),
        ("This took me a very long time – but it works.", "This took me a very long time –"),
        ('"I would never ever do that," he said. Bye.', '"I would never ever do that,"'),
        ("好的，我来为您查一下天气，请稍等。", "好的，我来为您查一下天气，"),
        ("はい、わかりました、少々お待ちください。", "はい、わかりました、"),
        ("今天的价格是1，000元左右，您要吗？", "今天的价格是1，000元左右，"),
        ("他昨天晚上对我说，“你好吗？”", "他昨天晚上对我说，"),
        ("Yes. I can help you with that, and with more.", "Yes."),
    ],
)
def test_first_piece_may_end_at_a_clause(text, first):
    """Speech starts at the first clause mark that leaves enough to say, never within a number."""
    assert split(text, first_min_chars=24)[0] == first


def test_only_the_first_piece_ends_at_a_clause():
    """Later pieces are whole sentences."""
    assert split("One two three, four five six. Seven eight nine, ten eleven twelve.", first_min_chars=5) == [
        "One two three,",
        "four five six.",
        "Seven eight nine, ten eleven twelve.",
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("one two three four five six seven", ["one two three four", "five six seven"]),
        ("one two, three four five six seven", ["one two,", "three four five six", "seven"]),
        ("a bcdefghijklmnopqrstuvwxyz", ["a", "bcdefghijklmnopqrstu", "vwxyz"]),
        ("一二三四五六七八九十" * 3, ["一二三四五六七八九十" * 2, "一二三四五六七八九十"]),
        ("一二三四五六七八九十，" * 3, ["一二三四五六七八九十，"] * 3),
        ("一二三四五六七八九十一二三四五六七八九（好）", ["一二三四五六七八九十一二三四五六七八九", "（好）"]),
        ("e\u0301" * 11, ["e\u0301" * 10, "e\u0301"]),
        ("x" + "e\u0301" * 11, ["x" + "e\u0301" * 9, "e\u0301" * 2]),
    ],
)
def test_text_without_ends_is_cut_at_the_limit(text, pieces):
    """A long sentence ends at a clause mark, else between words, else between characters."""
    assert split(text, max_chars=20) == pieces


@pytest.mark.parametrize("text", ["", " \n ", "...", "?!", "🎉🎉", "---", "* * *", "**", "```\ncode\n```", "<br>", "-"])
def test_nothing_speakable_gives_no_piece(text):
    """A piece holds at least one letter or digit."""
    assert split(text) == []


class RecordedDeltas:
    """Text deltas that count how many were asked for."""

    def __init__(self, deltas):
        self._deltas = list(deltas)
        self.n_taken = 0

    def __iter__(self):
        for delta in self._deltas:
            self.n_taken += 1
            yield delta


@pytest.mark.parametrize(
    ("text", "piece", "seen"),
    [
        ("Stop! Now go.", "Stop!", "Stop! "),
        ("Stop?! Now go.", "Stop?!", "Stop?! "),
        ("Yes. Now go.", "Yes.", "Yes. N"),
        ("Yes.\nNow go.", "Yes.", "Yes.\n"),
        ("Title\n\nText", "Title", "Title\n"),
        ("你好。我来了。", "你好。", "你好。我"),
        ("“好。”他说。", "“好。”", "“好。”他"),
        ('"Stop!" Now go.', '"Stop!"', '"Stop!" N'),
        ("**Hello!** Now go.", "Hello!", "**Hello!** "),
        ("See [this](http://a.b/c). Now go.", "See this.", "See [this](http://a.b/c). N"),
        ("I live in the U.S. They do not.", "I live in the U.S.", "I live in the U.S. They "),
        ("Well, I will have a look at that, then.", "Well, I will have a look at that,", None),
        ("- One item\n- Two", "One item", "- One item\n"),
    ],
)
def test_piece_is_out_before_more_is_asked_for(text, piece, seen):
    """The first piece comes with the character that makes it certain, and no later."""
    deltas = RecordedDeltas(text)
    assert next(split_sentences(deltas)) == piece
    assert text[: deltas.n_taken] == (piece + " " if seen is None else seen)


def test_all_pieces_of_a_prefix_are_out():
    """While the fourth sentence is being written, the first three were given out."""
    out = []

    def deltas():
        yield from "One is here. Two is here! "
        assert out == ["One is here.", "Two is here!"]
        yield from "Three is here? Fo"
        assert out == ["One is here.", "Two is here!", "Three is here?"]
        yield "ur."

    for piece in split_sentences(deltas()):
        out.append(piece)
    assert out[-1] == "Four."


def test_failure_of_the_deltas_reaches_the_caller():
    """Whole sentences before the failure are given out, the half one is not."""

    def deltas():
        yield "One. Two and"
        raise OSError("gone")

    pieces = split_sentences(deltas())
    assert next(pieces) == "One."
    with pytest.raises(OSError, match="gone"):
        next(pieces)


def test_limits_that_make_no_sense_are_refused():
    """A piece needs room for a character."""
    with pytest.raises(ValueError, match="max_chars is 0"):
        split("a", max_chars=0)


def test_long_stream_of_single_characters():
    """Thirty thousand deltas of one character go through, and nothing is lost."""
    text = "A sentence with a **mark**, and no. 5. 好的。 " * 750
    assert len(text) > 30_000
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.replace("**", "").split())


@pytest.mark.parametrize(
    "unit", ["word ", "字", "A. ", "!", "[", "[a](", "<a ", "``` ", "*a ", "&a", '。"', "|a\n", ","]
)
def test_endless_repetition_keeps_the_limit(unit):
    """Whatever a model repeats, pieces stay short."""
    assert max(map(len, split_sentences(unit * 2000)), default=0) <= 240
