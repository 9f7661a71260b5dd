"""/search: finds what was said, where one is and in listed rooms, and says just what it does not find."""

import os
import random
import re
import sqlite3
import tempfile
import unicodedata

from events import join_events
from talk import Server, main, run_server

WORDS = "tea milk coffee water sugar honey lemon rum cream salt mate mat\u00e9 MAT\u00c9 mate\u0301 \u0142yk".split()


def folded(text):
    """Without case and accents, found out in another way than the server does."""
    apart = unicodedata.normalize("NFD", text.lower())
    return "".join(character for character in apart if not unicodedata.combining(character))


def search(client, words, **fields):
    """The (room, seq) that are found on one page, newest first as they come, and whether there is more."""
    while True:
        client.ask("search", words=words, id="s", **fields)
        found = []
        behind = False
        more = None
        while more is None or behind is None:
            event = client.event()
            if event.get("code") == "found":
                found.append((event["room"], event["seq"]))
            elif event["kind"] == "error":
                raise AssertionError(event)
            elif event["kind"] == "notice" and event.get("id") == "s":
                if "so new" in event["text"]:
                    behind = True
                    break
                more = event["text"].startswith("there is more")
        client.ask("ping", id="p")
        for event in client.until(kind="pong", id="p"):
            behind = behind or "so new" in event.get("text", "")
        if not behind:
            return found, more


def say(client, text, room="lobby"):
    client.ask("send", room=room, text=text, id="x")
    return client.until(kind="notice", code="said", id="x")[-1]["seq"]


def test_what_was_said_is_found_with_what_was_said_around_it():
    with Server(journal="sqlite:chat.db") as server:
        ann = join_events(server, "ann")
        for text in ("before", "green tea", "after"):
            seq = say(ann, text)
        assert search(ann, "tea") == ([("lobby", seq - 1)], False)
        ann.ask("search", words="TEA", id=2)
        ann.expect(kind="notice", code="found", id=2, room="lobby", seq=seq - 1, text=f"lobby, message {seq - 1}:")
        for offset, text in ((-2, "before"), (-1, "green tea"), (0, "after")):
            ann.expect(kind="message", room="lobby", seq=seq + offset, text=text, history=True)
        ann.expect(kind="notice", id=2, text="that is all")
        ann.ask("search", words="nothing like it", id=3)
        ann.expect(kind="notice", id=3, text="nothing was found")


def test_plain_lines_search_too():
    with Server(journal="sqlite:chat.db") as server:
        ann = join_events(server, "ann")
        seq = say(ann, "green tea")
        search(ann, "tea")  # until it is indexed
        bob = server.join("bob")
        bob.say("/search green")
        bob.expect(f"* lobby, message {seq}:", re.compile(r"\[[-0-9: Z]+\] ann: green tea"), "* that is all")


def test_results_are_those_of_looking_at_every_message():
    chance = random.Random(4)
    with Server(journal="sqlite:chat.db") as server:
        speakers = [join_events(server, name) for name in ("ann", "Johnny Boi")]
        said = []
        for speaker, name in zip(speakers, ("ann", "Johnny Boi")):
            speaker.ask("join", room="tea house", id=1)
            speaker.until(kind="notice", code="room", id=1)
        for _ in range(200):
            which = chance.randrange(2)
            room = chance.choice(("lobby", "tea house"))
            text = " ".join(chance.choice(WORDS) for _ in range(3))
            seq = say(speakers[which], text, room)
            said.append((room, seq, ("ann", "Johnny Boi")[which], set(folded(text).split())))
        for _ in range(30):
            words = chance.sample(WORDS, chance.choice((1, 1, 2)))
            fields = {}
            if chance.random() < 0.4:
                fields["from"] = chance.choice(("ann", "JOHNNY BOI"))
            if chance.random() < 0.4:
                fields["room"] = chance.choice(("lobby", "Tea House"))
            wanted = [(room, seq) for room, seq, name, text in reversed(said)
                      if text >= set(map(folded, words)) and name.lower() == fields.get("from", name).lower()
                      and room == fields.get("room", room).lower()]
            found = []
            more = True
            page = 1
            while more:
                part, more = search(speakers[0], " ".join(words), page=page, **fields)
                assert len(part) == 10 or not more
                found += part
                page += 1
            # Newest first; of different rooms, those of one moment may come in any order.
            for room in ("lobby", "tea house"):
                assert [one for one in found if one[0] == room] == [one for one in wanted if one[0] == room], (words, fields)
            assert len(found) == len(wanted), (words, fields, found, wanted)


def test_an_index_with_accents_is_made_anew():
    """Version 2 of the file told caf\u00e9 from cafe."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chat.db")
        with Server(journal="sqlite:" + path) as server:
            ann = join_events(server, "ann")
            seq = say(ann, "un caf\u00e9 noir")
            assert search(ann, "CAFE") == ([("lobby", seq)], False)
        with sqlite3.connect(path) as database:
            place = database.execute("SELECT place FROM message WHERE text LIKE 'un %'").fetchone()[0]
            database.execute("INSERT INTO word(word) VALUES('delete-all')")
            database.execute("INSERT INTO word(rowid, words) VALUES(?, ?)", (place, "\ue000ann un caf\u00e9 noir"))
            database.execute("PRAGMA user_version = 2")
        database.close()
        assert run_server("--check", path)[0] == 0
        code, output, errors = run_server("--journal", "sqlite:" + path, "--export", "-")
        assert code == 0 and "noir" in output, errors
        with Server(journal="sqlite:" + path) as server:
            ann = join_events(server, "ann")
            for words in ("cafe", "caf\u00e9", "cafe\u0301 noir"):
                assert search(ann, words) == ([("lobby", seq)], False), words
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA user_version").fetchone()[0] == 3
            place = database.execute("INSERT INTO word(word) VALUES('integrity-check')")
        database.close()


def test_rooms_that_one_may_not_see_are_not_searched():
    with Server(journal="sqlite:chat.db") as server:
        ann = join_events(server, "ann")
        bob = join_events(server, "bob")
        eve = join_events(server, "eve")
        ann.say("/join")
        room = ann.until(kind="notice", code="room")[-1]["room"]
        bob.say("/join")
        bob.until(kind="notice", code="room")
        seq = say(ann, "a secret", room)
        assert search(bob, "secret") == ([(room, seq)], False)
        assert search(eve, "secret") == ([], False)
        eve.ask("search", words="secret", room=room, id=1)
        eve.until(kind="error", code="no-such-room", id=1)
        eve.ask("search", words="secret", room="nowhere", id=2)
        eve.until(kind="error", code="no-such-room", id=2)


def test_words_of_any_script_are_found_and_dates_count():
    with Server(journal="sqlite:chat.db") as server:
        ann = join_events(server, "ann")
        for text in ("grüner Tee", "今日は緑茶を飲みます", "зелёный чай", "\"quoted\" AND (brackets* NOT"):
            seq = say(ann, text)
            word = {"g": "grüner", "今": "緑茶", "з": "чай", '"': "brackets"}[text[0]]
            assert search(ann, word) == ([("lobby", seq)], False), text
        assert search(ann, "чай", after="2026-01-01", before="2100-01-01")[0]
        assert not search(ann, "чай", before="2026-01-01")[0]
        assert not search(ann, "чай", after="2100-01-01T08:00")[0]
        for words in ("*", "\"", "AND", "NOT", "(", "tea OR", "tea*", "-tea", "^tea", "{a}:b", "text:tea", "a\"b", "NEAR(a b)"):
            ann.ask("search", words=words, id="odd")
            ann.until(id="odd")


def test_wrong_words_to_search_are_explained():
    with Server(journal="sqlite:chat.db") as server:
        ann = join_events(server, "ann")
        for line in ("", " ", "from:bob", "tea before:x", "tea after:2026-13-01", "tea page:0", "tea page:x", "tea page:1001",
                     "x" * 300):
            ann.say(f"/search {line}")
            ann.expect(kind="error", code="usage")


def test_a_journal_in_memory_cannot_be_searched():
    with Server(journal="memory") as server:
        bob = server.join("bob")
        bob.say("/search tea")
        bob.expect("! no-search: the journal of this server cannot search; /history shows what was said")


if __name__ == "__main__":
    main()
