#!/usr/bin/env python3
"""Writes reference.tsv.gz: sentences and what the Python package makes of them.

    python3 -m venv venv && venv/bin/pip install hibari-tts==0.2.1
    venv/bin/python generate.py

Every line is a sentence, a tab and its phonemes, limited to the voice's
alphabet; the package's own parts of a text are joined by one space. The
corpus is made by templates over the package's lexicon with a fixed seed, so
the same package gives the same file. No text is taken from elsewhere.

Left out are inputs the package reads badly or not at all (it raises on
numbers beyond decillions, drops letters after the 24th of an unknown word,
reads web addresses as one word ...): what this project reads differently on
purpose is listed and tested in text_readings.rs.
"""
import gzip
import json
import pathlib
import random

from hibari import Hibari
from hibari.g2p import G2P

HERE = pathlib.Path(__file__).parent
SEED = 20261122

NAMES = "Alice Bernard Charlotte Daniel Eleanor Frederick Gloria Harrison Imogen Jonathan Katherine Leonard".split()
SURNAMES = "Abernathy Brown Castellanos Dubois Eriksson Fitzgerald Gupta Hernandez Ivanova Johnson Kowalski Nguyen".split()
PLACES = "Amsterdam Boston Chicago Denver Edinburgh Florence Geneva Houston Istanbul Johannesburg Kyoto Lisbon".split()
MONTHS = "January February March April May June July August September October November December".split()
SHORT_MONTHS = "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec".split()
ACRONYMS = "NASA HTTP FBI CIA GPU CPU HTML JSON SQL NATO UNESCO DNA IBM USB PDF API YAML OPEC LASER ASAP".split()
UNITS = "km cm mm kg mg lb lbs oz ft mi ml mph kph Hz kHz MHz GHz KB MB GB TB hr min sec ms kW kWh".split()
INVENTED = "blorft snarquel vibetronic Kubernetes Zorblax quindarious flumptious Thaddiron gribnak Yelverstone".split()

WORD_TEMPLATES = [
    "The {a} and the {b} are {c}.",
    "She said {a} was more {b} than {c}.",
    "I would like to {a} the {b} in the {c}.",
    "Is this {a}, or is it only {b}?",
    "They {a} over {b}; nobody mentioned {c}.",
    "What a {a} {b}!",
    "“{A},” he replied, “is a {b} of {c}.”",
    "An {a} for an {b}, as my {c} used to say.",
    "We used to {a} before {b} came to {c}.",
    "It was {a}-{b}, but not very {c}.",
    "{A} {b} (see {c}) will be used.",
    "He's {a}, we're {b}, and they'll never be {c}.",
    "To {a} or not to {b}: that depends on {c}...",
    "Their {a}'s {b} didn't {c} at all.",
    "THE {U} IS IN THE {a} — {b}!",
]
NUMBER_TEMPLATES = [
    "There are {n} people and {m} chairs.",
    "It costs ${d} today, not £{d2}.",
    "About {p}% of the {w} failed.",
    "That is {f} times as {w}, or {f2} on average.",
    "He finished {o} and she finished {o2}.",
    "In {y} and again in {y2}, the {w} was sold.",
    "The {decade}s were better than the {short}0s.",
    "We met at {h}:{mi} {ap}.",
    "The train leaves at {h}:{mi} from {place}.",
    "On {iso} the {w} opened in {place}.",
    "It was due {us}, but came on {mon} {day}, {y}.",
    "The {day} of {month} is a {w} day; {sm} {day} is not.",
    "A {n3}-year-old {w} weighs {f} {u}.",
    "It was {t}°C in {place} and {t2}°F here.",
    "Read pages {r1}-{r2} of volume {v}.",
    "Add {k}/{l} cup of {w} and {k2}/4 of the {w2}.",
    "Call {p3}-{p3b}-{p4} now.",
    "The fund raised €{n3} million and ${f} billion.",
    "It fell to -{n3} degrees, minus {f}.",
    "Item #{n3} of {n} is {w}.",
    "The {model}{n3} and the {acr}-{v} cost {n} dollars.",
    "It reached {n3}{u} after {v} {w}.",
]
NAME_TEMPLATES = [
    "Dr. {first} {last} met Mrs. {last2} on St. {first2} St. in {place}.",
    "Mr. {last} vs. Ms. {last2} was heard by Gen. {last3}.",
    "{first} lives at {n} {last} Ave., Apt. {v}, {place}.",
    "Prof. {last}, Ph.D., of {place} Univ. is {w}.",
    "The {acr} and the {acr2} told {first} to {w}.",
    "{first} {last} Jr. works for {last2} Inc. in the U.S. and the U.K.",
    "King {king} and Chapter {roman} were discussed by {first}.",
    "{first}'s {acr} {w} isn't {last}'.",
    "{inv} is a word that {first} made up; {inv2} is another.",
    "We saw {inv}s, {w}, etc. in {place}.",
    "{first} likes {w}, e.g. {w2}, i.e. {w3}.",
    "Will {first} read the {w} that {last} read yesterday?",
    "{first} lives near the live {w}, close to where we close the {w2}.",
    "They record a record; we present the present to {first}.",
    "{first} gave {last} a {w}-{w2} {w3}, didn't {last2}?",
]
HAND_WRITTEN = [
    "Hello there.", "How are you doing today?", "I am.", "I am not sure.", "What is it made of?", "Come in!",
    "Look at the object, I object to it.", "The wind began to wind around the house.",
    "They were too close to the door to close it.", "He could lead if he would get the lead out.",
    "The bandage was wound around the wound.", "Use the tool; its use is simple.",
    "I used to use it, and it was used by the team.", "He was going to. She wanted to eat.", "In the end, come in.",
    "By and by, they passed by.", "A is the first letter, B the second.", "An apple a day keeps the doctor away.",
    "The apple, the pear, the hour and the user.", "Don't, won't, can't, shouldn't've, y'all, o'clock.",
    "It's Bob's dog; the dogs' owner's gone.", "Well-known, state-of-the-art, twenty-one, X-ray.",
    "(In parentheses.) [In brackets.]", "Wait — what? No… really?", "Yes; no: maybe, perhaps.",
    "AT&T, R&D, Q&A, A/B testing and/or more.", "MP3, B2B, 4K, 3D, H2O, HTML5.", "She has a Ph.D. from the U.S.A.",
    "iPhone, eBay, YouTube, McDonald, GitHub, LaTeX.", "At 5 p.m. or at 10am?", "From 9:00 to 17:30, at 12:05 p.m.",
    "café, naïve, Žižek, Łódź, résumé, jalapeño.", "Rock'n'roll isn't dead.", "50% of 20 + 3 = 13.",
    "x < y and y > z", "Version 2.0 beat 1.10.", "1st, 2nd, 3rd, 4th, 21st, 101st, 1,234th.",
    "The 1990s, the '80s and the 2000s.", "$1, $1.01, £1.50, €0.99, $0.05, $1,234.50.", "¥500, ₹20, 99¢.",
    "10 GB at 5 km/h for 3 mins.", "1/2, 2/3, 3/4, 7/8 and 9/10.", "2 × 3 ÷ 4 ± 1", "90° and 45° angles",
    "UNITED NATIONS", "WOW, THAT IS AMAZING!", "mm, hmm, uh, oh, brr, psst", "TODO: fix the README.",
    "Monday, Tues., Wed., Thurs., Fri., Sat. and Sun.", "Henry VIII, Louis XIV, World War II.",
]


def templates(rng, words):
    """Sentences by template, endlessly."""
    word = lambda: rng.choice(words)
    between = rng.randint
    while True:
        a, b, c = word(), word(), word()
        yield rng.choice(WORD_TEMPLATES).format(a=a, b=b, c=c, A=a.capitalize(), U=word().upper())
        yield rng.choice(NUMBER_TEMPLATES).format(
            n=rng.choice([between(0, 99), between(100, 999), f"{between(1, 999)},{between(0, 999):03}",
                          between(10000, 9999999), f"{between(1, 99)},{between(0, 999):03},{between(0, 999):03}"]),
            m=between(2, 5000), d=f"{between(0, 999)}.{between(1, 99):02}", d2=between(1, 90000),
            p=rng.choice([between(0, 100), f"{between(0, 99)}.{between(1, 9)}"]), w=word(), w2=word(),
            f=f"{between(0, 999)}.{between(1, 9999)}", f2=f"{between(1, 9)}.{between(1, 99):02}",
            o=ordinal(between(1, 130)), o2=ordinal(between(1, 2500)), y=between(1100, 2099), y2=between(1900, 2030),
            decade=between(170, 202) * 10, short=between(2, 9), h=between(1, 12), mi=f"{between(0, 59):02}",
            ap=rng.choice(["am", "pm", "a.m.", "p.m.", "AM", "PM"]), place=rng.choice(PLACES),
            iso=f"{between(1950, 2050)}-{between(1, 12):02}-{between(1, 28):02}",
            us=f"{between(1, 12)}/{between(1, 28)}/{between(1950, 2050)}", mon=rng.choice(MONTHS + SHORT_MONTHS),
            day=between(1, 31), month=rng.choice(MONTHS), sm=rng.choice(SHORT_MONTHS), n3=between(1, 999),
            u=rng.choice(UNITS), t=between(-20, 45), t2=between(0, 110), r1=between(1, 99), r2=between(100, 300),
            v=between(1, 40), k=1, l=between(2, 10), k2=between(1, 3), p3=between(200, 999), p3b=between(100, 999),
            p4=between(1000, 9999), model=rng.choice(["B", "MP", "F", "x", "iOS", "GTX"]), acr=rng.choice(ACRONYMS))
        yield rng.choice(NAME_TEMPLATES).format(
            first=rng.choice(NAMES), first2=rng.choice(NAMES), last=rng.choice(SURNAMES), last2=rng.choice(SURNAMES),
            last3=rng.choice(SURNAMES), place=rng.choice(PLACES), acr=rng.choice(ACRONYMS), acr2=rng.choice(ACRONYMS),
            n=between(1, 9999), v=between(1, 99), w=word(), w2=word(), w3=word(), inv=invented(rng, words),
            inv2=rng.choice(INVENTED), king=rng.choice(["Henry VIII", "Louis XIV", "Charles III", "George VI"]),
            roman=rng.choice(["I", "II", "IV", "IX", "XII", "XL"]))


def ordinal(number):
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def invented(rng, words):
    """A word nobody knows: the halves of two that somebody does."""
    start, end = rng.choice(words), rng.choice(words)
    return (start[: len(start) // 2 + 1] + end[len(end) // 2:])[:20]


def main():
    voice = Hibari.__new__(Hibari)  # the text side only: no session of the speech network
    voice._g2p = G2P()
    import hibari

    assets = pathlib.Path(hibari.__file__).parent / "assets"
    alphabet = set(json.loads((assets / "vocab.json").read_text(encoding="utf-8")))
    lexicon = []
    for name in ("gold", "silver"):
        with gzip.open(assets / f"lexicon_us_{name}.json.gz", "rt", encoding="utf-8") as table:
            lexicon += [word for word in json.load(table) if word.isalpha() and word.islower() and len(word) > 1]
    rng = random.Random(SEED)
    made = templates(rng, sorted(set(lexicon)))
    sentences = list(dict.fromkeys(HAND_WRITTEN + [next(made) for _ in range(3000)]))
    lines = []
    for sentence in sentences:
        phonemes = "".join(c for c in " ".join(voice.phonemize(sentence)) if c in alphabet)
        lines.append(f"{sentence}\t{phonemes}\n")
    data = "".join(lines).encode()
    with open(HERE / "reference.tsv.gz", "wb") as out:
        with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0, compresslevel=9) as packed:
            packed.write(data)
    print(f"{len(lines)} sentences")


if __name__ == "__main__":
    main()
