#!/usr/bin/env python3
"""Writes src/text/tokenizer/unicode_data.cpp: the Unicode sets that tokenizer files rely on.

    pip install tokenizers regex
    python tools/unicode_tables.py > src/text/tokenizer/unicode_data.cpp

The reference library mixes several Unicode versions (its regular expressions, its punctuation test
and its normal forms come from different tables), so the sets are measured on the library itself,
code point by code point. Takes about two minutes.
"""

import sys
import unicodedata

import regex
from tokenizers import Regex, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, CODE_POINTS))
CATEGORIES = ("Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Zs Zl Zp Cc Cf Co Cs Pc Pd Ps Pe Pi Pf Po "
              "Sm Sc Sk So").split()
SCRIPTS = """Arabic Armenian Bengali Bopomofo Braille Buginese Buhid Canadian_Aboriginal Cherokee Common
Coptic Cypriot Cyrillic Deseret Devanagari Ethiopic Georgian Glagolitic Gothic Greek Gujarati Gurmukhi
Han Hangul Hanunoo Hebrew Hiragana Inherited Kannada Katakana Kharoshthi Khmer Lao Latin Limbu Linear_B
Malayalam Mongolian Myanmar New_Tai_Lue Ogham Old_Italic Old_Persian Oriya Osmanya Runic Shavian Sinhala
Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tamil Telugu Thaana Thai Tibetan Tifinagh Ugaritic Yi
Balinese Cuneiform Phoenician Phags_Pa Nko Carian Cham Kayah_Li Lepcha Lycian Lydian Ol_Chiki Rejang
Saurashtra Sundanese Vai Avestan Bamum Egyptian_Hieroglyphs Imperial_Aramaic Inscriptional_Pahlavi
Inscriptional_Parthian Javanese Kaithi Lisu Meetei_Mayek Old_South_Arabian Old_Turkic Samaritan
Tai_Tham Tai_Viet Batak Brahmi Mandaic Chakma Meroitic_Cursive Meroitic_Hieroglyphs Miao Sharada
Sora_Sompeng Takri Bassa_Vah Caucasian_Albanian Duployan Elbasan Grantha Khojki Khudawadi Linear_A
Mahajani Manichaean Mende_Kikakui Modi Mro Nabataean Old_North_Arabian Old_Permic Pahawh_Hmong
Palmyrene Pau_Cin_Hau Psalter_Pahlavi Siddham Tirhuta Warang_Citi Ahom Anatolian_Hieroglyphs Hatran
Multani Old_Hungarian SignWriting Adlam Bhaiksuki Marchen Newa Osage Tangut Masaram_Gondi Nushu Soyombo
Zanabazar_Square Dogra Gunjala_Gondi Hanifi_Rohingya Makasar Medefaidrin Old_Sogdian Sogdian Elymaic
Nandinagari Nyiakeng_Puachue_Hmong Wancho Chorasmian Dives_Akuru Khitan_Small_Script Yezidi
Cypro_Minoan Old_Uyghur Tangsa Toto Vithkuqi Kawi Nag_Mundari""".split()


def oniguruma_set(pattern):
    """Code points that `pattern` matches in the library's regular expressions."""
    split = pre_tokenizers.Split(Regex(f"(?:{pattern})+"), "removed", True)
    return {ord(c) for piece, _ in split.pre_tokenize_str(ALL) for c in piece}


def isolated_set(pre_tokenizer):
    """Code points that `pre_tokenizer` cuts away from the letters around them."""
    text = "aa" + "aa".join(map(chr, CODE_POINTS)) + "aa"
    return {ord(p) for p, _ in pre_tokenizer.pre_tokenize_str(text) if len(p) == 1}


def encode_number(value):
    """Groups of 5 bits, low first, bit 5 = more follows; one character from '#' on for each."""
    out = ""
    while True:
        digit, value = value & 31, value >> 5
        out += chr(35 + (digit | (32 if value else 0)))
        if not value:
            return out


def encode_runs(value_of):
    """(value, length) pairs that cover 0..0x10FFFF; what is behind the last run has value 0."""
    runs = []
    for c in range(0x110000):
        v = value_of(c)
        if runs and runs[-1][0] == v:
            runs[-1][1] += 1
        else:
            runs.append([v, 1])
    while runs and runs[-1][0] == 0:
        runs.pop()
    return "".join(encode_number(v) + encode_number(n) for v, n in runs)


def literal(name, data):
    lines = [data[i:i + 95] for i in range(0, len(data), 95)]
    print(f"const char* const {name} =")
    print("\n".join(f'R"({line})"' for line in lines) + ";\n")


def write_set(name, members):
    literal(name, encode_runs(lambda c: 1 if c in members else 0))


def combining_in_library(nfd, c):
    # U+0345 has the highest combining class: a mark of a lower class moves before it.
    return c == 0x345 or nfd.normalize_str("a\u0345" + chr(c)) == "a" + chr(c) + "\u0345"


def normal_form_flags():
    """Bit 0..3: the code point is not inert in NFC, NFD, NFKC, NFKD."""
    forms = [getattr(normalizers, n)() for n in ("NFC", "NFD", "NFKC", "NFKD")]
    # Hangul vowels and trailing consonants join the syllable before them.
    seconds = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    for c in CODE_POINTS:
        parts = unicodedata.normalize("NFD", chr(c))
        if len(parts) > 1 and unicodedata.normalize("NFC", parts) == chr(c):
            seconds.add(ord(parts[-1]))
    flags = {}
    for c in CODE_POINTS:
        f = sum(1 << i for i, form in enumerate(forms) if form.normalize_str(chr(c)) != chr(c))
        if unicodedata.category(chr(c))[0] == "M" and combining_in_library(forms[1], c):
            f |= 15
        if c in seconds:
            f |= 5
        if f:
            flags[c] = f
    return flags


def lowercase_runs():
    """Tuples (first, last, stride, delta): c -> c + delta."""
    lower = normalizers.Lowercase()
    runs = []
    for c in CODE_POINTS:
        low = lower.normalize_str(chr(c))
        if low == chr(c) or len(low) != 1:  # U+0130 alone has two: the code knows it
            continue
        delta = ord(low) - c
        if runs and runs[-1][3] == delta and c - runs[-1][1] <= 2:
            first, last, stride, _ = runs[-1]
            if first == last or c - last == stride:
                runs[-1] = (first, c, c - last, delta)
                continue
        runs.append((c, c, 1, delta))
    return runs


def script_values(assigned):
    """Index + 1 into SCRIPTS of each code point, and the older classes of `UnicodeScripts`."""
    value = {}
    for i, name in enumerate(SCRIPTS):
        for m in regex.finditer(rf"\p{{Script={name}}}+", ALL):
            for c in m.group():
                if ord(c) in assigned:
                    value[ord(c)] = i + 1
    first = {}
    for c in sorted(value):
        first.setdefault(value[c], chr(c))
    splitter = pre_tokenizers.UnicodeScripts()

    def differs(a, b):
        return len(splitter.pre_tokenize_str(a + b)) > 1

    none, odd = set(), {}
    for c, v in value.items():
        base = first[v]
        if not differs("a", chr(c)) and not differs("\u0416", chr(c)):
            none.add(c)
        elif differs(base, chr(c)) and base != chr(c):
            odd[c] = next((k for k, b in first.items() if not differs(b, chr(c))
                           and differs("a" if k != value[97] else "\u0416", b)), 0)
    return value, none, odd


def main():
    category = {}
    for i, name in enumerate(CATEGORIES):
        if name not in ("Cn", "Cs"):
            for c in oniguruma_set(rf"\p{{{name}}}"):
                category[c] = i
    print("// Generated by tools/unicode_tables.py. Runs (value, length) in 5-bit digits; see unicode.cpp.")
    print('#include "text/tokenizer/unicode_data.h"\n\nnamespace mica::unicode_data {\n// clang-format off')
    literal("kCategory", encode_runs(lambda c: category.get(c, 0)))
    scripts, none, odd = script_values(set(category))
    literal("kScript", encode_runs(lambda c: scripts.get(c, 0)))
    literal("kSplitScript",
            encode_runs(lambda c: 0 if c in none else odd.get(c, scripts.get(c, 0))))
    write_set("kWord", oniguruma_set(r"\w"))
    write_set("kAlphabetic", oniguruma_set("[[:alpha:]]"))
    write_set("kUpper", oniguruma_set("[[:upper:]]"))
    write_set("kLower", oniguruma_set("[[:lower:]]"))
    write_set("kNumeric", isolated_set(pre_tokenizers.Digits(True)))
    write_set("kPunctuation", isolated_set(pre_tokenizers.Punctuation("isolated")))
    clean = normalizers.BertNormalizer(True, False, False, False)
    write_set("kBertRemoved", {c for c in CODE_POINTS if clean.normalize_str(chr(c)) == ""})
    strip = normalizers.BertNormalizer(False, False, True, False)
    write_set("kBertAccent", {c for c in CODE_POINTS if strip.normalize_str(chr(c)) == ""})
    accents = normalizers.StripAccents()
    write_set("kCombiningMark", {c for c in CODE_POINTS if accents.normalize_str(chr(c)) == ""})
    flags = normal_form_flags()
    literal("kNormalForms", encode_runs(lambda c: flags.get(c, 0)))
    rows = [f"{{{a:#x}, {b:#x}, {s}, {d}}}" for a, b, s, d in lowercase_runs()]
    print("const LowerRun kLowerRuns[] = {")
    line = ""
    for row in rows:
        if len(line) + len(row) > 96:
            print(line.rstrip())
            line = ""
        line += row + ", "
    print(line.rstrip())
    print("};\n")
    print("const size_t kLowerRunCount = sizeof(kLowerRuns) / sizeof(kLowerRuns[0]);\n")
    names = ['"' + s.lower().replace("_", "") + '"' for s in SCRIPTS]
    print("const char* const kScriptNames[] = {")
    for i in range(0, len(names), 6):
        print("    " + ", ".join(names[i:i + 6]) + ",")
    print("};\n")
    print("const size_t kScriptCount = sizeof(kScriptNames) / sizeof(kScriptNames[0]);\n")
    print("// clang-format on\n}  // namespace mica::unicode_data")
    print(f"{len(none)} in no script, {len(odd)} in another: {sorted(odd.items())[:20]}",
          file=sys.stderr)


if __name__ == "__main__":
    main()
